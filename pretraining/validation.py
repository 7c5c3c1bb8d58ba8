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


def threshold_at(impostors: np.ndarray, far: float = 1e-3) -> float:
    """The score that a share `far` of the impostors exceeds. impostors: float [N], not sorted."""
    return float(np.sort(impostors)[int(np.ceil(len(impostors) * (1 - far))) - 1])


def judged(people, limit: int = 1500, seed: int = 0) -> np.ndarray:
    """int64 [M]: held-back crops that judge, whole people, so that other photos of each are there."""
    order = np.random.default_rng(seed).permutation(np.unique(people.identity[people.held_back]))
    rank = {name: place for place, name in enumerate(order)}
    return np.array(sorted(people.held_back, key=lambda i: (rank[people.identity[i]], i))[:limit])


def copies(crops: np.ndarray, chosen: np.ndarray, condition: str) -> np.ndarray:
    """The crops in a condition, severity 3, out of a file of FACECOM's quality and as before recognition: RGB uint8
    [N, 112, 112, 3]. chosen: int [N], their seeds."""
    if condition == "clean":
        return crops
    spoiled = [distort(crop, condition, 3, int(i), scale=1.0) for crop, i in zip(crops, chosen, strict=True)]
    return np.stack([without_impulses(through_jpeg(copy)) for copy in spoiled])


def figures(
    probes: np.ndarray, gallery: np.ndarray, identity: np.ndarray, gender: np.ndarray, targets: np.ndarray
) -> dict:
    """TAR at FAR 1e-3 among all strangers (`tar`) and among those of the probe's own gender (`tar_gender`, of the
    probes whose gender is known), rank-1 with the own photo left out, mean cosine to the targets.

    probes, gallery: float32 [N, D], unit, of the same photos; identity, gender: str [N].
    """
    scores, own = probes @ gallery.T, np.eye(len(probes), dtype=bool)
    same = identity[:, None] == identity[None]
    known = (gender != "")[:, None]
    alike = ~same & known & (gender[:, None] == gender[None])
    genuine = same & ~own
    told = alike.any() and (genuine & known).any()
    of_gender = (scores[genuine & known] > threshold_at(scores[alike])).mean() if told else np.nan
    best = np.where(own, -2, scores).argmax(1)
    return {
        "tar": round(float((scores[genuine] > threshold_at(scores[~same])).mean()), 4),
        "tar_gender": round(float(of_gender), 4),
        "rank1": round(float((identity[best] == identity)[genuine.any(1)].mean()), 4),
        "cosine": round(float((probes * targets).sum(1).mean()), 4),
    }


def validate(model, people, device: str, amp: bool, size: int, frame: str, limit: int = 1500) -> list[dict]:
    """Rows `condition` and `figures`, of one look at each photo."""
    chosen = judged(people, limit)
    crops = np.stack([people.crops[i] for i in chosen])
    identity, gender, targets = people.identity[chosen], people.gender[chosen], people.targets[chosen]
    gallery, rows = embed(model, framed(crops, size, frame), device, amp), []
    for condition in CONDITIONS:
        probes = gallery
        if condition != "clean":
            probes = embed(model, framed(copies(crops, chosen, condition), size, frame), device, amp)
        rows.append({"condition": condition} | figures(probes, gallery, identity, gender, targets))
    return rows
