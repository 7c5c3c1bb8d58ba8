"""The distortions as one albumentations transform. Apart from the rest, since albumentations imports torch."""

import os

from facecom.conditions.distortions import DISTORTIONS, distort

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # its online version check must not run offline
import albumentations as A  # noqa: E402


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
