"""Whether an operating point holds among one's own people: how many pairs of two of them pass it."""

import warnings
from dataclasses import dataclass

import numpy as np

from facecom.errors import FacecomWarning
from facecom.inference.templates import Templates, as_templates, distance_matrix

#: Photos that are compared at most; of more, so many are drawn.
MOST = 2000

#: From so many times the promised rate on it is said, where so many pairs of people pass at least: one person under
#: two names, or two sisters, are no reason.
TIMES, PEOPLE = 3.0, 5


@dataclass(frozen=True)
class Passing:
    """Of `pairs` pairs of photos of two people, `passing` lie within the threshold; `people`: of how many pairs of
    people."""

    passing: int
    pairs: int
    people: int

    @property
    def rate(self) -> float:
        """The false accept rate among them, 0 to 1; NaN without a pair."""
        return self.passing / self.pairs if self.pairs else float("nan")


def passing(templates: Templates | np.ndarray, people: np.ndarray, threshold: float, seed: int = 0) -> Passing:
    """How many pairs of photos of two people pass. templates: [N], photos whose face cannot be read do not count;
    people: [N], whose photo each is; threshold: distance, 0 to 2. One photograph under two names counts as passing."""
    templates = as_templates(templates)
    rows = np.flatnonzero(templates.readable & templates.tell(np.full(len(templates), np.inf)))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    names, owner = np.unique(np.asarray(people)[rows], return_inverse=True)
    some = Templates(templates.faces[rows])
    other = np.triu(owner[:, None] != owner[None], 1)
    one, two = np.nonzero(other & (distance_matrix(some, some) <= threshold))
    pairs = np.sort(np.stack([owner[one], owner[two]]), 0)
    return Passing(len(one), int(other.sum()), len(np.unique(pairs[0] * len(names) + pairs[1])))


def warn_of(found: Passing, far: float | None) -> None:
    """Says so where clearly more pass than the operating point promises. far: the promised rate, None: none."""
    if not far or found.people < PEOPLE or found.rate <= TIMES * far:
        return
    warnings.warn(
        f"of {found.pairs:,} pairs of photos of two people in the gallery {found.passing:,} pass, "
        f"{1000 * found.rate:.3g} in 1,000 where {1000 * far:.3g} is promised: the threshold was fixed on other photos "
        "than these; facecom train siamese --data_dir PEOPLE --epochs 0 adapts the network to them in seconds",
        FacecomWarning,
        stacklevel=2,
    )
