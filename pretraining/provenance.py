"""The JSON beside each shipped weight file: what it is, what it was made from and how, for people to read."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from facecom.files import write_whole
from facecom.models import checkpoint

#: What the shipped weights were trained on, and what taught them.
SOURCES = {
    "facecom": "FACECOM Task B, train split, nine identities in ten (photos of Labeled Faces in the Wild)",
    "faces": "aligned crops of CelebA and Families in the Wild, 72,617 photos of 12,743 people",
    "heads": "head photos of mostly East Asian faces of all ages, 9,500",
    "landmarks": "landmarks by YuNet (MIT) on the clean photo",
    "edgeface": "EdgeFace-XS and EdgeFace-XXS (George et al., TBIOM 2024; BSD-3-Clause): embeddings of the clean crops",
    "mobilefacenet": "MobileFaceNet trained on MS1M (Apache-2.0): embeddings of the clean crops",
    "drawings": "facecom.synthetic",
}


def write_provenance(path: Path, sources: tuple[str, ...], made_by: str, more: Mapping | None = None) -> None:
    """Write `path` with the suffix .json. sources: keys of SOURCES; made_by: the command; more: further facts."""
    content = checkpoint.read(path)
    told = {name: content[name] for name in ("task", "config", "args", "epoch", "metrics", "data", "versions")}
    told |= {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}
    told |= {"operating_points": content["operating_points"], "limits": content["limits"]}
    told |= {"temperature": content["temperature"], "preprocessing": content["preprocessing"]}
    told |= {"sources": {name: SOURCES[name] for name in sources}, "made_by": made_by, **(more or {})}
    with write_whole(path.with_suffix(".json")) as file:
        json.dump(told, file, indent=1, sort_keys=True)
        file.write("\n")
