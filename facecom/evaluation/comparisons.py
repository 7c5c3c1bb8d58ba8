"""Comparisons of photos: every probe of a condition against every clean photo, in blocks.

table: DataFrame with a row a file and the columns `identity`, `photo`, `condition`; embeddings: float32 [N, D], unit
length, or `Templates`, in the table's order. Distances are those of `templates`, 0 to 2; scores are negative distances.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd

from facecom.conditions import CONDITIONS
from facecom.inference.templates import Templates, as_templates, distance_matrix

#: Comparisons in memory at once.
BLOCK = 2**22


def readable(table: pd.DataFrame, embeddings: Templates | np.ndarray) -> tuple[pd.DataFrame, Templates | np.ndarray]:
    """Both without the files that could not be read; the table numbered from 0."""
    keep = as_templates(embeddings).readable
    return table[keep].reset_index(drop=True), embeddings[keep]


def identity_keys(table: pd.DataFrame) -> np.ndarray:
    """int [N]: a number an identity, from 0."""
    return pd.factorize(table["identity"], sort=True)[0]


def photo_keys(table: pd.DataFrame) -> np.ndarray:
    """int [N]: the same number for a photo and its distorted copies."""
    identity, photo = (pd.factorize(table[name])[0].astype(np.int64) for name in ("identity", "photo"))
    return pd.factorize(identity * (photo.max(initial=0) + 1) + photo)[0]


def present_conditions(table: pd.DataFrame) -> list[str]:
    """The table's conditions in their usual order, others after them, and `all` when there are several."""
    found = set(table["condition"])
    names = [c for c in CONDITIONS if c in found] + sorted(found - set(CONDITIONS))
    return names + ["all"] if len(names) > 1 else names


def comparisons(
    table: pd.DataFrame, embeddings: Templates | np.ndarray, condition: str
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Every probe of the condition (`all`: every file) against every clean photo, in blocks of probes.

    Yields (probes int [p], gallery int [G]: rows of the table; scores float32 [p, G]; same bool [p, G]: one person;
    own bool [p, G]: the probe's own photo). Yields nothing without probes or clean photos.
    """
    identity, photo = identity_keys(table), photo_keys(table)
    conditions = table["condition"].to_numpy()
    gallery = np.flatnonzero(conditions == "clean")
    probes = np.arange(len(table)) if condition == "all" else np.flatnonzero(conditions == condition)
    step = max(1, BLOCK // max(1, len(gallery)))
    for start in range(0, len(probes) if len(gallery) else 0, step):
        block = probes[start : start + step]
        scores = -distance_matrix(embeddings[block], embeddings[gallery])
        same = identity[block][:, None] == identity[gallery]
        yield block, gallery, scores, same, photo[block][:, None] == photo[gallery]


def strictest_scores(
    table: pd.DataFrame, embeddings: Templates | np.ndarray, condition: str, far: float
) -> tuple[np.ndarray, np.ndarray, int]:
    """(genuine, impostor, count): scores of the cross-photo protocol, own photo left out; of the impostor scores only
    the highest, as many as decide about false accept rates up to `far`, and how many there are in all."""
    gallery = table["identity"][table["condition"] == "clean"]
    probes = table if condition == "all" else table[table["condition"] == condition]
    same_person = probes["identity"].map(gallery.value_counts()).fillna(0)
    count = int(len(probes) * len(gallery) - same_person.sum())
    genuine, impostor = [np.empty(0, np.float32)], np.empty(0, np.float32)
    for _, _, scores, same, own in comparisons(table, embeddings, condition):
        genuine.append(scores[same & ~own])
        impostor = highest(np.concatenate([impostor, scores[~same]]), int(far * count) + 2)
    return np.concatenate(genuine), impostor, count


def highest(scores: np.ndarray, keep: int) -> np.ndarray:
    """The `keep` highest scores in any order, or all where they are fewer: float [N] -> float [min(N, keep)]."""
    return np.partition(scores, len(scores) - keep)[-keep:] if len(scores) > keep else scores


#: Side in pixels of the picture whose gradients are compared.
BASELINE_SIDE = 64


def untrained_baseline(images: list[np.ndarray]) -> np.ndarray:
    """Gradients of the picture at 64 x 64 as a unit vector, to compare like an embedding.

    images: RGB uint8 [H, W, 3] of any sizes, whole pictures. Returns float32 [N, 8192]: horizontal and vertical
    derivative of the grey picture.
    """
    features = np.empty((len(images), 2 * BASELINE_SIDE * BASELINE_SIDE), np.float32)
    for row, image in zip(features, images, strict=True):
        small = cv2.resize(
            cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (BASELINE_SIDE, BASELINE_SIDE), interpolation=cv2.INTER_AREA
        )
        gradients = np.stack([cv2.Sobel(small, cv2.CV_32F, 1, 0), cv2.Sobel(small, cv2.CV_32F, 0, 1)]).ravel()
        row[:] = gradients / max(np.linalg.norm(gradients), 1e-6)
    return features
