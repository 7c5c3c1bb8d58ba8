"""Whose photos are these? Faces of an unsorted folder into people, by scikit-learn's agglomerative clustering."""

import numpy as np

from facecom.inference.search import nearest

#: Up to so many faces are clustered with all their distances (n * n * 8 bytes); of more, first the parts that do not
#: touch each other are told apart.
AT_ONCE = 4000

#: Neighbours of a face that are looked at where there are more.
NEIGHBOURS = 30

#: The mean distance up to which two groups are one person, as a share of the distance up to which two photos are
#: (`benchmarks/grouping.py` chooses it on people of FACECOM's train split).
SHARE = 1.0


def group(embeddings: np.ndarray, threshold: float) -> np.ndarray:
    """Which person each face is: int64 [N], 1 for the person with most faces, and so on; 0 for one without embedding.

    embeddings: float32 [N, D], unit length, NaN where there is none; threshold: mean distance (0 to 2) up to which two
    groups are one person (average linkage: Sokal and Michener, 1958). The result does not depend on the order of the
    faces but for the numbers of equally large groups.
    """
    known = np.flatnonzero(np.isfinite(embeddings).all(1))
    people = np.zeros(len(embeddings), np.int64)
    people[known] = _largest_first(_clusters(embeddings[known], threshold))
    return people


def _clusters(embeddings: np.ndarray, threshold: float) -> np.ndarray:
    count = len(embeddings)
    if count < 2:
        return np.zeros(count, np.int64)
    if count <= AT_ONCE:
        return _agglomerate(embeddings, threshold)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, found = nearest(embeddings, embeddings, NEIGHBOURS, first_row=0)
    near = found <= threshold
    first = np.repeat(np.arange(count), near.sum(1))
    graph = coo_array((np.ones(len(first), bool), (first, rows[near])), (count, count))
    _, parts = connected_components(graph, directed=False)
    clusters, used = np.zeros(count, np.int64), 0
    for part in np.unique(parts):
        members = np.flatnonzero(parts == part)
        # A part too large to be looked at as a whole is one of bad photos that touch everybody: cut in pieces.
        for start in range(0, len(members), AT_ONCE):
            piece = members[start : start + AT_ONCE]
            inside = _agglomerate(embeddings[piece], threshold) if len(piece) > 1 else np.zeros(1, np.int64)
            clusters[piece] = used + inside
            used += int(inside.max()) + 1
    return clusters


def _agglomerate(embeddings: np.ndarray, threshold: float) -> np.ndarray:
    from sklearn.cluster import AgglomerativeClustering

    clustering = AgglomerativeClustering(n_clusters=None, distance_threshold=threshold, linkage="average")
    return clustering.fit_predict(embeddings.astype(np.float64))


def _largest_first(clusters: np.ndarray) -> np.ndarray:
    """The same groups numbered from 1, the largest first, among equals the one whose face comes first."""
    if not len(clusters):
        return clusters
    _, first, inverse, counts = np.unique(clusters, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -counts))
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.arange(1, len(order) + 1)
    return numbers[inverse]


def centres(embeddings: np.ndarray, people: np.ndarray) -> np.ndarray:
    """The mean template of each person, float32 [P, D], unit length; row p is of person p + 1. people: of `group`."""
    count = int(people.max(initial=0))
    sums = np.zeros((count, embeddings.shape[1]), np.float64)
    told = people > 0
    np.add.at(sums, people[told] - 1, embeddings[told])
    return (sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)).astype(np.float32)
