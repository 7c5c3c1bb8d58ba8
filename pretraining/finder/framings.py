"""What the face finder learns from: photos with landmarks, framed at random and distorted; and pictures without a face.

Each example is the pair of looks that `facecom.faces.finder` takes at a photo: the whole picture, and the face where
the first look found it, a bit off.
"""

import cv2
import numpy as np

from facecom.conditions import distort
from facecom.conditions.impulses import without_impulses
from facecom.conditions.jpeg import drawn_quality, through_jpeg
from facecom.faces.alignment import align, similarity
from facecom.faces.finder import LOOSE_TEMPLATE, letterbox
from facecom.faces.yunet import mirror
from pretraining.finder.no_face import without_face
from pretraining.photos import PHOTO, Photo

#: Side in pixels of the network's input.
LOOK = 112

#: A face is about this many eye distances wide; FACECOM's eyes are 38 px apart.
FACE_WIDTH, FACECOM_EYES = 2.4, 38.5

#: How FACECOM frames its faces: standard deviations of size (share), turn (degrees, besides the head's own) and place
#: (pixels right and down), and where the landmarks' mean is, from the middle.
FRAMING_SPREAD, FRAMING_PLACE = (0.08, 2.5, 3.1, 2.3), (0.4, 9.5)

#: How often a photo is in each condition: noise and rain hide most.
CONDITION_SHARES = {"clean": 0.14, "noisy": 0.16, "rainy": 0.16, "occluded": 0.06} | {
    condition: 0.096 for condition in ("blurred", "foggy", "lowlight", "resized", "sunny")
}


SEVERITY_SHARES = (0.12, 0.20, 0.36, 0.20, 0.12)

#: Where the examples come from: simulated distortions of FACECOM and heads, FACECOM's own copies, drawings, no face.
SOURCE_SHARES = {"facecom": 0.32, "copies": 0.24, "heads": 0.33, "drawn": 0.03, "none": 0.08}

#: Heads turned aside are few, and most of the failures on good photos: so often the most turned of so many is drawn.
TURNED, OF_SO_MANY = 0.25, 6


class Looks:
    """Map-style dataset: example number -> (pictures uint8 [2, 112, 112, 3], landmarks float32 [2, 5, 2], face bool).

    sources: lists of photos by name (`facecom`, `heads`, `drawn`); scenes: pictures without a face. The same seed and
    number give the same example, so a resumed training goes on as if it had never stopped.
    """

    def __init__(self, sources: dict[str, list[Photo]], scenes: list[np.ndarray], length: int, seed: int = 0):
        self.sources, self.scenes, self.length, self.seed = sources, scenes, length, seed
        shares = {name: share for name, share in SOURCE_SHARES.items() if name == "none" or self._pool(name)}
        self.names, self.shares = list(shares), np.array(list(shares.values())) / sum(shares.values())

    def _pool(self, name: str) -> list[Photo]:
        return self.sources.get("facecom" if name == "copies" else name, [])

    def __len__(self):
        return self.length

    def __getitem__(self, number: int):
        rng = np.random.default_rng([self.seed, number])
        name = self.names[rng.choice(len(self.names), p=self.shares)]
        if name == "none":
            everyone = [photo for pool in self.sources.values() for photo in pool[:2000]]
            picture = without_face(rng, everyone[rng.integers(len(everyone))], self.scenes, PHOTO)
            photo, landmarks = worsen(rng, picture, 1.0), np.full((5, 2), np.nan, np.float32)
            aim = _random_aim(rng)
        else:
            chosen = drawn_from(rng, self._pool(name))
            gentle = name == "copies" or rng.random() < 0.4
            if name == "copies" and chosen.copies:
                chosen = chosen._replace(image=chosen.copies[rng.integers(len(chosen.copies))])
            if name == "copies" and rng.random() < 0.5:
                photo, landmarks = mirrored_at_times(rng, chosen.image, chosen.landmarks)
            else:
                photo, landmarks = frame(rng, chosen.image, chosen.landmarks, gentle)
            if name != "copies":
                eyes = np.linalg.norm(landmarks[1] - landmarks[0])
                photo = worsen(rng, photo, eyes / FACECOM_EYES if rng.random() < 0.5 else 1.0)
            aim = _near(rng, landmarks)
        photo = without_impulses(photo) if rng.random() < 0.8 else photo
        photo, landmarks, aim = _cut(rng, photo, landmarks, aim)
        return (*two_looks(photo, landmarks, aim), name != "none")


def drawn_from(rng, pool: list[Photo]) -> Photo:
    """A photo of the pool, heads turned aside more often than others."""
    if rng.random() > TURNED:
        return pool[rng.integers(len(pool))]
    few = [pool[number] for number in rng.integers(len(pool), size=OF_SO_MANY)]
    return max(few, key=lambda photo: turned_aside(photo.landmarks))


def turned_aside(landmarks: np.ndarray) -> float:
    """How far a head is turned aside: the nose's distance from the line between the middles of eyes and mouth, as a
    share of that line's length. 0 from the front. landmarks: [5, 2]."""
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    down, nose = mouth - eyes, landmarks[2] - eyes
    return float(abs(down[0] * nose[1] - down[1] * nose[0]) / max(down @ down, 1e-6))


def mirrored_at_times(rng, image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photo and its landmarks, or their mirror image half of the time."""
    if rng.random() < 0.5:
        return image, landmarks
    return np.ascontiguousarray(image[:, ::-1]), mirror(landmarks, image.shape[1])


def frame(rng, image: np.ndarray, landmarks: np.ndarray, gentle: bool) -> tuple[np.ndarray, np.ndarray]:
    """The photo as another camera might have framed it: (RGB uint8 [224, 224, 3], landmarks float32 [5, 2]).

    The face gets 30 to 90 % of the width, off centre by up to a quarter, turned by up to 30 degrees, perhaps mirrored,
    on a border of any colour. gentle: half of the time as FACECOM frames it, else with thrice its variety.
    """
    image, landmarks = mirrored_at_times(rng, image, landmarks)
    eyes = np.linalg.norm(landmarks[1] - landmarks[0])
    if gentle:
        size, turn, *place = np.array(FRAMING_SPREAD) * (1 if rng.random() < 0.5 else 3)
        share = FACE_WIDTH * FACECOM_EYES / PHOTO * np.exp(rng.normal(0, size))
        angle, offset = rng.normal(0, turn), rng.normal(FRAMING_PLACE, place) / PHOTO
    else:
        share = np.exp(rng.uniform(np.log(0.3), np.log(0.9)))
        angle = rng.normal(0, 8) if rng.random() < 0.6 else rng.uniform(-30, 30)
        offset = rng.uniform(-1, 1, 2) * min(0.25, (1.1 - share) / 2)
    scale = share * PHOTO / (FACE_WIDTH * max(eyes, 1))
    matrix = cv2.getRotationMatrix2D(landmarks.mean(0).astype(float).tolist(), angle, scale)
    matrix[:, 2] += PHOTO / 2 + offset * PHOTO - landmarks.mean(0)
    border = cv2.BORDER_REPLICATE if rng.random() < 0.3 else cv2.BORDER_CONSTANT
    colour = rng.integers(0, 256, 3).tolist() if rng.random() < 0.5 else [int(rng.choice([0, 127, 255]))] * 3
    framed = cv2.warpAffine(image, matrix, (PHOTO, PHOTO), borderMode=border, borderValue=colour)
    return framed, cv2.transform(landmarks[None].astype(np.float64), matrix)[0].astype(np.float32)


def worsen(rng, photo: np.ndarray, scale: float) -> np.ndarray:
    """The photo in a condition drawn by `CONDITION_SHARES`, in other colours half of the time, mostly out of a JPEG."""
    photo = other_colours(rng, photo)
    condition = rng.choice(list(CONDITION_SHARES), p=list(CONDITION_SHARES.values()))
    photo = distort(photo, condition, 1 + int(rng.choice(5, p=SEVERITY_SHARES)), rng, scale)
    return through_jpeg(photo, drawn_quality(rng)) if rng.random() < 0.85 else photo


def other_colours(rng, photo: np.ndarray) -> np.ndarray:
    """The photo in other colours half of the time, or in grey."""
    if rng.random() < 0.5:
        gain, bias = rng.uniform(0.6, 1.4) * rng.uniform(0.85, 1.15, 3), rng.uniform(-25, 25)
        table = np.clip(np.arange(256)[:, None] * gain + bias, 0, 255).astype(np.uint8)
        photo = cv2.LUT(photo, table[None])
    return np.repeat(photo.mean(2, keepdims=True).astype(np.uint8), 3, 2) if rng.random() < 0.1 else photo


def two_looks(photo: np.ndarray, landmarks: np.ndarray, aim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(pictures uint8 [2, 112, 112, 3], landmarks float32 [2, 5, 2]): the whole photo, and the part that `aim`, the
    landmarks of a first look, leads to."""
    whole, scale, offset = letterbox(photo, LOOK)
    close = align(photo, aim, LOOK, LOOSE_TEMPLATE)
    in_close = cv2.transform(landmarks[None].astype(np.float64), similarity(aim, LOOSE_TEMPLATE))[0]
    return np.stack([whole, close]), np.stack([(landmarks + 0.5) * scale - 0.5 + offset, in_close]).astype(np.float32)


def _near(rng, landmarks: np.ndarray) -> np.ndarray:
    """Landmarks as a first look may give them: moved, turned and scaled a bit."""
    eyes = np.linalg.norm(landmarks[1] - landmarks[0])
    centre = landmarks.mean(0).astype(float).tolist()
    matrix = cv2.getRotationMatrix2D(centre, rng.normal(0, 5), np.exp(rng.normal(0, 0.08)))
    matrix[:, 2] += rng.normal(0, 0.12, 2) * eyes
    return cv2.transform(landmarks[None].astype(np.float64), matrix)[0]


def _random_aim(rng) -> np.ndarray:
    """Landmarks that a first look might give in a photo without a face."""
    matrix = cv2.getRotationMatrix2D((LOOK / 2, LOOK / 2), rng.normal(0, 10), rng.uniform(0.6, 2))
    matrix[:, 2] += (PHOTO - LOOK) / 2 + rng.normal(0, 20, 2)
    return cv2.transform(LOOSE_TEMPLATE[None].astype(np.float64), matrix)[0]


def _cut(rng, photo: np.ndarray, landmarks: np.ndarray, aim: np.ndarray):
    """One time in ten a narrow or a flat photo: the letterbox then puts grey bars beside it."""
    if rng.random() > 0.1:
        return photo, landmarks, aim
    margin = int(rng.uniform(0, 0.15) * PHOTO)
    if rng.random() < 0.5:
        return photo[:, margin : PHOTO - margin], landmarks - np.float32([margin, 0]), aim - [margin, 0]
    return photo[margin : PHOTO - margin], landmarks - np.float32([0, margin]), aim - [0, margin]
