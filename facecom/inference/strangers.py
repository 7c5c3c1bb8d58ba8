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

#: A threshold of one's own is named where so many pairs would pass it: of fewer, the rate is not known.
LEAST_PASSING = 10


@dataclass(frozen=True)
class Passing:
    """Of `pairs` pairs of photos of two people, `passing` lie within the threshold; `people`: of how many pairs of
    people; `holds_at`: the distance below which no more than the promised rate of them lie, None where too few are
    there to know."""

    passing: int
    pairs: int
    people: int
    holds_at: float | None = None

    @property
    def rate(self) -> float:
        """The false accept rate among them, 0 to 1; NaN without a pair."""
        return self.passing / self.pairs if self.pairs else float("nan")


def passing(
    templates: Templates | np.ndarray, people: np.ndarray, threshold: float, far: float = 0.0, seed: int = 0
) -> Passing:
    """How many pairs of photos of two people pass. templates: [N], photos whose face cannot be read do not count;
    people: [N], whose photo each is; threshold: distance, 0 to 2; far: the promised rate, for `holds_at`."""
    templates = as_templates(templates)
    rows = np.flatnonzero(templates.readable & templates.tell(np.full(len(templates), np.inf)))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    names, owner = np.unique(np.asarray(people)[rows], return_inverse=True)
    faces = templates.faces[rows]
    apart, other = distance_matrix(faces, faces), np.triu(owner[:, None] != owner[None], 1)
    one, two = np.nonzero(other & (apart <= threshold))
    pairs = np.sort(np.stack([owner[one], owner[two]]), 0)
    found, may_pass = apart[other], int(far * other.sum())
    holds_at = float(np.partition(found, may_pass)[may_pass]) if may_pass >= LEAST_PASSING else None
    return Passing(len(one), len(found), len(np.unique(pairs[0] * len(names) + pairs[1])), holds_at)


def warn_of(found: Passing, far: float | None) -> None:
    """Says so where clearly more pass than the operating point promises. far: the promised rate, None: none."""
    if not far or found.people < PEOPLE or found.rate <= TIMES * far:
        return
    # Rounded down, so that what is named holds, too.
    own = "" if found.holds_at is None else f", or --threshold {np.floor(1000 * found.holds_at) / 1000:.3f} keeps to it"
    warnings.warn(
        f"of {found.pairs:,} pairs of photos of two people in the gallery {found.passing:,} pass, "
        f"{1000 * found.rate:.3g} in 1,000 where {1000 * far:.3g} is promised: the threshold was fixed on other photos "
        f"than these; facecom train siamese --data_dir PEOPLE --epochs 0 adapts the network to them in seconds{own}",
        FacecomWarning,
        stacklevel=2,
    )
