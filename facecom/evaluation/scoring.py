"""From what a test run learned to rows of figures: printed, and in the report's folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from facecom.data import images
from facecom.errors import FacecomError
from facecom.evaluation import metrics, protocols, results
from facecom.evaluation.comparisons import untrained_baseline
from facecom.inference.gender import words


def show(rows: list[dict], report: Path | None, name: str = "metrics.csv") -> None:
    """Print result rows as tables, and write them to the report's folder."""
    results.print_table(rows)
    if report:
        results.write_rows(report / name, rows)


def pair_rows(same: np.ndarray, distance: np.ndarray, verdict: np.ndarray) -> list[dict]:
    """Result rows of labelled pairs, protocol `pairs`, no intervals (whose photos they are is not known).

    same: 1, 0 [N]; distance: NaN for an unreadable photo [N]; verdict: 1, 0, NaN for cannot tell [N].
    """
    known = ~np.isnan(distance)
    same, score = same[known].astype(bool), -distance[known]
    figures = metrics.classification(same, verdict[known])
    figures |= {"auc": metrics.auc(score[same], score[~same]), "eer": metrics.eer(score[same], score[~same])}
    count = dict.fromkeys(figures, len(same))
    return results.rows_of("pairs", "all", {name: (value, np.nan, np.nan) for name, value in figures.items()}, count)


def baseline_features(paths: Sequence[str], progress: str | None) -> np.ndarray:
    """The untrained baseline's features, float32 [N, D], unit length; NaN for an unreadable photo."""
    features = np.empty((0, 0), np.float32)
    for row, path in enumerate(tqdm(paths, desc=progress, unit="photo", disable=None if progress else True)):
        try:
            found = untrained_baseline([images.read_photo(path)])[0]
        except FacecomError:  # said already when the network read it
            continue
        if not len(features):
            features = np.full((len(paths), len(found)), np.nan, np.float32)
        features[row] = found
    return features


def confusion(genders: pd.Series, verdict: np.ndarray) -> str:
    """Lines that say how many photos of men and women were called what; verdict: as `gender.verdicts` gives it."""
    called = pd.Series(words(verdict), genders.index).replace("", "cannot tell")
    return pd.crosstab(genders.rename("labelled"), called.rename("called")).to_string()


#: Figures shown, by protocol; all conditions of the photos pooled.
SHOWN = (("cross-photo", "tar@far=1e-3"), ("cross-photo", "tar@far=1e-4"), ("identification", "rank1"),
         ("cross-photo", "eer"))  # fmt: skip

TITLES = {"held": "held back", "val": "val", "guard": "guard"}

#: The network at its three ages, in order.
STAGES = ("shipped", "adapted", "fine-tuned")


def summary(tables: Mapping[str, pd.DataFrame], stages: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """Lines of a table: a stage and a set of photos a row.

    tables: by the names of `TITLES`; stages: embeddings float [N, D] of each, by `STAGES`.
    """
    lines = ["what training did (95 % intervals over people):"]
    lines.append(f"  {'':<10} {'':<10} " + " ".join(f"{metric:<22}" for _, metric in SHOWN) + " genuine")
    for name, table in tables.items():
        for stage in STAGES:
            if name in stages.get(stage, {}):
                lines.append(f"  {TITLES[name]:<10} {stage:<10} {_figures(table, stages[stage][name])}")
    return lines


#: Figures shown of gender, and the network at its three ages.
GENDER_SHOWN, GENDER_STAGES = ("balanced_accuracy", "accuracy", "auc", "ece"), ("shipped", "calibrated", "fine-tuned")


def gender_summary(
    tables: Mapping[str, pd.DataFrame], stages: Mapping[str, Mapping[str, tuple[np.ndarray, float]]]
) -> list[str]:
    """As `summary`, of gender. stages: probabilities of `female`, float [N], and the threshold, by `GENDER_STAGES`."""
    lines = ["what training did (95 % intervals over people):"]
    lines.append(f"  {'':<10} {'':<10} " + " ".join(f"{metric:<22}" for metric in GENDER_SHOWN) + " photos")
    for name, table in tables.items():
        for stage in GENDER_STAGES:
            if name not in stages.get(stage, {}):
                continue
            rows = protocols.gender(table, *stages[stage][name])
            found = {row["metric"]: row for row in rows if row["condition"] == rows[-1]["condition"]}
            shown = [f"{found[m]['value']:.3f} ({results.interval(found[m])})" for m in GENDER_SHOWN]
            text = " ".join(f"{one:<22}" for one in shown)
            lines.append(f"  {TITLES[name]:<10} {stage:<10} {text} {found['accuracy']['count']:,}")
    return lines


def _figures(table: pd.DataFrame, embeddings: np.ndarray) -> str:
    rows = protocols.cross_photo(table, embeddings, conditions=["all"])
    rows += protocols.identification(table, embeddings, conditions=["all"])
    found = {(row["protocol"], row["metric"]): row for row in rows}
    shown = []
    for key in SHOWN:
        row = found.get(key)
        shown.append("-" if row is None or np.isnan(row["value"]) else f"{row['value']:.3f} ({results.interval(row)})")
    genuine = found.get(SHOWN[0], {}).get("count", 0)
    return " ".join(f"{text:<22}" for text in shown) + f" {genuine:,}"
