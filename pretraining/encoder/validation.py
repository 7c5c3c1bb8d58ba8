"""How well the encoder knows held-back people: each condition's probes against other, clean photos."""

import cv2
import numpy as np
import torch

from facecom.conditions import distort
from facecom.conditions.impulses import without_impulses
from facecom.conditions.jpeg import through_jpeg
from facecom.faces.alignment import frame_matrix
from facecom.models import mirror

CONDITIONS = ("clean", "blurred", "foggy", "lowlight", "noisy", "rainy", "resized", "sunny")


def embed_with_quality(
    model, crops, device: str, amp: bool, batch_size: int = 256, mirrored: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """crops: RGB uint8 [N, H, W, 3] -> embeddings float32 [N, 128], quality float32 [N]. mirrored: `mirror.embed`."""
    parts = []
    model.eval()
    with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
        for start in range(0, len(crops), batch_size):
            x = torch.from_numpy(crops[start : start + batch_size]).to(device).permute(0, 3, 1, 2).float()
            parts.append([part.cpu().numpy() for part in mirror.embed(model, x.sub_(127.5).div_(127.5), mirrored)])
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def embed(model, crops, device: str, amp: bool) -> np.ndarray:
    """crops: RGB uint8 [N, H, W, 3] -> float32 [N, 128], unit length."""
    return embed_with_quality(model, crops, device, amp)[0]


def framed(crops: np.ndarray, size: int, frame: str) -> np.ndarray:
    """Crops in the frame `face`, RGB uint8 [N, 112, 112, 3] -> in another, RGB uint8 [N, size, size, 3]."""
    if frame == "face":
        return np.stack([cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA) for crop in crops])
    matrix = frame_matrix(frame, size)
    return np.stack([cv2.warpAffine(c, matrix, (size, size), borderMode=cv2.BORDER_REPLICATE) for c in crops])


def validate(
    model, people, device: str, amp: bool, size: int, frame: str, limit: int = 1500, seed: int = 0
) -> list[dict]:
    """Rows `condition, tar (at FAR 1e-3), rank1 (own photo left out), cosine (to the teacher's clean embedding)`."""
    # Whole people, so that other photos are there.
    order = np.random.default_rng(seed).permutation(np.unique(people.identity[people.held_back]))
    rank = {name: place for place, name in enumerate(order)}
    chosen = np.array(sorted(people.held_back, key=lambda i: (rank[people.identity[i]], i))[:limit])
    identity = people.identity[chosen]
    crops = np.stack([people.crops[i] for i in chosen])
    same = identity[:, None] == identity[None]
    own = np.eye(len(chosen), dtype=bool)
    gallery = embed(model, framed(crops, size, frame), device, amp)
    rows = []
    for condition in CONDITIONS:
        probes = gallery
        if condition != "clean":
            copies = [distort(crop, condition, 3, int(i), scale=1.0) for crop, i in zip(crops, chosen, strict=True)]
            # Out of a file of FACECOM's quality, and as before recognition.
            copies = [without_impulses(through_jpeg(copy)) for copy in copies]
            probes = embed(model, framed(np.stack(copies), size, frame), device, amp)
        scores = probes @ gallery.T
        impostors = np.sort(scores[~same])
        threshold = impostors[int(np.ceil(len(impostors) * (1 - 1e-3))) - 1]
        has_other = (same & ~own).any(1)
        best = np.where(own, -2, scores).argmax(1)
        rows.append(
            {
                "condition": condition,
                "tar": round(float((scores[same & ~own] > threshold).mean()), 4),
                "rank1": round(float((identity[best] == identity)[has_other].mean()), 4),
                "cosine": round(float((probes * people.targets[chosen]).sum(1).mean()), 4),
            }
        )
    return rows
