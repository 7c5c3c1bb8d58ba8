"""The packed crops with their people: who trains, who is held back, and the target of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from facecom.data.holdback import is_held_back
from pretraining.targets.projection import Matching, matching, means_of, principal_directions, unit

#: Share of the groups held back. FACECOM's own are those that the task scripts hold back too.
HELD_BACK_SHARE = {"train": 0.1}
DEFAULT_SHARE = 0.05


class People:
    """crops: uint8 [N, 112, 112, 3] on disk; targets: float32 [N, 128], unit (`targets.py`); labels: int64 [N], -1
    where held back or nobody knows who it is; identity: str [N]; gender: str [N], empty where unknown.

    training, held_back: int64 indexes into the crops. whole: those of `training` that were cut from whole photos, with
    their true surroundings.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        self.crops = np.load(folder / "crops.npy", mmap_mode="r")
        self.table = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
        is_held = self._is_held_back()
        self.training, self.held_back = np.flatnonzero(~is_held), np.flatnonzero(is_held)
        self.whole = np.flatnonzero(~is_held & (self.table["file"] != "").to_numpy())
        self.embeddings = np.load(folder / "teacher.npy").astype(np.float32)
        self.means = means_of(self.embeddings, self.table["source"].to_numpy(), ~is_held)
        rows = self.embeddings - self.means
        self.targets = unit(rows @ principal_directions(rows[self.training]))
        self.identity = (self.table["source"] + "/" + self.table["identity"]).to_numpy()
        self.gender = self.table["gender"].to_numpy()
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

    def matching(self, size: int) -> Matching:
        """How the first `size` numbers of the teachers' embeddings say the target, fitted on training photos."""
        return matching(self.embeddings, self.means, self.targets, self.training, size)

    def centres(self) -> np.ndarray:
        """The teacher's mean embedding of each training person, float32 [C, D], unit length."""
        centres = np.zeros((self.labels.max() + 1, self.targets.shape[1]), np.float32)
        known = self.labels >= 0
        np.add.at(centres, self.labels[known], self.targets[known])
        return centres / np.linalg.norm(centres, axis=1, keepdims=True)
