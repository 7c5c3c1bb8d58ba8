"""The sections of Task A's report."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from facecom.evaluation import metrics
from facecom.evaluation.comparisons import present_conditions
from facecom.report import evidence, page, plots
from facecom.report.parts import Found, hardest, legend, of_metric, tile, worst_errors

GLOSSARY = (
    ("accuracy", "the share of photos whose answer is the label's"),
    ("balanced accuracy", "the mean of the share of men and of women that is right: guessing gives .5"),
    ("always_male", "the accuracy of answering male to everything: any accuracy must be compared with it"),
    ("precision, recall", "of those called female the share that is; of the women the share called so"),
    ("F1", "the harmonic mean of the two; macro F1: its mean over men and women"),
    ("ece", "calibration error: how far a stated probability lies from how often it is right, on average"),
    ("gap", "men less women"),
    ("interval", "where 95 of 100 repetitions with other people like these would fall (identities resampled)"),
    ("operating point", "a threshold fixed beforehand on other people, and only applied here"),
)

EDGES = np.linspace(0, 1, 41)


def tiles(found: Found) -> str:
    pooled = "all" if ("gender", "all", "accuracy") in found else "clean"
    male, female = (found.get(("gender", pooled, f"accuracy {gender}")) for gender in ("male", "female"))
    return page.tiles(
        [
            tile(found.get(("gender", "clean", "balanced_accuracy")), "balanced accuracy on clean photos", "photos"),
            *hardest(found, "gender", "balanced_accuracy", "balanced accuracy", "photos"),
            tile(male, "of men's photos are right", "photos"),
            tile(female, "of women's photos are right", "photos"),
        ]
    )


def curves(draw: Callable, found: Found, table: pd.DataFrame, p_female: np.ndarray, threshold: float) -> list[str]:
    """Per condition: accuracy, distributions, ROC."""
    series = {
        "balanced accuracy": of_metric(found, "gender", "balanced_accuracy"),
        "accuracy": of_metric(found, "gender", "accuracy"),
        "answering male to everything": of_metric(found, "gender", "always_male"),
    }
    female = (table["gender"] == "female").to_numpy()
    parts = {c: ((table["condition"] == c).to_numpy() | (c == "all")) for c in present_conditions(table)}
    women, men = int(female.sum()), int((~female).sum())
    shown = [
        page.heading("Per condition"),
        draw(
            "conditions",
            partial(plots.per_condition, series, "share of photos", unmarked="answering male to everything"),
            "Balanced accuracy and accuracy per condition with intervals",
            "How often the answer is the label's: the further right the better; bars are 95 % intervals over people. "
            f"{women:,} photos of women, {men:,} of men.",
        ),
        draw(
            "scores",
            partial(
                plots.histograms,
                {
                    c: (np.histogram(p_female[m & female], EDGES)[0], np.histogram(p_female[m & ~female], EDGES)[0])
                    for c, m in parts.items()
                },
                EDGES,
                {threshold: f"threshold {threshold:.2f}"},
                ("women", "men"),
                "probability of female",
            ),
            "Histograms of the probability of female per condition",
            "What the network says of women and of men: the hills should stand at the two ends; right of the line the "
            "answer is female. Above each panel: photos of women / of men.",
        ),
    ]
    rocs = {c: metrics.roc(p_female[m & female], p_female[m & ~female])[:2] for c, m in parts.items()}
    rocs = {c: curve for c, curve in rocs.items() if not np.isnan(curve[0] + curve[1]).any()}
    if rocs:
        shown.append(
            draw(
                "roc",
                partial(
                    plots.roc,
                    rocs,
                    legend(found, "gender", "auc"),
                    labels=("men called female", "women called female"),
                    title="AUC",
                    lowest=1e-3,
                ),
                "ROC curves per condition",
                "What another threshold would give: further up more women are right, further left more men. "
                f"{women:,} photos of women, {men:,} of men.",
            )
        )
    return shown


def decisions(
    draw: Callable,
    table: pd.DataFrame,
    p_female: np.ndarray,
    verdict: np.ndarray,
    threshold: float,
    sureness: Mapping[str, np.ndarray],
) -> list[str]:
    """Confusion matrix, reliability, error versus reject."""
    female = (table["gender"] == "female").to_numpy()
    owners = np.zeros(len(table), int)
    counts = metrics.decision_counts(female, verdict, owners, 1)[0]
    answers = ["called male", "called female", "cannot tell"]
    told = slice(None) if counts[:, 2].any() else slice(2)
    bins = metrics.calibration_counts(female, p_female, owners, 1)[0]
    wrong = verdict != female
    sureness = {"distance to the threshold": np.abs(p_female - threshold), **sureness}
    rejected = {f"by {n}": evidence.error_versus_reject(wrong, values) for n, values in sureness.items()}
    return [
        page.heading("Decisions"),
        draw(
            "confusion",
            partial(plots.confusion, counts[:, told], ["labelled male", "labelled female"], answers[told]),
            "Confusion matrix",
            f"All {len(table):,} photos: who was called what, as counts and as share of the line.",
        ),
        page.heading("Do the probabilities mean what they say?"),
        draw(
            "reliability",
            partial(plots.reliability, bins),
            "Reliability diagram",
            "Of the photos that are called female with 80 %, 80 % should be: nearer to the dotted line is better. "
            f"Below: how many of the {len(table):,} photos stand behind each point.",
        ),
        page.heading("Does it know when it cannot tell?"),
        draw(
            "reject",
            partial(plots.reject_curve, {name: curve for name, curve in rejected.items() if curve}, "wrong answers"),
            "Error versus reject",
            "If the least sure answers are withheld, fewer errors should remain: the steeper the fall, the better the "
            f"figure knows. {len(table):,} photos.",
        ),
    ]


def worst(table: pd.DataFrame, p_female: np.ndarray, verdict: np.ndarray) -> list[str]:
    return worst_errors(
        table,
        evidence.worst_genders(table, p_female, verdict),
        lambda error: f"{error.kind}: probability of female {error.score:.3f}",
        "No photo was answered wrongly.",
    )
