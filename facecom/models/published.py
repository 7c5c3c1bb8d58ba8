"""The published solution: what its bare weight files leave unsaid."""

import os
from collections.abc import Mapping

import numpy as np
from numpy._core import multiarray

from facecom.errors import FacecomError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Photos are resized whole to 224 px. The gender network was trained on ImageNet-normalised photos, but the published
#: test script does not normalise: as published it sees pixels in 0..1 (`test.py --normalize` corrects that).
GENDER_PREPROCESSING = {"size": 224, "mean": (0.0,) * 3, "std": (1.0,) * 3, "align": "off", "colour": "rgb"}
SIAMESE_PREPROCESSING = {"size": 224, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}

#: The networks that were published, by task.
BACKBONE = {"siamese": "convnext_atto", "gender": "convnext_tiny"}

#: Names under which training scripts save a state dict beside other things, and what wrappers put before its names.
WRAPPERS = ("model_state_dict", "state_dict", "model", "net", "checkpoint", "weights")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")

#: NumPy's numbers and arrays, which training scripts leave beside the weights (`best_acc`): plain values, under their
#: names of NumPy 1 and 2.
NUMPY_VALUES: list = [np.ndarray, np.dtype, *(type(np.dtype(code)) for code in "?bBhHiIlLqQefd")]
for _home in ("numpy._core.multiarray", "numpy.core.multiarray"):
    for _maker in (multiarray.scalar, multiarray._reconstruct):
        NUMPY_VALUES.append((_maker, f"{_home}.{_maker.__name__}"))

#: Wrappers round each other that are opened.
DEPTH = 4

#: Set by hand there, on no data: no false accept rate belongs to it.
SIAMESE_THRESHOLD = 0.5

#: timm's ConvNeXt models by (channels after the stem, blocks a stage).
_CONVNEXTS = {
    (40, (2, 2, 6, 2)): "convnext_atto",
    (48, (2, 2, 6, 2)): "convnext_femto",
    (64, (2, 2, 6, 2)): "convnext_pico",
    (80, (2, 2, 8, 2)): "convnext_nano",
    (96, (3, 3, 9, 3)): "convnext_tiny",
    (96, (3, 3, 27, 3)): "convnext_small",
    (128, (3, 3, 27, 3)): "convnext_base",
}


def describe(state: Mapping, path: str | os.PathLike) -> dict:
    """A bare state dict of the published solution, as the dict that a checkpoint would hold.

    state: `encoder.*` and `projection.*` (Siamese), or `backbone.*` and `classifier.*` (gender), as `bare` takes it.
    The backbone is found from the shapes. Raises FacecomError when it is neither, or the backbone is none of timm's
    plain ConvNeXts.
    """
    state = bare(state)
    parts = {str(name).split(".")[0] for name in state}
    if parts == {"encoder", "projection"}:
        task, body, preprocessing = "siamese", "encoder", SIAMESE_PREPROCESSING
        points = [{"threshold": SIAMESE_THRESHOLD, "far": None, "genuine": None, "impostor": None, "identities": None}]
    elif parts == {"backbone", "classifier"}:
        task, body, preprocessing, points = "gender", "backbone", GENDER_PREPROCESSING, []
    else:
        raise FacecomError(f"{path}: neither a facecom checkpoint nor the published solution's weights: give others")
    return {
        "format": None,
        "task": task,
        "model": dict(state),
        "config": {"task": task, "backbone": convnext_of(state, body, path), "img_size": preprocessing["size"]},
        "preprocessing": dict(preprocessing),
        "operating_points": points,
        "temperature": None,
    }


def bare(content: Mapping) -> Mapping:
    """The state dict in what a training script saved: unwrapped (`WRAPPERS`), and without the prefixes that
    DataParallel, torch.compile and Lightning put before every name."""
    for _ in range(DEPTH):
        content = _inside(content) or content
    for _ in PREFIXES:  # one may stand before the other, whichever way round
        for prefix in PREFIXES:
            if content and all(str(name).startswith(prefix) for name in content):
                content = {name.removeprefix(prefix): value for name, value in content.items()}
    return content


def _inside(content: Mapping) -> Mapping | None:
    """What lies in a wrapper, whatever the case of its name; None where there is no wrapper."""
    found = {str(name).lower(): value for name, value in content.items() if isinstance(value, Mapping)}
    return next((found[name] for name in WRAPPERS if name in found), None)


def opened(content: Mapping) -> Mapping:
    """A checkpoint of facecom that lies in wrappers of others, its weights without their prefixes; anything else is as
    it was."""
    inner: Mapping | None = content
    for _ in range(DEPTH):
        if inner is None or "format" in inner:
            break
        inner = _inside(inner)
    if not inner or "format" not in inner:
        return content
    return {**inner, "model": bare(inner["model"])} if isinstance(inner.get("model"), Mapping) else inner


def convnext_of(state: Mapping, prefix: str, path: str | os.PathLike) -> str:
    """timm's name of the ConvNeXt whose weights lie under `prefix.`. Raises FacecomError for any other network."""
    stem = state.get(f"{prefix}.stem.0.weight")
    blocks = {
        tuple(name.split(".")[2:5:2]) for name in state if name.startswith(f"{prefix}.stages.") and "blocks" in name
    }
    depths = tuple(sum(stage == str(s) for stage, _ in blocks) for s in range(4))
    known = _CONVNEXTS.get((len(stem), depths)) if stem is not None and getattr(stem, "ndim", False) else None
    if known is None:
        raise FacecomError(f"{path}: the backbone is none of timm's ConvNeXt sizes: save a facecom checkpoint instead")
    return known
