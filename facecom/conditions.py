"""The eight conditions of a photo: how a file name says which, and the distortions as one albumentations transform."""

import os
from pathlib import PurePath

from facecom.distortions import distort

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its online version check must not run offline
import albumentations as A  # noqa: E402

CONDITIONS = ("clean", "blurred", "foggy", "lowlight", "noisy", "rainy", "resized", "sunny")
DISTORTIONS = CONDITIONS[1:]
SIMULATED = (*DISTORTIONS, "occluded")


def condition_of(path: str | PurePath) -> tuple[str, str]:
    """(photo, condition) that a file's name says: `Ann_0001_foggy.jpg` -> (`Ann_0001`, `foggy`).

    A name without a known condition at its end is a clean photo.
    """
    stem = PurePath(path).stem
    photo, _, word = stem.rpartition("_")
    if photo and word.lower() in DISTORTIONS:
        return photo, word.lower()
    return stem, "clean"


class Distort(A.ImageOnlyTransform):
    """albumentations transform: one of several conditions, chosen at random, at a severity from a range.

    conditions: names to choose from, evenly; severity: a number or (lowest, highest), 1 to 5; scale: see `distort`.
    """

    def __init__(self, conditions=DISTORTIONS, severity=(1, 5), scale: float | None = None, p: float = 0.5):
        super().__init__(p=p)
        self.conditions = (conditions,) if isinstance(conditions, str) else tuple(conditions)
        self.severity = (severity, severity) if isinstance(severity, int) else tuple(severity)
        self.scale = scale

    def get_params(self):
        return {
            "condition": self.py_random.choice(self.conditions),
            "level": self.py_random.randint(*self.severity),
            "seed": self.py_random.getrandbits(32),
        }

    def apply(self, img, condition, level, seed, **params):
        return distort(img, condition, level, seed, self.scale)

    def get_transform_init_args_names(self):
        return ("conditions", "severity", "scale")
