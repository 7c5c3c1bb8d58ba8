"""What a report shows besides its figures: curves, distributions, and the worst errors. Memory does not grow with the
number of comparisons."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from facecom.evaluation import metrics
from facecom.evaluation.comparisons import comparisons, identity_keys
from facecom.evaluation.protocols import nearest_identities
from facecom.inference.templates import Templates

#: Distances of the histograms.
EDGES = np.linspace(0, 2, 81)

#: Shares of answers withheld in an error-versus-reject curve.
WITHHELD = np.linspace(0, 0.5, 101)


class Pairs(NamedTuple):
    """The cross-photo comparisons of one condition.

    far, tar: [K] curve from the strictest threshold down; genuine, impostor: int [bins], distances counted between
    `EDGES`; distance, probe, other: [N], each genuine comparison and the rows of the table that it compares; ranks:
    float [P], of the probes that have another photo of their person.
    """

    far: np.ndarray
    tar: np.ndarray
    genuine: np.ndarray
    impostor: np.ndarray
    distance: np.ndarray
    probe: np.ndarray
    other: np.ndarray
    ranks: np.ndarray


class Error(NamedTuple):
    """A wrong answer: rows of the table (other: -1 for a single photo), the score behind it, and which error it is."""

    row: int
    other: int
    score: float
    kind: str


def pairs_of(table: pd.DataFrame, embeddings: Templates | np.ndarray, condition: str) -> Pairs:
    """table, embeddings: readable rows only (`comparisons.readable`)."""
    found = [np.empty((3, 0))]
    for probes, gallery, scores, same, own in comparisons(table, embeddings, condition):
        row, column = np.nonzero(same & ~own)
        found.append(np.stack([-scores[row, column], probes[row], gallery[column]]))
    distance, probe, other = np.concatenate(found, 1)
    levels = metrics.score_levels(-distance.astype(np.float32))
    counts, impostor = _counts(np.empty(0), levels), np.zeros(len(EDGES) - 1, int)
    for _, _, scores, same, _ in comparisons(table, embeddings, condition):
        counts += _counts(scores[~same], levels)
        impostor += np.histogram(-scores[~same], EDGES)[0]
    ranks = nearest_identities(table, embeddings, condition)[1]
    return _pairs(distance, counts, impostor, levels, probe.astype(int), other.astype(int), ranks)


def labelled_pairs(same: np.ndarray, distance: np.ndarray) -> Pairs:
    """Pairs that come with their labels, not from a table (probe, other and ranks are empty). same: bool [N]."""
    levels = metrics.score_levels(-distance[same].astype(np.float32))
    counts = _counts(-distance[~same].astype(np.float32), levels)
    nothing = np.empty(0, int)
    impostor = np.histogram(distance[~same], EDGES)[0]
    return _pairs(distance[same], counts, impostor, levels, nothing, nothing, np.empty(0))


def _counts(scores: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return metrics.level_counts(np.asarray(scores), np.zeros(len(scores), int), 1, levels)


def _pairs(distance, impostor_counts, impostor, levels, probe, other, ranks) -> Pairs:
    one = np.ones((1, 1))
    far = metrics.curve(impostor_counts, one)[0]
    tar = metrics.curve(_counts(-distance.astype(np.float32), levels), one)[0]
    return Pairs(far, tar, np.histogram(distance, EDGES)[0], impostor, distance, probe, other, ranks)


def worst_pairs(
    table: pd.DataFrame, embeddings: Templates | np.ndarray, threshold: float, count: int = 10
) -> list[Error]:
    """The pairs of one person that are farthest apart and the pairs of two that are closest, where they are errors.

    Half of `count` each, more of one where the other has fewer; a person is named once a kind.
    """
    identity = identity_keys(table)
    rejected: list = []
    accepted: list = []
    for probes, gallery, scores, same, own in comparisons(table, embeddings, "all"):
        distance = -scores
        for kind, wanted, found in ((same & ~own, -distance, rejected), (~same, distance, accepted)):
            wrong = kind & ((distance > threshold) if found is rejected else (distance <= threshold))
            best = np.where(wrong, wanted, np.inf)
            column = best.argmin(1)  # a probe is named once
            for row in np.flatnonzero(np.isfinite(best.min(1))):
                found.append((best[row, column[row]], probes[row], gallery[column[row]], distance[row, column[row]]))
    errors = [
        [Error(int(row), int(other), float(distance), kind) for _, row, other, distance in _once(found, identity)]
        for found, kind in ((rejected, "one person, taken for two"), (accepted, "two people, taken for one"))
    ]
    half = count // 2
    first = min(len(errors[0]), max(half, count - len(errors[1])))
    return errors[0][:first] + errors[1][: count - first]


def _once(found: list[tuple], identity: np.ndarray) -> list[tuple]:
    """Worst first, a person once."""
    seen: set = set()
    kept = []
    for error in sorted(found):
        people = {identity[error[1]], identity[error[2]]}
        if not people & seen:
            seen |= people
            kept.append(error)
    return kept


def worst_genders(table: pd.DataFrame, p_female: np.ndarray, verdict: np.ndarray, count: int = 10) -> list[Error]:
    """The photos whose wrong answer was surest; a photo and its copies are named once. verdict: 1 female, 0, NaN."""
    female = (table["gender"] == "female").to_numpy()
    wrong = np.flatnonzero(~np.isnan(verdict) & (verdict != female))
    surest = wrong[np.argsort(np.where(female[wrong], p_female[wrong], 1 - p_female[wrong]), kind="stable")]
    photo = table["photo"].to_numpy()
    first = surest[np.sort(np.unique(photo[surest], return_index=True)[1])]
    words = {True: "labelled female, answered male", False: "labelled male, answered female"}
    return [Error(int(row), -1, float(p_female[row]), words[bool(female[row])]) for row in first[:count]]


def error_versus_reject(wrong: np.ndarray, sureness: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """(shares withheld [K], error of the rest [K]), withholding the least sure first (Grother and Tabassi 2007).

    wrong: bool [N]; sureness: float [N], higher is surer. None where nothing is known about it.
    """
    known = ~np.isnan(sureness)
    if not known.any():
        return None
    wrong = wrong[known][np.argsort(-sureness[known], kind="stable")]
    kept = np.maximum(np.ceil(len(wrong) * (1 - WITHHELD)).astype(int), 1)
    return WITHHELD, np.cumsum(wrong)[kept - 1] / kept
