"""A weight file as a function of aligned crops: checkpoints, the published weights and ONNX files alike."""

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from facecom.errors import FacecomError
from facecom.files import sha256_of
from facecom.models import checkpoint, mirror, published, strangers
from facecom.models.backbones.channels_last import made_fast
from facecom.models.networks import build_model, face_confidence, parts_of

#: Key of an ONNX file's metadata under which `export.py` leaves what a checkpoint says besides its weights (JSON).
ONNX_KEY = "facecom"

#: How an ONNX file says that weights lie in another file, which may be any on this machine: in Protobuf the text that
#: is part 1, eight bytes long. Both numbers may be written in more bytes than they need.
EXTERNAL = re.compile(rb"(?:\x0a|\x8a\x80*[\x00\x10\x20\x30\x40\x50\x60\x70])(?:\x08|\x88\x80*\x00)location")

#: The folder in which onnxruntime looks for other files all the same: none, and nothing can lie in it. Not told, it
#: looks in the working folder.
NO_FOLDER = {"session.model_external_initializers_file_folder_path": os.devnull}

#: Where ONNX files run, best first.
ONNX_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class CropNetwork(nn.Module):
    """A network with its preprocessing inside; what runs here is what `export.py` writes.

    forward: crops uint8 RGB [B, size, size, 3] ->
    task siamese: embeddings float32 [B, 128], unit length, and with a quality head quality float32 [B], 0 to 1;
    task gender: probability of female, float32 [B], calibrated;
    task landmarks: landmarks float32 [B, 5, 2], pixels of the crop, and confidence float32 [B], 0 to 1.
    """

    def __init__(self, model: nn.Module, task: str, preprocessing: dict, temperature: float = 1.0):
        super().__init__()
        self.model, self.task, self.temperature = model.eval(), task, temperature
        self.mirror = preprocessing.get("mirror", False)
        mean, std = (torch.tensor(preprocessing[name]).view(3, 1, 1) for name in ("mean", "std"))
        self.register_buffer("gain", 1 / (255 * std))
        self.register_buffer("offset", -mean / std)

    def prepare(self, crops: torch.Tensor) -> torch.Tensor:
        """uint8 RGB [B, size, size, 3] -> float32 [B, 3, size, size], scaled to 0..1 and normalised."""
        # By rows of pixels: a loop over three numbers at a time takes seven times as long.
        gain, offset = (each.flatten().repeat(crops.shape[2]) for each in (self.gain, self.offset))
        rows = crops.flatten(2).float().mul_(gain).add_(offset)
        return rows.reshape(crops.shape).permute(0, 3, 1, 2)

    def forward(self, crops: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = self.prepare(crops)
        if self.task == "landmarks":
            landmarks, log_error, face = self.model(x)
            return landmarks, face_confidence(log_error, face)
        if self.task == "gender":
            return (torch.sigmoid(mirror.logits(self.model, x, self.mirror) / self.temperature),)
        embeddings, quality = mirror.embed(self.model, x, self.mirror)
        return (embeddings,) if self.model.quality is None else (embeddings, quality)


@dataclass(frozen=True)
class Runner:
    """A loaded weight file.

    forward: crops uint8 RGB [B, size, size, 3] -> arrays as `CropNetwork` gives them, quality always (NaN without a
    quality head); operating_points: the default one first, may be empty; limits: `face_confidence` and `quality` below
    which the answer is "cannot tell", may be empty; network: None for an ONNX file.
    """

    task: str
    path: Path
    forward: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    preprocessing: dict
    operating_points: list[dict] = field(default_factory=list)
    limits: dict = field(default_factory=dict)
    network: CropNetwork | None = None
    sha256: str = ""


def load(
    path: str | os.PathLike | None,
    task: str,
    device: torch.device | str = "cpu",
    amp: torch.dtype | None = None,
    normalize: bool = False,
    mirror: bool | None = None,
) -> Runner:
    """The weight file at `path` (None: the shipped one), ready on `device`.

    amp: `cli.pick_amp`'s half precision, None for float32; ONNX files always run in float32. normalize: ImageNet
    normalisation for published gender weights, whose own test left it out; others say themselves what they need.
    mirror: look at each crop and its mirror image, or at the crop alone (None: as the weight file says).
    Raises FacecomError.
    """
    if path is not None and Path(path).suffix.lower() == ".onnx":
        if mirror is not None:
            raise FacecomError(f"{path}: whether it looks at mirror images was settled when it was exported")
        return replace(_load_onnx(Path(path), task, device), sha256=sha256_of(path))
    loaded = checkpoint.load(path, task)
    if mirror is not None:
        loaded.preprocessing |= {"mirror": mirror}
    if normalize and loaded.info["format"] is None:
        loaded.preprocessing |= {"mean": published.IMAGENET_MEAN, "std": published.IMAGENET_STD}
    if torch.device(device).type == "cpu":
        made_fast(loaded.model)
    return replace(of_checkpoint(loaded, task, device, amp), sha256=sha256_of(loaded.path))


def untrained(task: str, device: torch.device | str = "cpu") -> Runner:
    """The published network with random weights: it answers as fast as the trained one, and means nothing."""
    preprocessing = {"siamese": published.SIAMESE_PREPROCESSING, "gender": published.GENDER_PREPROCESSING}[task]
    config = {"task": task, "backbone": published.BACKBONE[task], "img_size": preprocessing["size"]}
    points = [{"threshold": published.SIAMESE_THRESHOLD, "far": None}] if task == "siamese" else []
    model = build_model(config).eval()
    loaded = checkpoint.Loaded(model, config, preprocessing, points, 1.0, {}, Path("random weights"))
    return of_checkpoint(loaded, task, device)


def of_checkpoint(
    loaded: checkpoint.Loaded, task: str, device: torch.device | str = "cpu", amp: torch.dtype | None = None
) -> Runner:
    """The runner of a loaded checkpoint."""
    network = CropNetwork(loaded.model, task, loaded.preprocessing, loaded.temperature).to(device)

    def forward(crops):
        found = []
        with torch.inference_mode(), torch.autocast(torch.device(device).type, amp, enabled=amp is not None):
            for part in parts_of(torch.from_numpy(crops), device):
                found.append([output.float().cpu().numpy() for output in network(part.to(device))])
        return _with_quality(task, [np.concatenate(parts) for parts in zip(*found, strict=True)])

    limits = loaded.info.get("limits") or {}
    return Runner(task, loaded.path, forward, loaded.preprocessing, loaded.operating_points, limits, network)


def open_onnx(path: Path, device: torch.device | str = "cpu"):
    """An onnxruntime session of a file. Raises FacecomError for a file that is none, one that reads others, and
    without onnxruntime."""
    try:
        import onnxruntime
    except ImportError:
        raise FacecomError(f'{path}: ONNX weights need onnxruntime: pip install -e ".[export]"') from None
    strangers.refuse_unreadable(path)
    raw = path.read_bytes()
    elsewhere = f"{path}: keeps its weights in another file, which is not looked for: export it as one file"
    if EXTERNAL.search(raw):
        raise FacecomError(elsewhere)
    wanted = ("CPUExecutionProvider",) if torch.device(device).type == "cpu" else ONNX_PROVIDERS
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what is wrong is said here, in one line
    for name, value in (NO_FOLDER | {"session.load_model_format": "ONNX"}).items():  # not its own format besides
        options.add_session_config_entry(name, value)
    try:
        return onnxruntime.InferenceSession(raw, options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no public base class
        if "external data" in str(error).lower():
            raise FacecomError(elsewhere) from error
        raise FacecomError(f"{path}: not an ONNX file, or a damaged one: export it again") from error


def _load_onnx(path: Path, task: str, device: torch.device | str) -> Runner:
    session = open_onnx(path, device)
    stored = session.get_modelmeta().custom_metadata_map.get(ONNX_KEY)
    if stored is None:
        raise FacecomError(f"{path}: not written by `python -m facecom.export`, so how to prepare photos is unknown")
    try:
        about = json.loads(stored)
    except ValueError as error:
        raise FacecomError(f"{path}: its settings (metadata {ONNX_KEY}) are damaged: export it again") from error
    if not isinstance(about, dict) or about.get("task") != task:
        named = about.get("task") if isinstance(about, dict) else None
        raise FacecomError(f"{path}: these weights are for the task {named!r}, not {task!r}: give others")
    checkpoint.check(about | {"model": {}, "config": {"task": task}}, path)
    name = session.get_inputs()[0].name

    def forward(crops):
        return _with_quality(task, session.run(None, {name: crops}))

    _try_out(forward, task, about["preprocessing"]["size"], path)
    points, limits = about.get("operating_points") or [], about.get("limits") or {}
    return Runner(task, path, forward, about["preprocessing"], points, limits)


def _try_out(forward: Callable, task: str, size: int, path: Path) -> None:
    """Raises FacecomError where a network does not give what its task needs, for two crops."""
    try:
        found = forward(np.zeros((2, size, size, 3), np.uint8))
        dimensions = (2, 1) if task == "siamese" else (1,)
        right = len(found) == len(dimensions) and all(
            part.ndim == count and len(part) == 2 and (np.isfinite(part).all() or place)
            for place, (part, count) in enumerate(zip(found, dimensions, strict=True))
        )
    except Exception as error:  # onnxruntime's errors share no public base class
        raise FacecomError(f"{path}: cannot be run ({str(error).splitlines()[0][:120]}): export it again") from error
    if not right:
        raise FacecomError(f"{path}: does not give what {task} needs, or no numbers: export it again")


def _with_quality(task: str, outputs: list[np.ndarray]) -> tuple[np.ndarray, ...]:
    if task == "siamese" and len(outputs) == 1:
        outputs.append(np.full(len(outputs[0]), np.nan, np.float32))
    return tuple(outputs)
