"""A table of drawn heads, as `pretraining` reads them."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from facecom.synthetic import draw_person
from facecom.training.tables import LANDMARK_COLUMNS


def encoded(image: np.ndarray) -> bytes:
    """RGB uint8 [H, W, 3] -> the bytes of a PNG file."""
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def write_heads(path: Path, drawn: list[tuple[np.ndarray, np.ndarray]]) -> Path:
    """A Parquet table of (photo, landmarks) pairs, genders by turns; returns its path."""
    table = pd.DataFrame([landmarks.reshape(-1) for _, landmarks in drawn], columns=LANDMARK_COLUMNS)
    genders = [("male", "female")[number % 2] for number in range(len(drawn))]
    table.assign(image=[encoded(image) for image, _ in drawn], gender=genders).to_parquet(path)
    return path


def drawn_heads(count: int, size: int = 112, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """(RGB uint8 [size, size, 3], landmarks float32 [5, 2]) of `count` drawn people."""
    return [draw_person(seed + number, 0, size=size) for number in range(count)]
