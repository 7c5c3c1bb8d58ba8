"""From what a test run learned to rows of figures: printed, and in the report's folder."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from facecom.data import images
from facecom.errors import FacecomError
from facecom.evaluation import metrics, results
from facecom.evaluation.baseline import untrained_baseline
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
    features = None
    for row, path in enumerate(tqdm(paths, desc=progress, unit="photo", disable=None if progress else True)):
        try:
            found = untrained_baseline([images.read_photo(path)])[0]
        except FacecomError:  # said already when the network read it
            continue
        if features is None:
            features = np.full((len(paths), len(found)), np.nan, np.float32)
        features[row] = found
    return features


def confusion(genders: pd.Series, verdict: np.ndarray) -> str:
    """Lines that say how many photos of men and women were called what; verdict: as `gender.verdicts` gives it."""
    called = pd.Series(words(verdict), genders.index).replace("", "cannot tell")
    return pd.crosstab(genders.rename("labelled"), called.rename("called")).to_string()
