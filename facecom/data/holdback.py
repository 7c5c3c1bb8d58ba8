"""Which people are held back from training: by a hash of the name, so that every script and data set agrees."""

import hashlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

from facecom.errors import FacecomError


def is_held_back(identity: str, share: float = 0.1, seed: int = 0) -> bool:
    """Whether this identity (or family) is held back when `share` (0 to 1) of all are.

    The answer depends on nothing but the arguments; whoever is held back at a share is so at every larger one.
    """
    return held_back_position(identity, seed) < share


def held_back_position(identity: str, seed: int = 0) -> float:
    """A number from 0 to 1 that a name hashes to: at a share above it, the identity is held back."""
    digest = hashlib.sha256(f"{seed}/{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def group_of(identity: str, source: str) -> str:
    """What must stay together when people are held back: in `fiw` the family (the part before `m`), else the person."""
    return identity.split("m")[0] if source == "fiw" else identity


#: Of many people a tenth judges the training; of fewer a fifth, and never fewer than these, but no more than half.
USUAL_SHARE, ENOUGH, LARGER_SHARE, FEWEST = 0.1, 60, 0.2, 12


def enough_share(people: int) -> float:
    """The share of so many people to hold back, 0 to 0.5, that a choice can be trusted to."""
    if people * USUAL_SHARE >= ENOUGH:
        return USUAL_SHARE
    return min(0.5, max(LARGER_SHARE, FEWEST / max(people, 1)))


def hold_back(
    table: pd.DataFrame,
    share: float = 0.1,
    seed: int = 0,
    groups: Sequence[str] | None = None,
    exact: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part a table in (train, held back), whole identities on either side.

    share: of the identities, 0 to 1; groups: a name for each row that keeps relatives together (default: the
    identity). Who is held back depends on name and seed alone, but for small sets: two groups at least are held back
    (one of three) and two stay, so that there are impostors. exact: just that share is held back, so who depends on
    who else is there, too. Raises FacecomError for fewer than three groups.
    """
    names = pd.Series(table["identity"] if groups is None else groups).to_numpy(str)
    position = {name: held_back_position(name, seed) for name in np.unique(names)}
    if share <= 0:
        return table.reset_index(drop=True), table.iloc[:0].copy()
    if len(position) < 3:
        raise FacecomError(f"photos of {len(position)} people are not enough: two to train on and one to hold back")
    ranked = sorted(position.values())
    fewest = np.nextafter(ranked[min(2, len(ranked) - 2) - 1], 1)
    if exact:
        share = np.nextafter(ranked[max(round(share * len(ranked)), 1) - 1], 1)
    limit = min(max(share, fewest), ranked[-2])
    held = np.array([position[name] < limit for name in names])
    return table[~held].reset_index(drop=True), table[held].reset_index(drop=True)
