"""Operating points: thresholds that are fixed on held-back identities and only applied afterwards."""

import numpy as np
import pandas as pd

from facecom import metrics
from facecom.comparisons import BLOCK, cross_photo_scores, distance_matrix, readable

#: False accept rates that operating points are fixed at; the first is the default.
FARS = (1e-3, 1e-4)


def fit_operating_points(
    table: pd.DataFrame, embeddings: np.ndarray, extra_impostors: np.ndarray | None = None, fars=FARS
) -> list[dict]:
    """Distances at which the false accept rate on these identities stays within each of `fars`.

    Probes of all conditions, pooled, against clean photos (own photo left out); extra_impostors: float32 [M, 128] of
    other people, strangers who join the gallery. Meant for identities that training has not seen. Returns
    [{threshold, far, tar, genuine, impostor, identities}], counts of comparisons; empty without impostor comparisons.
    """
    table, embeddings = readable(table, embeddings)
    genuine, strangers = cross_photo_scores(table, embeddings, "all")
    extra = np.empty((0, embeddings.shape[1])) if extra_impostors is None else extra_impostors
    extra = extra[np.isfinite(extra).all(1)]
    count = len(strangers) + len(embeddings) * len(extra)
    keep = int(max(fars) * count) + 2  # only the closest strangers decide
    for start in range(0, len(extra), step := max(1, BLOCK // max(1, len(embeddings)))):
        closer = -distance_matrix(embeddings, extra[start : start + step]).ravel()
        strangers = np.concatenate([strangers, closer])
        if len(strangers) > keep:
            strangers = np.partition(strangers, len(strangers) - keep)[-keep:]
    points = []
    for far in fars if count else ():
        # The strangers left out are farther than all of these: the same number among fewer.
        tar, threshold = metrics.tar_at_far(genuine, strangers, far * count / len(strangers))
        point = {"threshold": min(-threshold, 2.0), "far": far, "tar": None if np.isnan(tar) else tar}
        point |= {"genuine": len(genuine), "impostor": count, "identities": int(table["identity"].nunique())}
        points.append(point)
    return points
