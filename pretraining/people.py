"""The packed crops with their people: who trains, who is held back, and the teacher's view of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from facecom.holdback import is_held_back

#: Share of the groups held back. FACECOM's own are those that the task scripts hold back too.
HELD_BACK_SHARE = {"train": 0.1}
DEFAULT_SHARE = 0.05


class People:
    """crops: uint8 [N, 112, 112, 3] on disk; targets: float32 [N, D], unit; labels: int64 [N], -1 where held back.

    training, held_back: int64 indexes into the crops.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.crops = np.load(folder / "crops.npy", mmap_mode="r")
        self.table = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
        targets = np.load(folder / "teacher.npy").sum(1)
        self.targets = targets / np.linalg.norm(targets, axis=1, keepdims=True)
        groups = self.table[["source", "group"]].drop_duplicates()
        held = {
            (source, group)
            for source, group in groups.itertuples(index=False)
            if is_held_back(group, HELD_BACK_SHARE.get(source, DEFAULT_SHARE))
        }
        is_held = np.array([key in held for key in zip(self.table["source"], self.table["group"], strict=True)])
        self.training = np.flatnonzero(~is_held)
        self.held_back = np.flatnonzero(is_held)
        self.identity = (self.table["source"] + "/" + self.table["identity"]).to_numpy()
        self.labels = np.full(len(self.table), -1)
        self.labels[self.training] = np.unique(self.identity[self.training], return_inverse=True)[1]

    def centres(self) -> np.ndarray:
        """The teacher's mean embedding of each training person, float32 [C, D], unit length."""
        centres = np.zeros((self.labels.max() + 1, self.targets.shape[1]), np.float32)
        np.add.at(centres, self.labels[self.training], self.targets[self.training])
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)
