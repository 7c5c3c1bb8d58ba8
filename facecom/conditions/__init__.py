"""The conditions of a photo, and the distortions as functions of pixels and as one albumentations transform.

`Distort` is imported when it is first used: albumentations takes seconds to import.
"""

from facecom.conditions.distortions import CONDITIONS, DISTORTIONS, SIMULATED, condition_of, distort

__all__ = ["CONDITIONS", "DISTORTIONS", "SIMULATED", "Distort", "condition_of", "distort"]


def __getattr__(name: str):
    if name == "Distort":
        from facecom.conditions.transform import Distort

        return Distort
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
