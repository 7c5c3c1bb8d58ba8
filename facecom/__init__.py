"""Gender classification and face verification in bad photos. RGB uint8 everywhere.

from facecom import FaceVerifier, GenderPredictor
"""

from importlib import import_module

_HOMES = {
    "FaceVerifier": "facecom.inference.verifier",
    "Verification": "facecom.inference.verifier",
    "Gallery": "facecom.inference.gallery",
    "GenderPredictor": "facecom.inference.gender",
    "FacecomError": "facecom.errors",
    "read_photo": "facecom.data.images",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    # torch and timm take seconds to import: only whoever asks for a network waits for them.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
