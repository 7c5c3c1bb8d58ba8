"""Operating points: thresholds that are fixed on held-back identities and only applied afterwards."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from facecom.evaluation import metrics
from facecom.evaluation.comparisons import BLOCK, highest, readable, strictest_scores
from facecom.inference.templates import distance_matrix

#: A rate is known where so many pairs of held-back people would pass: photos of the same few people are no new pairs.
LEAST_PASSING = 10

#: False accept rates that operating points are fixed at; the first is the default.
FARS = (1e-3, 1e-4)


def fit_operating_points(
    table: pd.DataFrame,
    embeddings: np.ndarray,
    extra_impostors: np.ndarray | None = None,
    fars: Sequence[float] = FARS,
    before: Sequence[dict] = (),
) -> list[dict]:
    """Distances at which the false accept rate on these identities stays within each of `fars`.

    Probes of all conditions, pooled, against clean photos (own photo left out); extra_impostors: float32 [M, 128] of
    other people, strangers who join the gallery. The rate holds among these people and among the strangers, each by
    itself: photos of another origin look less alike, and many of them would hide what happens among one's own. Meant
    for identities that training has not seen. Returns [{threshold, far, tar, genuine, impostor, identities}], counts of
    comparisons; empty without impostor comparisons.
    """
    table, kept = readable(table, embeddings)
    embeddings = np.asarray(kept)
    genuine, closest, count = strictest_scores(table, embeddings, "all", max(fars))
    extra = np.empty((0, embeddings.shape[1])) if extra_impostors is None else extra_impostors
    extra = extra[np.isfinite(extra).all(1)]
    # (scores, comparisons): of people who are not the same only the closest matter and are kept.
    impostors = [(closest, count), (_closest(embeddings, extra, max(fars)), len(embeddings) * len(extra))]
    impostors = [(scores, count) for scores, count in impostors if count]
    identities = int(table["identity"].nunique())
    points = []
    for far in fars if impostors else ():
        found = [metrics.tar_at_far(genuine, scores, far, count) for scores, count in impostors]
        if identities * (identities - 1) / 2 * far < LEAST_PASSING:
            limits = [np.float32(-point["threshold"]) for point in before if point.get("far") == far]
            found += [(float(metrics.share((genuine >= limit).sum(), len(genuine))), limit) for limit in limits]
        tar, threshold = max(found, key=lambda one: one[1])
        point = {"threshold": min(-float(threshold), 2.0), "far": far, "tar": None if np.isnan(tar) else tar}
        point |= {"genuine": len(genuine), "impostor": sum(count for _, count in impostors)}
        points.append(point | {"identities": identities})
    return points


def in_words(point: dict) -> str:
    """What an operating point promises, and on how little it stands where that is so."""
    far, impostor = point["far"], point.get("impostor")
    if not far:
        return "set by hand, not measured"
    if impostor is not None and impostor * far < 1:
        return f"fixed on {impostor:,} pairs of strangers, too few to know a rate of 1 in {1 / far:,.0f}"
    return f"1 in {1 / far:,.0f} pairs of strangers passes"


def _closest(embeddings: np.ndarray, strangers: np.ndarray, far: float) -> np.ndarray:
    """Scores of the closest comparisons of each with each, as many as decide about a false accept rate."""
    keep = int(far * len(embeddings) * len(strangers)) + 2
    scores = np.empty(0, np.float32)
    for start in range(0, len(strangers), step := max(1, BLOCK // max(1, len(embeddings)))):
        found = -distance_matrix(embeddings, strangers[start : start + step]).ravel()
        scores = highest(np.concatenate([scores, found]), keep)
    return scores
