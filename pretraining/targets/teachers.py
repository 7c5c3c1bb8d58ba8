"""Teachers of the encoder: one or several published face embedders, and what they say of a crop together.

A teacher is a file: an ONNX embedder, or a state dict of EdgeFace (George et al., TBIOM 2024; BSD-3-Clause), whose
linear layers may be int8. All see aligned 112 px crops. The embeddings of a photo and of its mirror image are averaged,
scaled to unit length, and several teachers stand side by side, each with its weight as its share of the squared length.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn
from tqdm import tqdm

from facecom.cli import cpu_has_bf16
from facecom.errors import FacecomError

#: Numbers an EdgeFace embedding has.
EDGEFACE_SIZE = 512

#: EdgeFace's backbones, by the width of their first layer.
EDGEFACE_BACKBONES = {32: "edgenext_x_small", 24: "edgenext_xx_small"}

#: Crops that a core embeds at once.
BATCH = 64

PACKED = "._packed_params._packed_params"

#: Crops RGB uint8 [B, 112, 112, 3] -> embeddings float32 [B, D], unit length.
Look = Callable[[np.ndarray], np.ndarray]


def dequantised(state: dict) -> dict[str, torch.Tensor]:
    """EdgeFace's state dict as timm's network of the same kind names it, float32: without the leading `model.`, and
    with plain weights in the place of int8 layers."""
    plain = {}
    for name, value in state.items():
        name = name.removeprefix("model.")
        if name.endswith(PACKED):
            layer, (weight, bias) = name.removesuffix(PACKED), value
            plain[f"{layer}.weight"], plain[f"{layer}.bias"] = weight.dequantize(), bias.detach()
        elif not name.endswith((".scale", ".zero_point", "._packed_params.dtype")):
            plain[name] = value
    return plain


def edgeface(path: str | Path) -> nn.Module:
    """An EdgeFace network in eval mode: float [B, 3, 112, 112], RGB / 127.5 - 1 -> float [B, 512], of any length.

    Raises FacecomError for a file that is none of the two known ones.
    """
    state = dequantised(torch.load(path, map_location="cpu", weights_only=True))
    first = state.get("stem.0.weight")
    backbone = None if first is None else EDGEFACE_BACKBONES.get(len(first))
    if backbone is None:
        raise FacecomError(f"{path}: no state dict of EdgeFace-XS or -XXS")
    network = timm.create_model(backbone, num_classes=EDGEFACE_SIZE)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def look_of_edgeface(path: str | Path, device: str = "cpu", amp: bool = False) -> Look:
    """EdgeFace as a function of crops; amp: in bfloat16."""
    network = edgeface(path).to(device)

    def look(crops):
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
            x = torch.from_numpy(np.ascontiguousarray(crops)).to(device).permute(0, 3, 1, 2)
            found = network(x.float().div_(127.5).sub_(1)).float()
            return nn.functional.normalize(found, dim=1).cpu().numpy()

    return look


def look_of_onnx(path: str | Path) -> Look:
    """An ONNX embedder (RGB, ImageNet mean and std) as a function of crops.

    A thread a core runs one photo at a time: published face models often have a batch of one in their graph, and
    on a CPU this is as fast as batches.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)

    def embed(crop):
        photo = ((crop / np.float32(255) - mean) / std).transpose(2, 0, 1)
        found = session.run(None, {name: np.ascontiguousarray(photo[None])})[0][0]
        return found / np.linalg.norm(found)

    def look(crops):
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return np.stack(list(threads.map(embed, crops)))

    return look


def open_teacher(path: str | Path, device: str = "cpu", amp: bool = False) -> Look:
    """The teacher in a file, by its suffix: `.onnx`, or EdgeFace's `.pt`."""
    return look_of_onnx(path) if Path(path).suffix == ".onnx" else look_of_edgeface(path, device, amp)


def of_both(look: Look, crops: np.ndarray) -> np.ndarray:
    """What a teacher says of photos and their mirror images: the mean, float32 [N, D], unit length."""
    count = len(crops)
    found = look(np.concatenate([crops, crops[:, :, ::-1]]))
    both = found[:count] + found[count:]
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def side_by_side(parts: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """Embeddings of several teachers, float32 [N, D_i] each, unit -> [N, sum of D_i], unit; weights: the share of each
    in the squared length, of any sum."""
    shares = np.sqrt(np.asarray(weights, np.float32) / np.sum(weights, dtype=np.float32))
    return np.concatenate([share * part for share, part in zip(shares, parts, strict=True)], 1)


def teacher_embeddings(
    crops: np.ndarray, teachers: Sequence[str], weights: Sequence[float] | None = None, amp: bool = True
) -> np.ndarray:
    """What the teachers say of each crop and its mirror image together: float32 [N, D], unit length.

    crops: RGB uint8 [N, 112, 112, 3]; teachers: files; weights: as for `side_by_side`, evenly by default;
    amp: in bfloat16 where the processor has it.
    """
    looks = [open_teacher(path, amp=amp and cpu_has_bf16()) for path in teachers]
    weights = weights or [1.0] * len(looks)
    starts = range(0, len(crops), BATCH)

    def embed(start):
        batch = np.asarray(crops[start : start + BATCH])
        return side_by_side([of_both(look, batch) for look in looks], weights)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a batch a core: where the cores are shared, threads that wait for each other take longer
    try:
        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(tqdm(pool.map(embed, starts), "teacher", len(starts), mininterval=10)))
    finally:
        torch.set_num_threads(threads)
