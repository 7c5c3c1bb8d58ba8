"""What the page answers: photos in, pictures and a few lines of HTML out. It knows nothing of gradio."""

import html
from functools import cache

import numpy as np

import facecom
from facecom.conditions import DISTORTIONS, distort
from facecom.errors import FacecomError

CANNOT_TELL = "The face was not found well enough, or the photo is too bad."


@cache
def verifier() -> "facecom.FaceVerifier":
    # With a photo against its own copy the sliders shall show what is left of the face, not of the picture.
    return facecom.FaceVerifier(faces_only=True)


@cache
def predictor() -> "facecom.GenderPredictor":
    return facecom.GenderPredictor()


def distorted(photo: np.ndarray, severities: tuple[int, ...]) -> np.ndarray:
    """The photo through every condition whose severity is not 0, in the order of `DISTORTIONS`.

    photo: RGB uint8 [H, W, 3]; a large one is scaled down first, as the pipeline does.
    """
    from facecom.data.images import LONGEST_SIDE, shrink

    photo = shrink(photo, LONGEST_SIDE)
    for condition, severity in zip(DISTORTIONS, severities, strict=True):
        if severity:
            photo = distort(photo, condition, int(severity))
    return photo


def same_person(first: np.ndarray | None, second: np.ndarray | None, *severities: int) -> tuple[np.ndarray | None, str]:
    """(the second photo in the chosen conditions, the answer as HTML). Photos: RGB uint8 [H, W, 3] or None."""
    if second is None:
        return None, answer("", "Two photos, please", "Upload them, or click an example below.")
    second = distorted(second, severities)
    if first is None:
        return second, answer("", "One more photo, please", "Upload it, or click an example below.")
    found = verifier().verify(first, second)
    measure = f"distance {found.distance:.3f}; the same person up to {found.threshold:.3f}"
    if found.same is None:
        return second, answer("", "Cannot tell", CANNOT_TELL, f"Not to be relied on: {measure}")
    passing = f"At this threshold 1 in {1 / found.far:,.0f} strangers would pass." if found.far else ""
    kind, words = ("yes", "Same person") if found.same else ("no", "Not the same person")
    return second, answer(kind, words, measure, passing)


def gender_of(photo: np.ndarray | None, *severities: int) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """(photo in the chosen conditions, where the network looked, the answer as HTML). Photo: RGB uint8 [H, W, 3]."""
    from facecom.report import explain

    if photo is None:
        return None, None, answer("", "A photo, please", "Upload one, or click an example below.")
    photo = distorted(photo, severities)
    found = predictor().predict([photo]).iloc[0]
    looked_at = explain.explain_gender(predictor().ensemble, [photo])[0]
    face = "" if np.isnan(found.face_confidence) else f"face found with confidence {found.face_confidence:.2f}"
    if not found.gender:
        return photo, looked_at, answer("", "Cannot tell", CANNOT_TELL, face)
    probability = found.p_female if found.gender == "female" else 1 - found.p_female
    return photo, looked_at, answer("yes", found.gender.capitalize(), f"probability {probability:.3f}", face)


def needed(photo: np.ndarray | None) -> np.ndarray:
    """The photo. Raises FacecomError without one."""
    if photo is None:
        raise FacecomError("a photo, please")
    return photo


def answer(kind: str, words: str, *lines: str) -> str:
    """HTML of an answer, which screen readers say when it comes. kind: `yes`, `no`, or empty for neither."""
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in (words, *lines) if line)
    return f'<div class="answer {kind}" role="status">{paragraphs}</div>'
