"""How large photos are looked at: many from a camera must fit in memory, and training must see what testing sees."""

import cv2
import numpy as np

#: Longest side in pixels that a photo is scaled down to once decoded. A face that fills a third of the picture keeps
#: twice the pixels of the crop; YuNet is for smaller ones.
LONGEST_SIDE, LONGEST_SIDE_YUNET = 640, 1600


def longest_side(mode: str) -> int:
    """The longest side for a way of finding the face (`faces.ALIGNMENTS`)."""
    return LONGEST_SIDE_YUNET if mode == "yunet" else LONGEST_SIDE


def shrink(photo: np.ndarray, longest: int) -> np.ndarray:
    """The photo itself, or where it is larger a copy of which the longest side has so many pixels."""
    share = longest / max(photo.shape[:2])
    if share >= 1:
        return photo
    height, width = (max(1, round(side * share)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)
