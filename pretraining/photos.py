"""Photos with landmarks to learn from: FACECOM's, tables of heads, and drawn ones."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from facecom.conditions import DISTORTIONS
from facecom.data.folders import task_b_table
from facecom.data.images import read_photo
from facecom.faces.yunet import open_detector, steady_landmarks
from facecom.synthetic import draw_person, draw_scene
from facecom.training.tables import LANDMARK_COLUMNS

#: Side in pixels of drawn photos: FACECOM's.
PHOTO = 224


class Photo(NamedTuple):
    """image: RGB uint8 [H, W, 3]; landmarks: float32 [5, 2]; copies: its distorted copies, same landmarks, in the
    order of `DISTORTIONS`: the last is the sunny one."""

    image: np.ndarray
    landmarks: np.ndarray
    copies: list[np.ndarray]


def facecom_photos(folder: Path, detector_model: str) -> dict[str, list[Photo]]:
    """The photos of a folder of identity folders, by identity; landmarks by YuNet on the clean photo."""
    detector = open_detector(detector_model)
    found = {}
    for (identity, _), files in task_b_table(folder).groupby(["identity", "photo"], sort=True):
        paths = dict(zip(files["condition"], files["path"], strict=True))
        if "clean" not in paths:
            continue
        image = read_photo(paths["clean"])
        landmarks = steady_landmarks(image, detector)
        if landmarks is not None:
            copies = [read_photo(paths[condition]) for condition in DISTORTIONS if condition in paths]
            found.setdefault(identity, []).append(Photo(image, landmarks, copies))
    return found


def head_photos(table: Path) -> list[Photo]:
    """The rows of a table of head photos (`image` bytes; `left_eye_x` ... `right_mouth_y` in pixels)."""
    table = pd.read_parquet(table)
    landmarks = table[LANDMARK_COLUMNS].to_numpy(np.float32).reshape(-1, 5, 2)
    images = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in table["image"])
    return [Photo(image, points, []) for image, points in zip(images, landmarks, strict=True)]


def drawn_photos(count: int, seed: int = 0) -> list[Photo]:
    """People drawn by `facecom.synthetic`."""
    return [Photo(*draw_person(seed + number, 0, PHOTO), []) for number in range(count)]


def drawn_scenes(count: int, seed: int = 10_000) -> list[np.ndarray]:
    """Walls, landscapes and cats drawn by `facecom.synthetic`, RGB uint8."""
    return [draw_scene(("wall", "landscape", "cat")[n % 3], seed + n, PHOTO) for n in range(count)]
