"""Task A's protocol: gender per condition. Positive is `female`, whose probability the network gives."""

from functools import partial

import numpy as np
import pandas as pd

from facecom.data.folders import GENDERS, identity_of
from facecom.evaluation import metrics
from facecom.evaluation.comparisons import present_conditions
from facecom.evaluation.results import gap, rows_of


def gender(
    table: pd.DataFrame,
    p_female: np.ndarray,
    threshold: float = 0.5,
    *,
    unsure: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict]:
    """Rows of the protocol `gender`, per condition and for all; counts are photos.

    table: a row a photo, columns `photo`, `condition`, `gender` (male, female; others are left out), and where there
    are some `identity` (where empty, from the photo's name) and `second_opinion` (male, female, both), which adds
    figures of that version of the labels; for `both` either answer is right. p_female: float [N] in [0, 1], NaN for
    files that could not be read. threshold: female from it on. unsure: bool [N], photos to answer `cannot tell` for,
    which is never right. `always_male` is the accuracy of answering male to everything; `gap` is men less women.
    """
    p_female = np.asarray(p_female, float)
    unsure = np.zeros(len(table), bool) if unsure is None else unsure
    known = table["gender"].isin(GENDERS).to_numpy() & np.isfinite(p_female)
    table, p_female, unsure = table[known].reset_index(drop=True), p_female[known], unsure[known]
    identity = table["photo"].map(identity_of)
    if "identity" in table:
        identity = table["identity"].fillna(identity)
    owner = pd.factorize(identity)[0]
    people = owner.max(initial=-1) + 1
    answer = np.where(unsure, np.nan, p_female >= threshold)
    rows = []
    for condition in present_conditions(table):
        mine = np.ones(len(table), bool) if condition == "all" else (table["condition"] == condition).to_numpy()
        counts = _counts(table[mine], p_female[mine], answer[mine], owner[mine], people)
        figures = metrics.bootstrap(people, partial(_figures, counts), resamples, seed)
        women = int((table["gender"][mine] == "female").sum())
        count = dict.fromkeys(figures, int(mine.sum()))
        count |= {"accuracy male": count["accuracy"] - women, "accuracy female": women, "recall": women}
        rows += rows_of("gender", condition, figures, {name: count[name] for name in figures})
    return rows


def _counts(table, p_female, answer, owner, people) -> dict[str, np.ndarray]:
    """Everything that the figures are made of, per identity [people, ...]."""
    female = (table["gender"] == "female").to_numpy()
    levels = metrics.score_levels(p_female[female])
    counts = {
        "decisions": metrics.decision_counts(female, answer, owner, people),
        "women": metrics.level_counts(p_female[female], owner[female], people, levels),
        "men": metrics.level_counts(p_female[~female], owner[~female], people, levels),
        "calibration": metrics.calibration_counts(female, p_female, owner, people),
    }
    if "second_opinion" in table:
        second = table["second_opinion"].to_numpy()
        either = (second == "both") & ~np.isnan(answer)
        labels = np.where(either, answer, np.where(second == "both", female, second == "female"))
        counts["second"] = metrics.decision_counts(labels, answer, owner, people)
    return counts


def _figures(counts: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    decisions = np.tensordot(weights, counts["decisions"], 1)
    found = metrics.decision_figures(decisions)
    names = ("accuracy", "precision", "recall", "f1", "macro_f1", "balanced_accuracy")
    figures = {name: found[name] for name in names}
    men, women = (metrics.curve(counts[name], weights) for name in ("men", "women"))
    figures["auc"] = metrics.auc_on_curve(men, women)
    figures["ece"] = metrics.ece_of_counts(np.tensordot(weights, counts["calibration"], 1))
    figures["always_male"] = metrics.share(decisions[:, 0].sum(-1), decisions.sum((-2, -1)))
    if counts["decisions"][..., 2].any():
        figures["answered"] = found["answered"]
    figures |= {"accuracy male": found["specificity"], "accuracy female": found["recall"]}
    figures |= gap(figures, "accuracy")
    if "second" in counts:
        second = metrics.decision_figures(np.tensordot(weights, counts["second"], 1))
        figures |= {f"{name} second_opinion": second[name] for name in ("accuracy", "balanced_accuracy")}
    return figures
