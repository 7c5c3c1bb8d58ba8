"""Something else around the face.

Crops of tables (`faces.parquet`) come from pictures that end close to the face: beyond is a replicated border, which
the photos to be recognised do not have, and to which the teacher's embedding reacts. So the network sees each face
with many borders, half of the time in front of what surrounds another face.
"""

import cv2
import numpy as np


def plain_border(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The outer pixels replaced by a colour, clouds of colour, or their own mirror image or last row.

    crop: RGB uint8 [S, S, 3]; returns the same shape.
    """
    size = crop.shape[0]
    inset = [int(rng.integers(0, size // 7)) for _ in range(4)]
    top, bottom, left, right = inset
    inner = crop[top : size - bottom, left : size - right]
    kind = rng.integers(4)
    if kind == 0:
        colour = [int(c) for c in rng.integers(0, 256, 3)]
        return cv2.copyMakeBorder(inner, *inset, cv2.BORDER_CONSTANT, value=colour)
    if kind == 1:
        return cv2.copyMakeBorder(inner, *inset, cv2.BORDER_REFLECT_101)
    if kind == 2:
        return cv2.copyMakeBorder(inner, *inset, cv2.BORDER_REPLICATE)
    ground = cv2.resize(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8), (size, size), interpolation=cv2.INTER_CUBIC)
    ground[top : size - bottom, left : size - right] = inner
    return ground


def face_mask(size: int, rng: np.random.Generator) -> np.ndarray:
    """Where the aligned face is: a superellipse, from an oval to nearly a rectangle, soft at its edge.

    float32 [size, size, 1] in [0, 1].
    """
    x0, y0 = size * rng.uniform(0.47, 0.53), size * rng.uniform(0.54, 0.60)
    width, height = size * rng.uniform(0.31, 0.46), size * rng.uniform(0.38, 0.56)
    power = rng.uniform(2, 7)
    x, y = (np.abs((np.arange(size) - at) / half) ** power for at, half in ((x0, width), (y0, height)))
    inside = (x[None] + y[:, None] < 1).astype(np.float32)
    return cv2.GaussianBlur(inside, (0, 0), size / 112 * rng.uniform(0.5, 4))[..., None]


def in_front_of(crop: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The face of one crop in the surroundings of another, both RGB uint8 [S, S, 3], aligned alike."""
    mask = face_mask(len(crop), rng)
    return (other + mask * (crop.astype(np.float32) - other)).round().astype(np.uint8)
