"""Cameras of our own making that nothing is trained on: how well an encoder knows people in photos of other origins."""

import cv2
import numpy as np

from facecom.conditions.jpeg import through_jpeg

#: Rows and columns of the face itself in an aligned 112 px crop.
FACE = slice(32, 98), slice(30, 82)


def infrared(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A crop as a cheap night camera sees it. RGB uint8 [H, W, 3] in and out."""
    height, width = crop.shape[:2]
    grey = crop @ np.float32([0.8, 0.1, 0]) + 20
    grey = cv2.resize(grey, (int(width * 0.7), int(height * 0.7)), interpolation=cv2.INTER_AREA)
    rows, columns = (np.arange(side) / side - 0.5 for side in grey.shape)
    grey = 255 * np.clip(grey / 255, 0, 1) ** 0.6 * (1.25 - 1.3 * np.hypot(rows[:, None], columns))
    grey = np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255)
    grey[::2] *= 0.85
    grey = cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return through_jpeg(np.repeat(grey[..., None], 3, 2), 60)


def tight(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The face itself of an aligned 112 px crop. RGB uint8 [112, 112, 3] -> RGB uint8 [66, 52, 3]."""
    return crop[FACE].copy()


def tight_in_place(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tight crop where it lay, its edges drawn out over what is gone. RGB uint8 [112, 112, 3] in and out."""
    (top, bottom), (left, right) = ((part.start, 112 - part.stop) for part in FACE)
    return cv2.copyMakeBorder(tight(crop, rng), top, bottom, left, right, cv2.BORDER_REPLICATE)


#: What held-back people's crops go through in `compare`: photos of one camera against each other.
CAMERAS = {"night camera": infrared, "tight": tight_in_place}
