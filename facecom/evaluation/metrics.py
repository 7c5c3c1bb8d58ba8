"""Figures of merit: numpy and scikit-learn's definitions, ties counted against the model, undefined figures NaN.

score: any number, higher is more alike (a distance enters as its negative); NaN and +infinity are none and raise
ValueError. genuine scores: comparisons of one person; impostor scores: of two. A comparison is accepted when score >=
threshold. FAR and TAR (false and true accept rate) are ISO/IEC 19795's FMR and 1 - FNMR at comparison level.

Every figure is a function of counts, and counts add up over identities: one matrix product of resampling weights
[B, I] with counts per identity [I, ...] gives a figure in all resamples at once (`bootstrap`). That is why the curve
functions (`tar_on_curve`, `eer_on_curve`, `auc_on_curve`) and `decision_figures` work on the last axes of arrays.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

#: Genuine scores that a per-identity curve tells apart; more are thinned evenly.
MAX_LEVELS = 2**14

#: Equal-width bins of a probability, for calibration.
CALIBRATION_BINS = 15

#: Resamples that are counted at once.
_CHUNK = 100


def roc(genuine: np.ndarray, impostor: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(far, tar, thresholds), float64 [K] each, from the strictest threshold (infinite: nothing is accepted) down.

    A point a distinct score, so tied scores are accepted together. A rate without scores is NaN throughout.
    """
    genuine, impostor = np.sort(_numbers(genuine)), np.sort(_numbers(impostor))
    thresholds = np.append(np.inf, np.unique(np.concatenate([genuine, impostor]))[::-1])
    far, tar = (share(len(s) - np.searchsorted(s, thresholds, "left"), len(s)) for s in (impostor, genuine))
    return far, tar, thresholds


def tar_at_far(genuine: np.ndarray, impostor: np.ndarray, far: float, count: int | None = None) -> tuple[float, float]:
    """(TAR, threshold) at the lowest threshold whose false accept rate does not exceed `far`.

    count: of how many impostor scores `impostor` holds the highest, more than `far * count` of them (None: all).

    The threshold lies just above the strictest impostor score that must be rejected; impostor scores tied with it are
    rejected too. With fewer than 1 / far impostor scores none is accepted. NaN where there are no scores to tell.
    """
    # The next number of the scores' own type: NumPy compares float32 scores with a Python float as float32.
    dtype = np.result_type(np.asarray(genuine), np.asarray(impostor), np.float32)
    genuine, impostor = _numbers(genuine, dtype), _numbers(impostor, dtype)
    if not len(impostor):
        return np.nan, np.nan
    allowed = int(far * (count or len(impostor)) + 1e-9)  # 0.29 * 100 is 28.999999999999996
    if allowed >= len(impostor):
        threshold = -np.inf
    else:
        rank = len(impostor) - 1 - allowed
        threshold = float(np.nextafter(np.partition(impostor, rank)[rank], dtype.type(np.inf)))
    return float(share((genuine >= threshold).sum(), len(genuine))), threshold


def eer(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Equal error rate: where FAR and 1 - TAR cross on the ROC, linear between its points."""
    far, tar, _ = roc(genuine, impostor)
    return float(eer_on_curve(far, tar)) if len(far) > 1 else np.nan


def auc(genuine: np.ndarray, impostor: np.ndarray) -> float:
    """Area under the ROC: the chance that a genuine score is above an impostor score, ties one half."""
    far, tar, _ = roc(genuine, impostor)
    return float(auc_on_curve(far, tar)) if len(far) > 1 else np.nan


def tar_on_curve(far: np.ndarray, tar: np.ndarray, limit: float) -> np.ndarray:
    """Highest TAR with FAR <= limit. far, tar: [..., K] from the strictest threshold down. Returns [...]."""
    last = np.maximum(np.count_nonzero(far <= limit, axis=-1) - 1, 0)
    best = np.take_along_axis(tar, last[..., None], -1)[..., 0]
    return np.where(np.isnan(far[..., -1] + tar[..., -1]), np.nan, best)


def eer_on_curve(far: np.ndarray, tar: np.ndarray) -> np.ndarray:
    """See `eer`; far, tar: [..., K]. Returns [...]."""
    excess = far + tar - 1  # from -1 (nothing accepted) to 1 (everything)
    after = np.maximum((excess >= 0).argmax(-1), 1)[..., None]
    low, high = (np.take_along_axis(excess, i, -1) for i in (after - 1, after))
    far_low, far_high = (np.take_along_axis(far, i, -1) for i in (after - 1, after))
    return (far_low - low / (high - low) * (far_high - far_low))[..., 0]


def auc_on_curve(far: np.ndarray, tar: np.ndarray) -> np.ndarray:
    """See `auc`; far, tar: [..., K]. Returns [...]."""
    return (np.diff(far, axis=-1) * (tar[..., 1:] + tar[..., :-1])).sum(-1) / 2


def score_levels(genuine: np.ndarray) -> np.ndarray:
    """The distinct genuine scores, ascending, at most `MAX_LEVELS`: what `level_counts` counts against."""
    levels = np.unique(_numbers(genuine))
    if len(levels) > MAX_LEVELS:
        levels = levels[np.linspace(0, len(levels) - 1, MAX_LEVELS).round().astype(int)]
    return levels


def level_counts(scores: np.ndarray, owners: np.ndarray, identities: int, levels: np.ndarray) -> "sparse.csr_array":
    """Scores per identity and level, float64 [identities, 2 T + 1], sparse: no person has scores at every level.

    owners: int [N] in [0, identities), whose scores they are. Column 2 t + 1 holds the scores equal to level t, column
    2 t those between level t - 1 and t. Where TAR stays the same FAR may do what it will: so an exact ROC needs no
    more than the impostors' position among the genuine scores, ties included.
    """
    from scipy import sparse

    columns, scores = 2 * len(levels) + 1, _numbers(scores)
    below = np.searchsorted(levels, scores, "left")
    column = 2 * below + (np.append(levels, np.nan)[below] == scores)
    return sparse.csr_array((np.ones(len(column)), (owners, column)), (identities, columns))


def curve(counts: "sparse.csr_array", weights: np.ndarray) -> np.ndarray:
    """Accept rates from the strictest level down, float64 [B, K + 1], the first 0.

    counts: [I, K] of `level_counts`; weights: whole numbers [B, I]. NaN in resamples that weigh no score.
    """
    accepted = np.zeros((len(weights), counts.shape[1] + 1), np.int64)  # summed up in an eighth of the time of floats
    accepted[:, 1:] = (counts.T @ weights.T)[::-1].T
    accepted = np.cumsum(accepted, axis=1, out=accepted)
    return share(accepted, accepted[:, -1:])


def decision_counts(labels: np.ndarray, predictions: np.ndarray, owners: np.ndarray, identities: int) -> np.ndarray:
    """Confusion counts per identity, float64 [identities, 2, 3]: true label 0, 1 by answer 0, 1, none.

    labels: bool or 0, 1 [N]; predictions: float [N], 1, 0, or NaN for `cannot tell`; owners: int [N].
    """
    predictions = np.asarray(predictions, float)
    answer = np.where(np.isnan(predictions), 2, predictions).astype(np.int64)
    cell = (owners.astype(np.int64) * 2 + np.asarray(labels).astype(np.int64)) * 3 + answer
    return np.bincount(cell, minlength=identities * 6).reshape(identities, 2, 3).astype(float)


def decision_figures(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Figures of confusion counts [..., 2, 3] (see `decision_counts`), each [...]; positive is label 1.

    `cannot tell` is never right: it lowers accuracy, recall and F1, not precision. `answered` is the share with an
    answer. macro F1 and balanced accuracy are undefined while a label is missing.
    """
    (tn, fp), (fn, tp) = ((counts[..., label, 0], counts[..., label, 1]) for label in (0, 1))
    negative, positive = counts[..., 0, :].sum(-1), counts[..., 1, :].sum(-1)
    total = negative + positive
    f1 = np.where(positive > 0, share(2 * tp, tp + fp + positive), np.nan)
    f1_negative = np.where(negative > 0, share(2 * tn, tn + fn + negative), np.nan)
    recall, specificity = share(tp, positive), share(tn, negative)
    return {
        "accuracy": share(tp + tn, total),
        "precision": share(tp, tp + fp),
        "recall": recall,
        "f1": f1,
        "macro_f1": (f1 + f1_negative) / 2,
        "balanced_accuracy": (recall + specificity) / 2,
        "specificity": specificity,
        "answered": share(tn + fp + fn + tp, total),
    }


def classification(
    labels: np.ndarray, predictions: np.ndarray, probabilities: np.ndarray | None = None
) -> dict[str, float]:
    """All figures of a binary classifier: `decision_figures`, and with probabilities of label 1 also `auc`, `ece`.

    labels: 0, 1 [N]; predictions: 0, 1 or NaN (cannot tell) [N]; probabilities: float [N] in [0, 1].
    """
    labels = np.asarray(labels).astype(bool)
    counts = decision_counts(labels, predictions, np.zeros(len(labels), np.int64), 1)[0]
    figures = {name: float(value) for name, value in decision_figures(counts).items()}
    if probabilities is not None:
        probabilities = np.asarray(probabilities, float)
        figures["auc"] = auc(probabilities[labels], probabilities[~labels])
        figures["ece"] = ece(labels, probabilities)
    return figures


def calibration_counts(
    labels: np.ndarray, probabilities: np.ndarray, owners: np.ndarray, identities: int, bins: int = CALIBRATION_BINS
) -> np.ndarray:
    """Per identity and equal-width bin of the probability of label 1: count, sum of probabilities, sum of labels.

    Returns float64 [identities, bins, 3].
    """
    probabilities = _numbers(probabilities)
    if probabilities.size and not 0 <= probabilities.min() <= probabilities.max() <= 1:
        raise ValueError("probabilities are from 0 to 1")
    cell = owners.astype(np.int64) * bins + np.minimum((probabilities * bins).astype(np.int64), bins - 1)
    sums = [np.bincount(cell, w, identities * bins) for w in (None, probabilities, np.asarray(labels, float))]
    return np.stack(sums, 1).reshape(identities, bins, 3).astype(float)


def ece_of_counts(counts: np.ndarray) -> np.ndarray:
    """Expected calibration error of `calibration_counts` summed over identities, [..., bins, 3] -> [...]."""
    return share(np.abs(counts[..., 1] - counts[..., 2]).sum(-1), counts[..., 0].sum(-1))


def ece(labels: np.ndarray, probabilities: np.ndarray, bins: int = CALIBRATION_BINS) -> float:
    """Expected calibration error: the mean over photos of |mean probability - share of label 1| in their bin.

    Naeini et al. 2015 and Guo et al. 2017, on the probability of label 1 (not of the more probable label).
    """
    owners = np.zeros(len(np.asarray(labels)), np.int64)
    return float(ece_of_counts(calibration_counts(labels, probabilities, owners, 1, bins)[0]))


def ranks(scores: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Rank of each probe's best genuine photo among the gallery's photos, 1 is best; NaN without a genuine photo.

    scores: float [P, G], -inf for a photo that is left out; same: bool [P, G], is it the probe's person. Impostor
    photos with the same score rank before the genuine one.
    """
    scores = _numbers(scores, None)
    best = np.where(same, scores, -np.inf).max(-1, initial=-np.inf)
    before = ((scores >= best[..., None]) & ~same).sum(-1)
    return np.where(best > -np.inf, before + 1.0, np.nan)


def rank_k(scores: np.ndarray, same: np.ndarray, k: int) -> float:
    """Share of the probes with a photo of their person among the k best; probes without one in the gallery left out."""
    rank = ranks(scores, same)
    rank = rank[~np.isnan(rank)]
    return float(share((rank <= k).sum(), len(rank)))


def macro_f1_of_confusion(confusion: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean F1 of the identities that were asked for, [B].

    confusion: counts [I, I] of true identity by answer, an array or a sparse one, for there are few; weights: [B, I].
    An identity drawn twice is two people with the same photos: each answers for its own, and wrong answers weigh as
    often as those who gave them were drawn.
    """
    from scipy import sparse

    confusion = sparse.csr_array(confusion)
    hits, asked = confusion.diagonal(), confusion.sum(1)
    mistaken_for = (confusion.T @ weights.T).T - weights * hits
    f1 = share(2 * hits, asked + hits + mistaken_for)
    known = asked > 0
    return share((weights * f1)[:, known].sum(1), weights[:, known].sum(1))


def bootstrap(
    identities: int,
    statistic: Callable[[np.ndarray], dict[str, np.ndarray]],
    resamples: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> dict[str, tuple[float, float, float]]:
    """{name: (value, low, high)}: each figure and its percentile interval over resampled identities.

    statistic: weights float64 [B, identities] (how often each identity was drawn) -> {name: float [B]}. The value is
    the figure with every identity once; resamples in which a figure is undefined do not count for its interval.
    resamples 0: low and high are NaN.
    """
    if identities == 0:
        return {name: (np.nan,) * 3 for name in statistic(np.ones((1, 0)))}
    values = {name: float(value[0]) for name, value in statistic(np.ones((1, identities))).items()}
    drawn = [statistic(weights.astype(float)) for weights in _resamples(identities, resamples, seed)]
    result = {}
    for name, value in values.items():
        low = high = np.nan
        if drawn and not np.isnan(value):
            sample = np.concatenate([d[name] for d in drawn])
            low, high = np.nanquantile(sample, [(1 - level) / 2, (1 + level) / 2])
        result[name] = (value, float(low), float(high))
    return result


@lru_cache(maxsize=2)
def _resamples(identities: int, resamples: int, seed: int) -> list[np.ndarray]:
    """How often each identity is drawn, int16 [B, identities] a chunk, kept for the next condition: to draw them takes
    as long as to count with them."""
    rng, even = np.random.default_rng(seed), np.full(identities, 1 / identities)
    chunks = (min(_CHUNK, resamples - start) for start in range(0, resamples, _CHUNK))
    return [rng.multinomial(identities, even, size=count).astype(np.int16) for count in chunks]


def _numbers(values: np.ndarray, dtype: "np.typing.DTypeLike | None" = float) -> np.ndarray:
    """The values as an array. Raises ValueError for NaN and +infinity."""
    array = np.asarray(values, dtype)
    if not (array < np.inf).all():
        raise ValueError("NaN and +infinity are no scores: leave out what could not be compared")
    return array


def share(part: np.ndarray | int, whole: np.ndarray | int) -> np.ndarray:
    """part / whole, NaN where the whole is 0."""
    return np.true_divide(part, np.where(np.asarray(whole) == 0, np.nan, whole))
