"""What other programs can ask the page over HTTP: plain values out, as JSON has them.

From Python: `gradio_client.Client(url).predict(handle_file("ann.jpg"), api_name="/gender")`; for others
`/gradio_api/openapi.json` says it. Photos: RGB uint8 [H, W, 3].
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from facecom.data.images import LONGEST_SIDE_FACES, shrink
from facecom.errors import FacecomError
from facecom.page import answers
from facecom.page.answers import needed
from facecom.page.people import Known

if TYPE_CHECKING:
    import gradio


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
    """Every face, from the left: box `x`, `y`, `width`, `height` and `landmarks` [5][2] in pixels of the photo,
    `rotation` (degrees clockwise: 0, 90, 180, 270), and `confidence` (0 to 1). Empty where no face was found."""
    from facecom.conditions.impulses import without_impulses
    from facecom.faces.detect import detect, turns_of
    from facecom.inference.faces import from_the_left

    small = without_impulses(shrink(needed(photo), LONGEST_SIDE_FACES))
    found = from_the_left(detect(small))
    scale = photo.shape[1] / small.shape[1]
    rows = []
    for landmarks, score, box in zip(*found, strict=True):
        row = dict(zip(("x", "y", "width", "height"), (round(float(value) * scale, 1) for value in box), strict=True))
        row |= {"rotation": int(turns_of(landmarks[None])[0]), "confidence": float(score)}
        rows.append(row | {"landmarks": (landmarks * scale).round(1).tolist()})
    return rows


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
