"""The audit of two splits, their faces compared by a network: what `audit.audit` says of files, names and faces."""

import numpy as np
import pandas as pd

from facecom.data.audit import LABEL_COLUMNS, audit
from facecom.data.pairs import read_table
from facecom.errors import FacecomError
from facecom.inference import pipeline
from facecom.inference.ensemble import Ensemble


def audit_splits(
    train: pd.DataFrame, val: pd.DataFrame, network: Ensemble, labels: pd.DataFrame | None = None, **options
) -> pd.DataFrame:
    """[kind, train, val, detail], as `audit.audit` gives it.

    train, val: tables of `data/folders.py`; network: a Siamese one; labels: two versions of the gender; options: as for
    `pipeline.stream`.
    """
    found = clean_embeddings(train, network, **options), clean_embeddings(val, network, **options)
    return audit(train, val, found, labels)


def clean_embeddings(table: pd.DataFrame, network: Ensemble, **options) -> np.ndarray:
    """float32 [len, D], unit length, of the clean photos; NaN for their distorted copies, which show no one else."""
    clean = np.flatnonzero(table["condition"] == "clean")
    found = pipeline.collect(table["path"].iloc[clean].tolist(), network, **options)[0].outputs
    embeddings = np.full((len(table), found.shape[1]), np.nan, np.float32)
    embeddings[clean] = found
    return embeddings


def read_labels(path: str) -> pd.DataFrame:
    """Two versions of the gender: `split,file,gender,second_opinion`. Raises FacecomError for another file."""
    try:
        labels = read_table(path)
    except (OSError, ValueError) as error:
        raise FacecomError(f"{path}: no CSV file that can be read ({error}): check --labels") from None
    missing = [name for name in LABEL_COLUMNS if name not in labels]
    if missing:
        raise FacecomError(f"{path}: no column {', '.join(missing)}: --labels needs {','.join(LABEL_COLUMNS)}")
    return labels
