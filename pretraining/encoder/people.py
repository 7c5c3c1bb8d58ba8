"""The packed crops with their people: who trains, who is held back, and the teacher's view of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from facecom.data.holdback import is_held_back

#: Share of the groups held back. FACECOM's own are those that the task scripts hold back too.
HELD_BACK_SHARE = {"train": 0.1}
DEFAULT_SHARE = 0.05

#: Photos of a source from which on their mean says how they were cut.
LEAST_FOR_MEAN = 1000


class Stacked:
    """Two arrays on disk as one sequence of crops; either may be one already."""

    def __init__(self, first, second):
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.first[index] if index < len(self.first) else self.second[index - len(self.first)]


def means_of(targets: np.ndarray, sources: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """What each photo's source has in common, since that is how it was cut and not who is on it.

    The means of `celeba` and `fiw` are .71 alike and those of whole photos .14 and .01 to them; without them the
    teacher's TAR@FAR=1e-3 on held-back people goes from .867 to .879 and from .703 to .789, and stays .992 on FACECOM.

    targets: float32 [N, D], unit; sources: str [N]; counted: bool [N], whom the means are taken of. Returns float32
    [N, D]: nothing for a source of fewer than `LEAST_FOR_MEAN` counted.
    """
    means = np.zeros_like(targets)
    for source in np.unique(sources):
        own = sources == source
        if (own & counted).sum() >= LEAST_FOR_MEAN:
            means[own] = targets[own & counted].mean(0)
    return means


def unit(rows: np.ndarray) -> np.ndarray:
    """float [N, D] -> each row of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class People:
    """crops: uint8 [N, 112, 112, 3] on disk, `photos` of them packed ones, then what lies beside them: distorted copies
    that came with the data (`pretraining/encoder/copies.py`), people who do not exist
    (`pretraining/encoder/morphs.py`); targets:
    float32 [N, D], unit, without the `means_of` their sources; labels: int64 [N], -1 where held back or nobody knows
    who it is; is_copy: bool [N], a distorted copy.

    training, held_back: int64 indexes into the crops; those held back are clean photos. whole: those of `training`
    that are clean and were cut from whole photos, with their true surroundings.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.crops = np.load(folder / "crops.npy", mmap_mode="r")
        self.photos = len(self.crops)
        self.table = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
        is_held = self._is_held_back()
        targets = unit(np.load(folder / "teacher.npy").sum(1))
        self.means = means_of(targets, self.table["source"].to_numpy(), ~is_held)
        self.targets = unit(targets - self.means)
        self.is_copy = np.zeros(self.photos, bool)
        self.held_back = np.flatnonzero(is_held)
        self.whole = np.flatnonzero(~is_held & (self.table["file"] != "").to_numpy())
        if (folder / "copies.csv").exists():
            rows = pd.read_csv(folder / "copies.csv")["row"].to_numpy()
            self._add(folder / "copies.npy", self.table.iloc[rows], self.targets[rows], is_copy=True)
            is_held = np.concatenate([is_held, is_held[rows]])
        if (folder / "morphs.csv").exists():
            is_held = np.concatenate([is_held, self._add_morphs(folder, is_held)])
        self.training = np.flatnonzero(~is_held)
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

    def _add(self, crops: Path, table: pd.DataFrame, targets: np.ndarray, is_copy: bool) -> None:
        self.crops = Stacked(self.crops, np.load(crops, mmap_mode="r"))
        self.table = pd.concat([self.table, table], ignore_index=True)
        self.targets = np.concatenate([self.targets, targets])
        self.is_copy = np.concatenate([self.is_copy, np.full(len(targets), is_copy)])

    def _add_morphs(self, folder: Path, is_held: np.ndarray) -> np.ndarray:
        """bool [M]: whether one of the two is held back, so that nobody may learn from the morph."""
        morphs = pd.read_csv(folder / "morphs.csv")
        first, second = morphs["first"].to_numpy(), morphs["second"].to_numpy()
        share = morphs[["share"]].to_numpy(np.float32)
        means = share * self.means[first] + (1 - share) * self.means[second]
        targets = unit(unit(np.load(folder / "morphs_teacher.npy").sum(1)) - means)
        nobody = pd.DataFrame("", range(len(morphs)), self.table.columns).assign(source="morphs")
        self._add(folder / "morphs.npy", nobody, targets, is_copy=False)
        return is_held[first] | is_held[second]

    def centres(self) -> np.ndarray:
        """The teacher's mean embedding of each training person, float32 [C, D], unit length."""
        centres = np.zeros((self.labels.max() + 1, self.targets.shape[1]), np.float32)
        known = self.labels >= 0
        np.add.at(centres, self.labels[known], self.targets[known])
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)
