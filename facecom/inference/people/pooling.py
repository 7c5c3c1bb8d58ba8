"""Several bad photos are one good one: the templates of one person in one.

The mean of the unit embeddings, scaled to unit length again. Weighting by quality adds nothing, and the best single
photo or the nearest one is worse (`benchmarks/pooling.py`, `results/pooling.csv`).
"""

import numpy as np
import pandas as pd

from facecom.inference.ensemble import Ensemble
from facecom.inference.pipeline import collect
from facecom.inference.search import nearest
from facecom.inference.submission import Known, Written, csv_of_rows, number, refuse_nothing

#: photos: that could be read; told: of these, whose face can be told.
POOLED_COLUMNS = ("folder", "photos", "told", "identity", "distance", "same")


def pool(embeddings: np.ndarray, told: np.ndarray, groups: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """One template a group: (float32 [G, D], unit length, NaN for a group without any; whether it can be told, bool
    [G]).

    embeddings: float32 [N, D], unit length, NaN for the unreadable; told: bool [N], which faces can be read; groups:
    int [N], 0 to count - 1, whose each is. Faces that cannot be read count only in a group that has no others.
    """
    readable = np.isfinite(embeddings).all(1)
    told = told & readable
    sure = np.zeros(count, bool)
    sure[groups[told]] = True
    used = np.flatnonzero(np.where(sure[groups], told, readable))
    sums = np.zeros((count, embeddings.shape[1]), np.float64)
    np.add.at(sums, groups[used], embeddings[used])
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return (sums / length).astype(np.float32), sure


def write_pooled(
    table: pd.DataFrame, gallery: Known, siamese: Ensemble, threshold: float, output, **options
) -> Written:
    """A row a folder of `table` (`path`, `file`, which begins with the folder): the person of `gallery` whom all its
    photos together show. Raises FacecomError where no photo of `table` can be read."""
    answers, skipped = collect(table.path.to_list(), siamese, **options)
    files, names = table.file.to_numpy(), gallery.table.identity.to_numpy()
    folders, groups = np.unique([file.split("/")[0] if "/" in file else "." for file in files], return_inverse=True)
    told = siamese.can_tell(answers.confidence, answers.quality)
    templates, sure = pool(answers.outputs, told, groups, len(folders))
    written = Written(skipped=list(gallery.skipped))
    written.skipped += [(files[row], reason) for row, reason in skipped]
    readable = np.flatnonzero(np.isfinite(templates).all(1))
    rows, found = nearest(templates[readable], gallery.templates.faces)
    with csv_of_rows(output, POOLED_COLUMNS, written) as write:
        for group, row, distance in zip(readable, rows[:, 0], found[:, 0], strict=True):
            own = groups == group
            count = int(np.isfinite(answers.outputs[own]).all(1).sum())
            same = int(distance <= threshold) if sure[group] else ""
            write((folders[group], count, int(told[own].sum()), names[row], number(distance), same))
        refuse_nothing(written, "photos")
    return written
