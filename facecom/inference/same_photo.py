"""Whether two files show one photograph, whatever the weather was put over it.

Where glare leaves nothing of a face, the rest of the picture still says which photograph it was. The descriptor is
copy detection (Douze et al., "The 2021 Image Similarity Dataset and Challenge"), not recognition: it knows nothing of
people, and another photo of the same person is another photo. Gradients of the whole picture, each divided by the
strength of those around it (as HOG's blocks do: Dalal and Triggs, CVPR 2005), through a linear discriminant analysis
whose classes are photos and whose members are their copies (`pretraining/same_photo.py`).
"""

from collections.abc import Sequence
from functools import cache
from typing import cast

import cv2
import numpy as np
import torch
from torch.nn import functional

#: Side in pixels of the picture whose gradients count.
SIDE = 32

#: How far around a gradient its surroundings reach, and the strength that they have at least, so that the grain of an
#: even wall stays small.
SURROUNDINGS, LEAST_STRENGTH = SIDE / 16, 12.0

#: Length of all normalised gradients below which there is no picture: FACECOM's darkest and brightest copies have 13
#: and more, a white picture none, the grain of an even wall 5 to 8.
LEAST_PICTURE = 10.0

#: Distance between the eyes, as a share of the shorter side, below which a picture shows a place rather than a head:
#: the next person before the same wall would pass for its copy. FACECOM's is .165.
LEAST_EYES = 0.08


def gradients(photo: np.ndarray) -> np.ndarray:
    """RGB uint8 [H, W, 3] of any size, squeezed to a square -> float32 [2048], unit length: horizontal and vertical
    derivative of the grey picture, locally normalised. Zeros for a picture with nothing on it."""
    grey = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    strength = cv2.GaussianBlur(cv2.magnitude(across, down), (0, 0), SURROUNDINGS) + LEAST_STRENGTH
    found = np.stack([across / strength, down / strength]).ravel()
    length = np.linalg.norm(found)
    return found / length if length >= LEAST_PICTURE else np.zeros_like(found)


def describe(photos: Sequence[np.ndarray], landmarks: np.ndarray | None = None) -> np.ndarray:
    """Descriptors of photos as `gradients` takes them, float32 [N, 128], unit length; zeros, like no photograph, where
    there is nothing on the picture or no head that fills it.

    landmarks: float32 [N, 5, 2], pixels of each photo, NaN where nobody looked for a face: then a head is assumed.
    """
    discriminant, _ = _shipped()
    pictures = np.stack([gradients(photo) for photo in photos])
    with torch.inference_mode():
        found = functional.normalize(discriminant(torch.from_numpy(pictures)), eps=1e-6).numpy()
    nothing = ~pictures.any(1)
    if landmarks is not None:
        eyes = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1)
        nothing |= eyes < LEAST_EYES * np.array([min(photo.shape[:2]) for photo in photos])
    found[nothing] = 0
    return found


def least_likeness() -> float:
    """Cosine of two descriptors from which on two files are one photograph: of a million pairs of photos of different
    people at most one passes (fixed on held-back people)."""
    return _shipped()[1]


@cache
def _shipped() -> tuple[torch.nn.Module, float]:
    """(float32 [N, 2048] -> [N, 128], the cosine)."""
    from facecom.models import checkpoint

    loaded = checkpoint.load(None, "same_photo")
    threshold = loaded.operating_points[0]["threshold"]
    return cast(torch.nn.Module, loaded.model.discriminant), 1 - threshold**2 / 2
