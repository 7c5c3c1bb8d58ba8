"""Drawn people, for samples and tests: no real person is in them.

Two seeds make a photo. The identity fixes the shape of face and features, colours, hair, glasses and beard; the photo
fixes pose, light, expression, clothes and background. A run on drawn people checks an installation, not accuracy.
"""

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np

from facecom.conditions import DISTORTIONS, distort
from facecom.data.folders import DISTORTED
from facecom.files import whole_folder
from facecom.synthetic import hair, portrait
from facecom.synthetic.drawing import FRAME, Canvas, pose, shading
from facecom.synthetic.scenes import SCENES, background, draw_scene, muted

__all__ = ["SCENES", "draw_person", "draw_scene", "person_gender", "write_sample"]

#: Where the middle of the face lies in FACECOM's photos (the alignment template in its fixed box), pixels of 224.
CENTRE = (112.0, 123.5)

SKINS = ((255, 224, 196), (241, 194, 155), (224, 172, 125), (198, 134, 88), (152, 98, 62), (110, 70, 46), (82, 52, 36))
HAIRS = ((28, 24, 24), (58, 38, 26), (98, 64, 36), (150, 104, 58), (208, 168, 98), (140, 60, 30), (168, 166, 162))
EYES = ((84, 52, 28), (54, 34, 22), (112, 92, 46), (84, 124, 84), (82, 124, 168), (120, 134, 144))


def person_gender(identity_seed: int) -> str:
    """`male` or `female`, as hair and beard show it; neighbouring seeds alternate."""
    return ("male", "female")[identity_seed % 2]


def _person(identity_seed: int) -> SimpleNamespace:
    """What an identity fixes. Lengths in pixels of a 224 px photo."""
    rng = np.random.default_rng([identity_seed, 1])
    gender = person_gender(identity_seed)
    male = gender == "male"
    skin_tone = rng.integers(len(SKINS))
    skin = np.array(SKINS[skin_tone]) * rng.uniform(0.94, 1.03, 3)
    shade = np.array(HAIRS[rng.integers(len(HAIRS) if skin_tone < 4 else 3)]) * rng.uniform(0.85, 1.15)
    eyes = EYES[rng.integers(len(EYES) if skin_tone < 3 else 2)]
    age = float(np.clip(rng.uniform(-0.3, 0.9), 0, 0.9))
    kind = hair.KINDS[gender][rng.integers(len(hair.KINDS[gender]))]
    beards = ("", "", "", "full", "full", "stubble", "goatee", "moustache")
    makeup = not male and rng.random() < 0.6
    lips = (196, 62, 78) if makeup else portrait.darker(skin, 0.72) * [1.1, 0.86, 0.88]
    return SimpleNamespace(
        gender=gender, skin=skin, hair=shade, eyes=eyes, age=age, hair_kind=kind, lips=lips,
        blush=skin * [1.0, 0.72, 0.70], neck=rng.uniform(20, 26) if male else rng.uniform(16, 19),
        shoulder=rng.uniform(70, 84) if male else rng.uniform(58, 68), ears=rng.uniform(0.8, 1.2),
        width=rng.uniform(36, 45), chin=rng.uniform(43, 53) + 1.5 * male, jaw=rng.uniform(0.74, 0.93) + 0.05 * male,
        chin_width=rng.uniform(0.22, 0.42), eye_apart=rng.uniform(16.5, 20.5), eye_y=rng.uniform(-22, -17.5),
        eye_width=rng.uniform(6.6, 8.6), eye_height=rng.uniform(3.0, 5.0), eye_slant=rng.uniform(-1.2, 2.2),
        iris=rng.uniform(3.2, 4.0), lashes=1.0 if male else 1.8, crease=rng.uniform(0.0, 0.7),
        brow_gap=rng.uniform(8.5, 13), brow_width=rng.uniform(2.8, 4.8) if male else rng.uniform(1.5, 2.8),
        brow_arch=rng.uniform(0.5, 4.0), brow_tilt=rng.uniform(-1.5, 2.0), brow_colour=portrait.darker(shade, 0.75),
        nose_width=rng.uniform(7, 11.5), nose_y=rng.uniform(-2, 4), nose_length=rng.uniform(8, 14),
        mouth_y=rng.uniform(20, 25), mouth_width=rng.uniform(12.5, 17), lip_upper=rng.uniform(2.2, 4.4),
        lip_lower=rng.uniform(3.0, 6.0), hairline=rng.uniform(-50, -42), hair_volume=rng.uniform(2, 11),
        parting=float(rng.choice([-1, 1])), earrings=not male and rng.random() < 0.5,
        beard=beards[rng.integers(len(beards))] if male else "", beard_colour=portrait.darker(shade, 0.85),
        glasses=("", "", "", "round", "square")[rng.integers(5)], frame=portrait.darker(HAIRS[rng.integers(7)], 0.8),
        frame_width=rng.uniform(1.2, 2.6),
        strands=np.column_stack([rng.uniform(-1, 1, 16), rng.choice([0.75, 1.25], 16)]),
        freckles=rng.uniform([-26, -6], [26, 14], (int(rng.choice([0, 0, 0, 0, 0, 1, 1, 2, 24])), 2)),
    )  # fmt: skip


def _photo(identity_seed: int, photo_seed: int) -> SimpleNamespace:
    """What changes from photo to photo."""
    rng = np.random.default_rng([identity_seed, photo_seed, 2])
    open_mouth = rng.random() < 0.35
    return SimpleNamespace(
        yaw=float(np.clip(rng.normal(0, 9), -18, 18)), pitch=float(np.clip(rng.normal(0, 6), -13, 13)),
        roll=float(np.clip(rng.normal(0, 5), -13, 13)), scale=rng.uniform(0.93, 1.07),
        centre=np.array(CENTRE) + rng.normal(0, 2.5, 2), light=(rng.uniform(-1, 1), rng.uniform(-0.9, 0.3), 1.0),
        ambient=rng.uniform(0.55, 0.85), gain=rng.uniform(0.86, 1.16), tint=rng.normal(1, 0.035, 3),
        smile=float(np.clip(rng.normal(1.6, 2.0), -1.2, 5)), mouth_open=rng.uniform(1.5, 8) if open_mouth else 0.0,
        open_eyes=rng.uniform(0.75, 1.15), gaze=rng.normal(0, [1.1, 0.4]), brow_raise=rng.normal(0.3, 1.0),
        frown=rng.normal(0, 0.8), cloth=muted(rng, 0.45), accent=muted(rng, 0.8),
        outfit=str(rng.choice(["suit", "shirt", "plain"])), background=background(rng), grain=rng.uniform(0.5, 2.5),
        softness=rng.uniform(0, 0.7), noise_seed=int(rng.integers(2**31)),
    )  # fmt: skip


def draw_person(identity_seed: int, photo_seed: int, size: int = FRAME) -> tuple[np.ndarray, np.ndarray]:
    """A photo of a drawn person, framed as FACECOM's photos are; the same seeds draw the same photo.

    Seeds: integers from 0. Returns the photo, RGB uint8 [size, size, 3], and where the landmarks are, float32 [5, 2]:
    pixels (x, y) of the photo, in the order of `alignment.TEMPLATE`.
    """
    person, photo = _person(identity_seed), _photo(identity_seed, photo_seed)
    place = pose(photo.yaw, photo.pitch, photo.roll, photo.scale, photo.centre)
    canvas = Canvas(size, photo.background)
    half_axes = (person.width * 1.12 * photo.scale, 62 * photo.scale)
    light = photo.gain * shading(canvas.side, place([[0, -8, 0]])[0], half_axes, photo.roll, photo.light, photo.ambient)
    hair.behind(canvas, person, place)
    portrait.body(canvas, person, photo, photo.centre - [0.3 * photo.yaw, 0])
    canvas.settle(photo.gain * 0.9)
    portrait.head(canvas, person, place)
    portrait.cheeks(canvas, person, photo, place)
    hair.beard(canvas, person, place)
    nose = portrait.nose(canvas, person, photo, place)
    mouth = portrait.mouth(canvas, person, photo, place)
    eyes = portrait.eyes(canvas, person, photo, place)
    hair.front(canvas, person, place)
    hair.glasses(canvas, person, place)
    canvas.settle(light)
    picture = canvas.finish() * photo.tint
    if photo.softness > 0.25:
        picture = cv2.GaussianBlur(picture, (0, 0), photo.softness * size / FRAME)
    grain = np.random.default_rng(photo.noise_seed).standard_normal((size, size, 1), dtype=np.float32)
    picture = np.clip(picture + photo.grain * grain, 0, 255).astype(np.uint8)
    landmarks = place(np.vstack([eyes, nose[None], mouth]))
    return picture, ((landmarks + 0.5) * (size / FRAME) - 0.5).astype(np.float32)


#: How the names of drawn people begin.
NAME = "Drawn_Person_"


def write_sample(
    folder: str | Path,
    people: int = 24,
    photos: int = 3,
    seed: int = 0,
    task: str = "B",
    splits: tuple[str, ...] = ("train", "val"),
) -> None:
    """Drawn people in the organisers' layout, below `folder`.

    task B: `<split>/<identity>/<photo>.jpg` and `<split>/<identity>/distortion/<photo>_<condition>.jpg`;
    task A: `<split>/<gender>/<photo>.jpg`. The people are dealt out evenly over the splits, `photos` of each; no one
    is in two. The same arguments write the same files, and the two tasks show the same people. `folder` must not
    exist, or be empty. Raises FacecomError when it does not, or the disk refuses.
    """
    if task not in ("A", "B"):
        raise ValueError(f"task {task!r} is neither A nor B")
    with whole_folder(folder) as place:
        for number in range(people):
            identity_seed = 10_000 * seed + number
            name = f"{NAME}{number:03d}"
            split = place / splits[number * len(splits) // people]
            home = split / (name if task == "B" else person_gender(identity_seed))
            (home / DISTORTED if task == "B" else home).mkdir(parents=True, exist_ok=True)
            for shot in range(photos):
                picture, _ = draw_person(identity_seed, shot)
                stem = f"{name}_{shot + 1:04d}"
                _write_jpeg(home / f"{stem}.jpg", picture)
                if task == "B":
                    for index, condition in enumerate(DISTORTIONS):
                        copy = distort(picture, condition, 3, np.random.default_rng([identity_seed, shot, index, 3]))
                        _write_jpeg(home / DISTORTED / f"{stem}_{condition}.jpg", copy)


def _write_jpeg(path: Path, picture: np.ndarray) -> None:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    path.write_bytes(data.tobytes())
