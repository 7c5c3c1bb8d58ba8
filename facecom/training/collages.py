"""Pictures put together from two people of one gender, to learn what is left under glare.

There hair, ears, neck and collar say the gender, and a data set has few of them. Two aligned heads share the place of
the face, so that the part of one on this side of a line through it and the part of the other beyond make a new head,
whose seam lies where the glare hides it (CutMix of equal labels: Yun et al., ICCV 2019).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from facecom.errors import FacecomError

#: `condition` of these pictures in a table: nothing but glare is put on them.
COLLAGE = "collage"

#: How far from the middle of the crop the line runs (standard deviation), and how wide it is (from, to): shares of the
#: crop's side.
ASIDE, SEAM = 0.06, (0.01, 0.16)


class Collages(Sequence):
    """Collages of clean crops, RGB uint8 [size, size, 3]; the first of each two is of the first source.

    table: [condition, gender] and `source`, if there are several; crops: as many; count: how many to make; seed:
    decides them. `table` has a row for each. Raises FacecomError where the first source has no clean photo.
    """

    def __init__(self, table: pd.DataFrame, crops: Sequence[np.ndarray], count: int, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.crops, self.seed = crops, seed
        clean = (table["condition"] == "clean").to_numpy()
        own = clean & (table["source"] == table["source"].iloc[0]).to_numpy() if "source" in table else clean
        if not own.any():
            raise FacecomError("--collages: no clean photo among the training photos to make them of")
        genders = table["gender"].to_numpy()
        present = np.unique(genders[own])
        self.first, self.second = np.zeros((2, count), int)
        for number, gender in enumerate(present):  # as many of each
            places = np.arange(number, count, len(present))
            mates, others = (np.flatnonzero(rows & (genders == gender)) for rows in (own, clean & ~own))
            self.first[places] = rng.choice(mates, len(places))
            both = rng.random(len(places)) < 0.5 if len(others) else np.ones(len(places), bool)
            self.second[places[both]] = rng.choice(mates, both.sum())
            if not both.all():
                self.second[places[~both]] = rng.choice(others, (~both).sum())
        self.table = table.iloc[self.first].assign(condition=COLLAGE).reset_index(drop=True)

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, index: int) -> np.ndarray:
        rng = np.random.default_rng([self.seed, index])
        one, other = self.crops[self.first[index]], self.crops[self.second[index]]
        other = other[:, ::-1] if rng.random() < 0.5 else other
        size = one.shape[0]
        share = side_of_a_line(rng, size, size, ((size - 1) / 2, (size - 1) / 2), size)
        return (one * share + other * (1 - share)).round().astype(np.uint8)


def side_of_a_line(
    rng: np.random.Generator, height: int, width: int, middle: tuple[float, float], unit: float
) -> np.ndarray:
    """1 on one side of a random line near the middle of the face, 0 on the other, in between over its width: float32
    [height, width, 1]. middle: x, y in pixels; unit: side of a FACECOM photo or a crop with as much around the face."""
    angle, aside = rng.uniform(0, 2 * np.pi), rng.normal(0, ASIDE)
    x, y = (np.arange(width) - middle[0]) / unit, (np.arange(height) - middle[1]) / unit
    distance = x[None] * np.cos(angle) + y[:, None] * np.sin(angle) + aside
    return np.clip(distance / rng.uniform(*SEAM) + 0.5, 0, 1)[..., None].astype(np.float32)
