"""The networks that may be shipped: a file, seen in one frame or another, its embedding weighted or not."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch

from facecom import checkpoint
from facecom.models import build_model
from pretraining import discriminant
from pretraining.validation import embed


@dataclass
class Candidate:
    """path: its file; config, about: what the file says of the network and its training; frame: one of `faces.FRAMES`;
    weighted: whether its embedding is (`pretraining/discriminant.py`)."""

    path: Path
    model: torch.nn.Module
    config: dict
    about: dict
    frame: str
    weighted: bool = False
    found: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}, {self.frame}{', weighted' if self.weighted else ''}"


def variants(path: Path, frames: list[str] | None, people, amp: bool) -> Iterator[Candidate]:
    """A file's network in each of the frames (None: the one it was trained in), as it is and with its axes weighted,
    unless they are already."""
    model, config, about = open_candidate(path)
    already = bool((about["args"] or {}).get("weighted"))
    for frame in frames or [about["frame"]]:
        yield Candidate(path, model, config, about, frame, weighted=already)
        if already:
            continue
        views, labels = discriminant.sample(people, config["img_size"], frame)
        weighted = deepcopy(model)
        between = discriminant.between_people(embed(model, views, "cpu", amp), labels)
        discriminant.weigh(weighted, discriminant.weighting(between))
        yield Candidate(path, weighted, config, about, frame, weighted=True)


def open_candidate(path: Path) -> tuple[torch.nn.Module, dict, dict]:
    """(network, config, what its file says about its training and its frame) of an encoder's `ema.pt` or a Siamese
    checkpoint."""
    content = checkpoint.read(path)
    if "format" in content:
        loaded = checkpoint.load(path, "siamese")
        about = {name: loaded.info.get(name) for name in ("args", "epoch", "data")}
        about["frame"] = loaded.preprocessing.get("frame", "face")
        return loaded.model, loaded.config, about
    model = build_model(content["config"])
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in content["model"].items()})
    about = {
        "args": content.get("args"),
        "epoch": None,
        "data": {"photos_seen": content["photos"], "minutes": content.get("minutes")},
        "frame": (content.get("args") or {}).get("frame", "face"),
    }
    return model.eval(), content["config"], about
