"""What other programs can ask the page over HTTP: plain values out, as JSON has them.

From Python: `gradio_client.Client(url).predict(handle_file("ann.jpg"), api_name="/gender")`; for others
`/gradio_api/openapi.json` says it. Photos: RGB uint8 [H, W, 3].
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from facecom.data.images import LONGEST_SIDE, shrink
from facecom.errors import FacecomError
from facecom.faces.alignment import box_of
from facecom.page import answers

if TYPE_CHECKING:
    import gradio


class Known:
    """The people who were enrolled since the server began, in memory: names, and embeddings float32 [D]."""

    def __init__(self):
        self.names: list[str] = []
        self.embeddings: list[np.ndarray] = []

    def enrol(self, photo: np.ndarray, name: str) -> dict:
        """Remember a photo of a person. Returns {`people`: {name: photos}}."""
        name = (name or "").strip()
        if photo is None or not name:
            raise FacecomError("a photo and a name, please")
        embedding = answers.verifier().embed([photo])[0]
        self.names.append(name)
        self.embeddings.append(embedding)
        return {"people": {known: self.names.count(known) for known in sorted(set(self.names))}}

    def identify(self, photo: np.ndarray) -> dict:
        """The nearest of those enrolled: `identity`, `distance` (0 to 2), `same` (None: cannot tell)."""
        if not self.names:
            raise FacecomError("nobody is enrolled: send a photo and a name to /enrol")
        verifier = answers.verifier()
        # Here, so that `--help` does not wait for torch.
        from facecom.inference.pipeline import collect
        from facecom.inference.search import nearest
        from facecom.inference.templates import Templates

        templates = verifier.ensemble.templates(collect([needed(photo)], verifier.ensemble, workers=0)[0])
        rows, found = nearest(templates, Templates(np.stack(self.embeddings)))
        distance = float(found[0, 0])
        told = bool(templates.tell(found[:, 0])[0])
        same = bool(distance <= verifier.threshold) if told else None
        return {"identity": self.names[rows[0, 0]], "distance": distance, "same": same}


def verify(first: np.ndarray, second: np.ndarray) -> dict:
    """`same` (None: cannot tell), `distance` (0 to 2), `threshold`, `far` (None where unknown)."""
    found = answers.verifier().verify(needed(first), needed(second))
    return {"same": found.same, "distance": found.distance, "threshold": found.threshold, "far": found.far}


def gender(photo: np.ndarray) -> dict:
    """`gender` (None: cannot tell), `p_female` and `face_confidence` (0 to 1, None where unknown)."""
    row = answers.predictor().predict([needed(photo)]).iloc[0]
    return {
        "gender": row.gender or None,
        "p_female": known(row.p_female),
        "face_confidence": known(row.face_confidence),
    }


def faces(photo: np.ndarray) -> list[dict]:
    """A face each: box `x`, `y`, `width`, `height` of its aligned crop and `landmarks` [5][2], in pixels of the photo,
    and `confidence` (0 to 1). Empty where no face was found."""
    small = shrink(needed(photo), LONGEST_SIDE)
    aligner = next(iter(answers.verifier().ensemble.aligners.values()))
    found = aligner([small])
    rows = []
    for landmarks, confidence in zip(found.landmarks, found.confidence, strict=True):
        if np.isnan(landmarks).any():
            continue
        landmarks = landmarks * (photo.shape[1] / small.shape[1])
        row = dict(zip(("x", "y", "width", "height"), box_of(landmarks), strict=True))
        rows.append(row | {"confidence": known(confidence), "landmarks": landmarks.round(1).tolist()})
    return rows


def needed(photo: np.ndarray | None) -> np.ndarray:
    if photo is None:
        raise FacecomError("a photo, please")
    return photo


def known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def endpoints() -> None:
    """Give the page that is being built its documented calls; their inputs are not seen."""
    import gradio as gr

    people = Known()
    photo, name = ("a photo", gr.Image), ("whose photo it is", gr.Textbox)
    calls = (
        ("verify", verify, (("first photo", gr.Image), ("second photo", gr.Image))),
        ("identify", people.identify, (photo,)),
        ("gender", gender, (photo,)),
        ("faces", faces, (photo,)),
        ("enrol", people.enrol, (photo, name)),
    )
    for call, function, inputs in calls:
        made = [hidden(kind, label) for label, kind in inputs]
        gr.Button(visible=False).click(
            said(function), made, gr.JSON(visible=False), api_name=call, api_description=function.__doc__
        )


def hidden(kind, label: str) -> "gradio.Component":
    import gradio as gr

    options = {"type": "numpy", "image_mode": "RGB"} if kind is gr.Image else {}
    return kind(label=label, visible=False, **options)


def said(function):
    """The function, whose refusals reach the caller as a message."""
    import gradio as gr

    def call(*inputs):
        try:
            return function(*inputs)
        except FacecomError as error:
            raise gr.Error(str(error)) from None

    return call
