"""One file that needs nothing else: weights, what network they are for, how photos must be prepared, and where to cut.

A checkpoint is `torch.save` of a dict of plain values and tensors, always read back with `weights_only=True`:

    format 1, task, model (state), config (`models.build_model`),
    preprocessing {size, mean, std, align, frame, colour, mirror},
    operating_points [{threshold, far, genuine, impostor, identities}, ...], temperature, limits {face_confidence,
    quality} or None, args, epoch, metrics, data, versions, training {optimizer, scheduler, scaler, rng, ...} or None

The published solution's weights are bare state dicts; `facecom.models.published` says what belongs to them.
"""

import io
import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from facecom import cli
from facecom.errors import FacecomError
from facecom.files import write_whole
from facecom.models import published, strangers
from facecom.models.networks import build_model, no_larger_than

FORMAT = 1

#: Side in pixels of the crops that a network may ask for.
LARGEST = 2048

#: The weights that come with the package, by task: siamese, gender, landmarks, same_photo.
SHIPPED = Path(__file__).resolve().parents[1] / "weights"


@dataclass
class Loaded:
    """A network ready for use and all that its checkpoint says about it.

    model: in eval mode, float32, on the CPU; preprocessing: size (pixels), mean and std (three numbers each, of pixels
    scaled to 0..1), align, frame (of `FRAMES`; not said: the face), colour, mirror (whether answers are means over
    photo and mirror image; not said: they are not); operating_points: the default one first, may be empty; temperature:
    logits are divided by it (1.0 where none was fitted); info: everything else in the file.
    """

    model: nn.Module
    config: dict
    preprocessing: dict
    operating_points: list[dict]
    temperature: float
    info: dict
    path: Path


def save(
    path: str | Path,
    *,
    task: str,
    model: nn.Module,
    config: Mapping,
    preprocessing: Mapping,
    operating_points: Sequence[Mapping] = (),
    temperature: float | None = None,
    limits: Mapping | None = None,
    args: Mapping | None = None,
    epoch: int | None = None,
    metrics: Mapping | None = None,
    data: Mapping | None = None,
    adaptation: Mapping | None = None,
    training: Mapping | None = None,
    half: bool = False,
) -> None:
    """Write a checkpoint, whole or not at all.

    config: arguments of the network's class, without `task` and `pretrained`; half: floating weights as fp16;
    limits: face confidence and quality below which the answer is "cannot tell"; adaptation: what was
    folded into the last layer (`training/adaptation.py`).
    Raises FacecomError when the file cannot be written, TypeError for a value that is neither plain nor a tensor.
    """
    state = model.state_dict()
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    content = {
        "format": FORMAT,
        "task": task,
        "model": dict(state),
        "config": {"task": task, **config},
        "preprocessing": preprocessing,
        "operating_points": list(operating_points),
        "temperature": temperature,
        "limits": limits,
        "args": args,
        "epoch": epoch,
        "metrics": metrics,
        "data": data,
        "adaptation": adaptation,
        "versions": versions(),
        "training": training,
    }
    write(plain(content), path)


def write(content: Mapping, path: str | os.PathLike) -> None:
    """`torch.save`, whole or not at all; the content is as it is. Raises FacecomError when it cannot be written."""
    buffer = io.BytesIO()  # torch.save turns a full disk into an obscure error; a plain write does not
    torch.save(content, buffer)
    with write_whole(path, "wb") as file:
        file.write(buffer.getbuffer())


def load(path: str | os.PathLike | None, task: str | None = None) -> Loaded:
    """The network in a weight file; `None` takes the shipped one.

    path: a checkpoint of `save`, or a bare state dict of the published solution. task: siamese, gender,
    landmarks or same_photo; None takes any, and is for a path only.
    Raises FacecomError for a missing file, one that is no weight file, a pickle that would run code, another task's
    weights, weights that do not fit their network or are no numbers, and where `check` does.
    """
    if path is None:
        path = SHIPPED / f"{task}.pt"
        if not path.exists():
            raise FacecomError(f"no {task} weights are shipped with this version: give some with --weights")
    content = read(path)
    if "format" not in content:
        content = published.describe(content, path)
    if task and content.get("task") != task:
        raise FacecomError(f"{path}: these weights are for the task {content.get('task')!r}, not {task!r}: give others")
    check(content, path)
    content = dict(content)
    state = content.pop("model")
    try:
        with no_larger_than(state):
            model = build_model(content["config"])
        model.load_state_dict(state)
    except Exception as error:  # timm's networks raise anything for arguments that they do not know
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()[:160]
        raise FacecomError(f"{path}: the weights do not fit the network they name ({reason}): give others") from error
    if not all(value.isfinite().all() for value in model.state_dict().values() if value.is_floating_point()):
        raise FacecomError(
            f"{path}: some weights are not numbers (NaN or infinite): its training went wrong, give others"
        )
    return Loaded(
        model=model.eval(),
        config=content.pop("config"),
        preprocessing=content.pop("preprocessing"),
        operating_points=content.pop("operating_points", None) or [],
        temperature=content.pop("temperature", None) or 1.0,
        info=content,
        path=Path(path),
    )


def read(path: str | os.PathLike) -> dict[str, Any]:
    """What a weight file holds, as it lies: a checkpoint's dict or a bare state dict. Raises FacecomError."""
    content = strangers.content_of(path)
    if not isinstance(content, Mapping) or not content:
        raise FacecomError(f"{path}: holds no weights: give a checkpoint or a state_dict")
    stored = (content := published.opened(content)).get("format", FORMAT)
    if type(stored) is not int or stored != FORMAT:
        raise FacecomError(f"{path}: checkpoint format {_shown(stored)} is not known here: update facecom")
    return dict(content)


def check(content: Mapping, path: str | os.PathLike) -> None:
    """Raises FacecomError where what a weight file says of itself cannot be so, naming the part: such a file is
    damaged, or a stranger's. A network that would be fetched from elsewhere is refused before anything is built."""
    config, told = content.get("config"), content.get("preprocessing")
    parts = {
        "model": isinstance(content.get("model"), Mapping)
        and all(_can_be_weights(str(name), one) for name, one in content["model"].items()),
        "config": isinstance(config, Mapping)
        and config.get("task") == content.get("task")
        and _fetches_nothing(config)
        and _small(config),
        **_answers_can_be(content),
        "preprocessing": isinstance(told, Mapping) and _can_be_prepared(told),
    }
    for part, right in parts.items():
        if not right:
            said = "is missing" if part not in content else f"cannot be as it says ({_shown(content[part])})"
            raise FacecomError(f"{path}: {part} {said}: the file is damaged, or not by facecom: give another")


def _can_be_weights(name: str, value: Any) -> bool:
    """Layers compute with fractions, and count in whole numbers: quantised weights are nothing without their scales."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return value.is_floating_point() or not (value.is_complex() or name.endswith(("weight", "bias")))


def _answers_can_be(content: Mapping) -> dict[str, bool]:
    """Whether each part that decides upon answers can be so."""
    points, limits = content.get("operating_points"), content.get("limits")
    return {
        "operating_points": points is None
        or isinstance(points, list)
        and all(isinstance(point, Mapping) and _number(point.get("threshold")) for point in points)
        and all(point.get("far") is None or _number(point["far"], 0, 1) for point in points),
        "limits": limits is None
        or isinstance(limits, Mapping)
        and all(one is None or _number(one) for one in limits.values()),
        "temperature": content.get("temperature") is None or _number(content["temperature"], 1e-9),
    }


def _can_be_prepared(told: Mapping) -> bool:
    size, numbers = told.get("size"), [told.get("mean"), told.get("std")]
    return (
        isinstance(size, int)
        and 1 <= size <= LARGEST
        and all(isinstance(three, list | tuple) and len(three) == 3 and all(map(_number, three)) for three in numbers)
        and min(told["std"]) > 0
        and isinstance(told.get("align"), str)
        and told["align"] in cli.ALIGNMENTS
        and isinstance(told.get("frame", "face"), str)
        and isinstance(told.get("mirror", False), bool)
    )


def _fetches_nothing(config: Mapping) -> bool:
    """Whether building this network stays on this machine and in this program: timm would follow `hf-hub:` and
    `local-dir:`, and download what is asked for as `pretrained`."""
    for name, value in config.items():
        if str(name).startswith(("pretrained", "checkpoint", "cache_dir")) and value:
            return False
        if isinstance(value, Mapping) and not _fetches_nothing(value):
            return False
    backbone = config.get("backbone", "convnext_atto")
    return isinstance(backbone, str) and re.fullmatch(r"[\w.-]+", backbone) is not None


def _small(value: Any) -> bool:
    """Whether no number in a config is larger than a network has use for."""
    if isinstance(value, Mapping | list | tuple):
        return all(map(_small, value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, int | float) or -LARGEST <= value <= LARGEST


def _number(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and low <= value <= high


def _shown(value: Any) -> str:
    """A stranger's value in a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:80]}…"


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that a result depends on."""
    found = {"python": platform.python_version()}
    for name in ("facecom", "torch", "timm", "albumentations", "opencv-python-headless", "numpy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout, or another OpenCV build
            continue
    return found


def plain(value: Any) -> Any:
    """The value in types that a safe load accepts: paths as text, NumPy numbers as Python's, mappings as dicts."""
    if value is None or isinstance(value, bool | int | float | str | torch.Tensor):
        return float(value) if isinstance(value, np.floating) else value  # np.float64 is a float, yet not plain
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"a checkpoint holds plain values only, not {type(value).__name__}")
