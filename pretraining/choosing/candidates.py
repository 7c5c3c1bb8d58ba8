"""The networks that may be shipped: a file, seen in one frame or another."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch

from facecom.models import checkpoint
from facecom.models.networks import build_model


@dataclass
class Candidate:
    """path: its file; config, about: what the file says of the network and its training; frame: of `faces.FRAMES`."""

    path: Path
    model: torch.nn.Module
    config: dict
    about: dict
    frame: str
    found: dict = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}, {self.frame}"


def variants(path: Path, frames: list[str] | None) -> Iterator[Candidate]:
    """A file's network in each of the frames (None: the one it was trained in)."""
    model, config, about = open_candidate(path)
    for frame in frames or [about["frame"]]:
        yield Candidate(path, model, config, about, frame)


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
