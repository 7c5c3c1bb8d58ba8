"""Pictures without a face, for the finder to learn what is none."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pretraining.photos import Photo


def without_face(rng, photo: "Photo", scenes: list[np.ndarray], size: int) -> np.ndarray:
    """A picture without a face, RGB uint8 [size, size, 3]: a drawn scene, a part of a photo beside the face, its
    tiles in disorder, or soft noise."""
    kind = rng.integers(4)
    if kind == 0 and scenes:
        picture = scenes[rng.integers(len(scenes))]
        picture = picture[:, ::-1] if rng.random() < 0.5 else picture
        top, left, side = *rng.integers(0, size // 4, 2), size - rng.integers(size // 4, size // 2)
        return cv2.resize(picture[top : top + side, left : left + side], (size, size))
    if kind == 1:
        height, width = photo.image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.25, 0.4))
        top, left = rng.integers(0, height - side), rng.integers(0, width - side)
        eyes = np.linalg.norm(photo.landmarks[1] - photo.landmarks[0])
        beside = np.maximum([left, top] - photo.landmarks, photo.landmarks - [left + side, top + side]).max(1)
        if beside.min() > 0.3 * eyes:
            return cv2.resize(photo.image[top : top + side, left : left + side], (size, size))
    if kind == 2:
        tiles = int(rng.integers(4, 9))
        side = size // tiles
        image = cv2.resize(photo.image, (tiles * side, tiles * side))
        parts = image.reshape(tiles, side, tiles, side, 3).swapaxes(1, 2).reshape(-1, side, side, 3)
        parts = rng.permutation(parts).reshape(tiles, tiles, side, side, 3).swapaxes(1, 2)
        return cv2.resize(parts.reshape(image.shape), (size, size))
    cells = int(2 ** rng.uniform(1, 6))
    noise = rng.normal(rng.uniform(60, 200, 3), rng.uniform(5, 70), (cells, cells, 3))
    return np.clip(cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
