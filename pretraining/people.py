"""The packed crops with their people: who trains, who is held back, and the teacher's view of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from facecom.holdback import is_held_back

#: Share of the groups held back. FACECOM's own are those that the task scripts hold back too.
HELD_BACK_SHARE = {"train": 0.1}
DEFAULT_SHARE = 0.05

#: Photos of a source from which on their mean says how they were cut.
LEAST_FOR_MEAN = 1000


class Stacked:
    """Two arrays on disk as one sequence of crops."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.first[index] if index < len(self.first) else self.second[index - len(self.first)]


def centred(targets: np.ndarray, sources: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """What a source's embeddings have in common taken off, since that is how it was cut and not who is on it.

    The means of `celeba` and `fiw` are .71 alike and those of whole photos .14 and .01 to them; without them the
    teacher's TAR@FAR=1e-3 on held-back people goes from .867 to .879 and from .703 to .789, and stays .992 on FACECOM.

    targets: float32 [N, D], unit; sources: str [N]; counted: bool [N], whom the means are taken of. Returns float32
    [N, D], unit; a source of fewer than `LEAST_FOR_MEAN` counted stays as it is.
    """
    targets = targets.copy()
    for source in np.unique(sources):
        own = sources == source
        if (own & counted).sum() >= LEAST_FOR_MEAN:
            targets[own] -= targets[own & counted].mean(0)
    return targets / np.linalg.norm(targets, axis=1, keepdims=True)


class People:
    """crops: uint8 [N, 112, 112, 3] on disk; targets: float32 [N, D], unit, `centred`; labels: int64 [N], -1 where held
    back or nobody knows who it is; is_copy: bool [N], a distorted copy that came with the data
    (`pretraining/copies.py`).

    training, held_back: int64 indexes into the crops; those held back are clean photos. whole: those of `training`
    that are clean and were cut from whole photos, with their true surroundings.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.crops = np.load(folder / "crops.npy", mmap_mode="r")
        self.table = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
        self.targets = np.load(folder / "teacher.npy").sum(1)
        self.targets /= np.linalg.norm(self.targets, axis=1, keepdims=True)
        self.is_copy = np.zeros(len(self.table), bool)
        if (folder / "copies.csv").exists():
            self._add_copies(np.load(folder / "copies.npy", mmap_mode="r"), pd.read_csv(folder / "copies.csv"))
        is_held = self._is_held_back()
        self.training = np.flatnonzero(~is_held)
        self.held_back = np.flatnonzero(is_held & ~self.is_copy)
        self.whole = np.flatnonzero(~is_held & ~self.is_copy & (self.table["file"] != "").to_numpy())
        self.targets = centred(self.targets, self.table["source"].to_numpy(), ~is_held & ~self.is_copy)
        self.identity = (self.table["source"] + "/" + self.table["identity"]).to_numpy()
        named = np.flatnonzero(~is_held & (self.table["identity"] != "").to_numpy())
        self.labels = np.full(len(self.table), -1)
        self.labels[named] = np.unique(self.identity[named], return_inverse=True)[1]

    def _is_held_back(self) -> np.ndarray:
        """bool [N], by whole groups; photos of nobody knows whom tell nothing about verification and all train."""
        groups = self.table[["source", "group"]].drop_duplicates()
        held = {
            (source, group)
            for source, group in groups.itertuples(index=False)
            if group and is_held_back(group, HELD_BACK_SHARE.get(source, DEFAULT_SHARE))
        }
        return np.array([key in held for key in zip(self.table["source"], self.table["group"], strict=True)])

    def _add_copies(self, crops: np.ndarray, copies: pd.DataFrame) -> None:
        rows = copies["row"].to_numpy()
        self.crops = Stacked(self.crops, crops)
        self.targets = np.concatenate([self.targets, self.targets[rows]])
        self.table = pd.concat([self.table, self.table.iloc[rows]], ignore_index=True)
        self.is_copy = np.concatenate([self.is_copy, np.ones(len(rows), bool)])

    def centres(self) -> np.ndarray:
        """The teacher's mean embedding of each training person, float32 [C, D], unit length."""
        centres = np.zeros((self.labels.max() + 1, self.targets.shape[1]), np.float32)
        known = self.labels >= 0
        np.add.at(centres, self.labels[known], self.targets[known])
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)
