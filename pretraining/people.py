"""The packed crops with their people: who trains, who is held back, and the teacher's view of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from facecom.holdback import is_held_back

#: Share of the groups held back. FACECOM's own are those that the task scripts hold back too.
HELD_BACK_SHARE = {"train": 0.1}
DEFAULT_SHARE = 0.05


class Stacked:
    """Two arrays on disk as one sequence of crops."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.first[index] if index < len(self.first) else self.second[index - len(self.first)]


class People:
    """crops: uint8 [N, 112, 112, 3] on disk; targets: float32 [N, D], unit; labels: int64 [N], -1 where held back;
    is_copy: bool [N], a distorted copy that came with the data (`pretraining/copies.py`).

    training, held_back: int64 indexes into the crops; those held back are clean photos.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.crops = np.load(folder / "crops.npy", mmap_mode="r")
        self.table = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
        targets = np.load(folder / "teacher.npy").sum(1)
        self.targets = targets / np.linalg.norm(targets, axis=1, keepdims=True)
        self.is_copy = np.zeros(len(self.table), bool)
        if (folder / "copies.csv").exists():
            self._add_copies(np.load(folder / "copies.npy", mmap_mode="r"), pd.read_csv(folder / "copies.csv"))
        groups = self.table[["source", "group"]].drop_duplicates()
        held = {
            (source, group)
            for source, group in groups.itertuples(index=False)
            if is_held_back(group, HELD_BACK_SHARE.get(source, DEFAULT_SHARE))
        }
        is_held = np.array([key in held for key in zip(self.table["source"], self.table["group"], strict=True)])
        self.training = np.flatnonzero(~is_held)
        self.held_back = np.flatnonzero(is_held & ~self.is_copy)
        self.identity = (self.table["source"] + "/" + self.table["identity"]).to_numpy()
        self.labels = np.full(len(self.table), -1)
        self.labels[self.training] = np.unique(self.identity[self.training], return_inverse=True)[1]

    def _add_copies(self, crops: np.ndarray, copies: pd.DataFrame) -> None:
        rows = copies["row"].to_numpy()
        self.crops = Stacked(self.crops, crops)
        self.targets = np.concatenate([self.targets, self.targets[rows]])
        self.table = pd.concat([self.table, self.table.iloc[rows]], ignore_index=True)
        self.is_copy = np.concatenate([self.is_copy, np.ones(len(rows), bool)])

    def centres(self) -> np.ndarray:
        """The teacher's mean embedding of each training person, float32 [C, D], unit length."""
        centres = np.zeros((self.labels.max() + 1, self.targets.shape[1]), np.float32)
        np.add.at(centres, self.labels[self.training], self.targets[self.training])
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)
