"""Every face of a photo on the page, and the people whom somebody has introduced to it."""

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facecom.data.images import LONGEST_SIDE_FACES, shrink
from facecom.errors import FacecomError
from facecom.page import answers

if TYPE_CHECKING:
    from facecom.inference.templates import Templates

#: Most people that a session, or the server, remembers: what is sent to the page must not fill the memory.
MOST_KNOWN = 1000

#: Longest side of the picture that is shown, pixels.
SHOWN = 1600

KNOWN, UNKNOWN, UNSURE = (24, 128, 56), (30, 80, 160), (110, 116, 122)


class Known:
    """The people who were enrolled, in memory: names, and embeddings float32 [D], a photo each."""

    def __init__(self):
        self.names: list[str] = []
        self.embeddings: list[np.ndarray] = []

    def enrol(self, photo: np.ndarray | None, name: str) -> dict:
        """Remember a photo of a person. Returns {`people`: {name: photos}}."""
        name = (name or "").strip()
        if photo is None or not name:
            raise FacecomError("a photo and a name, please")
        if len(self.names) >= MOST_KNOWN:
            raise FacecomError(f"{MOST_KNOWN:,} photos are known already: start the page anew")
        seen = self.seen(photo)
        if seen.told is None or not seen.told[0]:
            raise FacecomError(f"no face that can be told: {answers.CANNOT_TELL} Another photo, please")
        self.embeddings.append(seen.faces[0])
        self.names.append(name)
        return {"people": self.people()}

    def people(self) -> dict[str, int]:
        """{name: photos}, sorted."""
        return {name: self.names.count(name) for name in sorted(set(self.names))}

    def identify(self, photo: np.ndarray) -> dict:
        """The nearest of those enrolled: `identity`, `distance` (0 to 2), `same` (None: cannot tell)."""
        if not self.names:
            raise FacecomError("nobody is enrolled: send a photo and a name to /enrol")
        templates = self.seen(answers.needed(photo))
        name, distance = self.nearest(templates.faces[0])
        told, threshold = bool(templates.tell(np.array([distance]))[0]), answers.verifier().threshold
        return {"identity": name, "distance": distance, "same": bool(distance <= threshold) if told else None}

    @staticmethod
    def seen(photo: np.ndarray) -> "Templates":
        """What a photo is compared by."""
        # Here, so that `--help` does not wait for torch.
        from facecom.inference.pipeline import collect

        ensemble = answers.verifier().ensemble
        return ensemble.templates(collect([photo], ensemble, workers=0)[0])

    def nearest(self, embedding: np.ndarray) -> tuple[str, float]:
        """(name, distance) of the nearest of those enrolled, of whom there must be some."""
        from facecom.inference.search import nearest

        rows, found = nearest(embedding[None], np.stack(self.embeddings))
        return self.names[rows[0, 0]], float(found[0, 0])


@dataclass(frozen=True)
class Face:
    """box: float32 [4], x, y, width, height in pixels of the photo; name: of somebody known, or None; distance: to the
    nearest who is known (NaN without any); told: whether the face can be told; gender: `male`, `female` or empty for
    cannot tell; p_female: 0 to 1."""

    box: np.ndarray
    name: str | None
    distance: float
    told: bool
    gender: str
    p_female: float

    def words(self) -> str:
        """What is said of it, such as `Ann, female`."""
        who = self.name or ("unknown" if self.told else "cannot tell who")
        return f"{who}, {self.gender or 'gender: cannot tell'}"


def faces_of(photo: np.ndarray, people: Known) -> list[Face]:
    """Every face of a photo, from the left. photo: RGB uint8 [H, W, 3] of any size."""
    from facecom.conditions.impulses import without_impulses
    from facecom.faces.detect import detect, head
    from facecom.inference.faces import from_the_left
    from facecom.inference.gender import threshold_of, verdicts, words

    verifier, gender = answers.verifier(), answers.predictor().ensemble
    small = without_impulses(shrink(photo, LONGEST_SIDE_FACES))
    found = from_the_left(detect(small))
    if not len(found.scores):
        return []
    heads = [head(small, landmarks) for landmarks in found.landmarks]
    who, sex = verifier.ensemble(heads), gender(heads)
    told = verifier.ensemble.can_tell(who.confidence, who.quality)
    genders = words(verdicts(sex, gender, threshold_of(gender)))
    faces = []
    for place, box in enumerate(found.boxes * (photo.shape[1] / small.shape[1])):
        name, distance = people.nearest(who.outputs[place]) if people.names else (None, math.nan)
        name = name if told[place] and distance <= verifier.threshold else None
        faces.append(Face(box, name, distance, bool(told[place]), genders[place], float(sex.outputs[place])))
    return faces


def everybody(photo: np.ndarray | None, people: Known) -> tuple[np.ndarray | None, str]:
    """(the photo with boxes and names, the same as an HTML table). photo: RGB uint8 [H, W, 3] or None."""
    if photo is None:
        return None, answers.answer("", "A photo, please", "Upload one with as many people as you like.")
    faces = faces_of(photo, people)
    if not faces:
        return shrink(photo, SHOWN), answers.answer("", "No face found", "Nothing in the photo is sure to be a face.")
    rows = "".join(map(_row, range(1, len(faces) + 1), faces))
    count = "1 face" if len(faces) == 1 else f"{len(faces)} faces"
    head = "".join(f'<th scope="col">{name}</th>' for name in ("#", "who", "distance", "gender"))
    known = "" if people.names else "<p>Nobody is known yet: add people below.</p>"
    table = f'<table class="faces"><caption>{count}, from the left</caption><tr>{head}</tr>{rows}</table>{known}'
    return drawn(photo, faces), table


def _row(number: int, face: Face) -> str:
    who = html.escape(face.name) if face.name else ("unknown" if face.told else "cannot tell")
    distance = "" if math.isnan(face.distance) else f"{face.distance:.3f}"
    gender = face.gender or "cannot tell"
    if face.gender:
        gender += f" ({face.p_female if face.gender == 'female' else 1 - face.p_female:.2f})"
    return f"<tr><td>{number}</td><td>{who}</td><td>{distance}</td><td>{gender}</td></tr>"


def drawn(photo: np.ndarray, faces: list[Face]) -> np.ndarray:
    """The photo, at most `SHOWN` pixels long, with a box round each face, its number, and who it is. RGB uint8."""
    small = shrink(photo, SHOWN)
    scale = small.shape[1] / photo.shape[1]
    picture = Image.fromarray(small)
    pen = ImageDraw.Draw(picture)
    thick = max(2, round(max(small.shape[:2]) / 400))
    font = ImageFont.load_default(size=max(14, round(max(small.shape[:2]) / 50)))
    for number, face in enumerate(faces, 1):
        x, y, width, height = (float(value) * scale for value in face.box)
        colour = KNOWN if face.name else UNKNOWN if face.told else UNSURE
        pen.rectangle((x, y, x + width, y + height), outline=colour, width=thick)
        text = f"{number} {face.words()}"
        left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
        place = min(max(0, x), max(0, small.shape[1] - (right - left) - 6)), max(0, y - (bottom - top) - 8)
        pen.rectangle((*place, place[0] + right - left + 6, place[1] + bottom - top + 8), fill=colour)
        pen.text((place[0] + 3, place[1] + 3 - top), text, fill="white", font=font)
    return np.asarray(picture)


def introduce(photo: np.ndarray | None, name: str, people: Known) -> tuple[Known, str, str]:
    """(the people with one more photo, the name to be typed next, who is known, as HTML). The session's, not the
    server's."""
    try:
        people.enrol(photo, name)
    except FacecomError as error:
        return people, name, answers.answer("no", str(error))
    return people, "", listed(people)


def listed(people: Known) -> str:
    """Who is known, as HTML."""
    if not people.names:
        return answers.answer("", "Nobody is known yet", "A photo and a name, please: of one person each.")
    counts = people.people()
    words = [name if count == 1 else f"{name} ({count} photos)" for name, count in counts.items()]
    return answers.answer("yes", f"{len(counts)} known", ", ".join(words))
