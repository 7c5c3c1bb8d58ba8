"""How well faces were sorted into people: pairs and B-cubed."""

import numpy as np


def _table(truth: np.ndarray, found: np.ndarray) -> np.ndarray:
    """How many faces of each true person are in each found one: int64 [T, F]. A face in no group (0) is one alone."""
    found = np.asarray(found, np.int64).copy()
    alone = np.flatnonzero(found == 0)
    found[alone] = found.max(initial=0) + 1 + np.arange(len(alone))
    _, rows = np.unique(truth, return_inverse=True)
    _, columns = np.unique(found, return_inverse=True)
    table = np.zeros((rows.max(initial=-1) + 1, columns.max(initial=-1) + 1), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def f1(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where both are."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def pairwise(truth: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """(precision, recall, F1) over pairs of faces: of the pairs put together the share that is of one person, and of
    the pairs of one person the share put together; 1 where there are no such pairs.

    truth: [N] names; found: int [N], 1, 2, ..., 0 for a face in no group.
    """
    table = _table(truth, found)
    both, together, same = (int((part * (part - 1)).sum()) for part in (table, table.sum(0), table.sum(1)))
    precision, recall = both / together if together else 1.0, both / same if same else 1.0
    return precision, recall, f1(precision, recall)


def b_cubed(truth: np.ndarray, found: np.ndarray) -> tuple[float, float, float]:
    """(precision, recall, F1): for each face the share of its group that is of its person, and the share of its person
    that is in its group, both the mean over faces (Bagga and Baldwin, COLING 1998; why this one: Amigó et al.,
    Information Retrieval 2009). Arguments as for `pairwise`.
    Raises ValueError without a face."""
    table = _table(truth, found)
    if not table.size:
        raise ValueError("no faces to judge")
    squares, count = table.astype(float) ** 2, table.sum()
    precision = float((squares / table.sum(0)).sum() / count)
    recall = float((squares / table.sum(1, keepdims=True)).sum() / count)
    return precision, recall, f1(precision, recall)
