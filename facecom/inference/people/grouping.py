"""Whose photos are these? Faces of an unsorted folder into people, by average linkage: scikit-learn's where all
distances fit into memory, else in rounds."""

from collections.abc import Sequence

import numpy as np

from facecom.inference.search import BLOCK

#: Up to so many faces are clustered with all their distances (n * n * 8 bytes); of more, groups are joined in rounds.
AT_ONCE = 4000

#: The mean distance up to which two groups are one person, as a share of the distance up to which two photos are. Of
#: people held back from training, photos with all their copies are sorted best at 1.0, clean photos alone at 1.05
#: (`benchmarks/grouping.py`): 1.0 is where the worse of the two is best.
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
    return _agglomerate(embeddings, threshold) if count <= AT_ONCE else in_rounds(embeddings, threshold)


def in_rounds(embeddings: np.ndarray, threshold: float) -> np.ndarray:
    """Average linkage of squared distances, int64 [N], in memory that grows with N alone.

    The mean squared distance of two groups of unit vectors is 2 - 2 a.b, a and b their means. In each round every two
    groups that are each other's nearest are joined; the result is that of joining the nearest two groups at a time
    (reciprocal nearest neighbours: Murtagh, 1983). `threshold` is of the root of that mean, which is a little larger
    than the mean distance, so that slightly less is joined.
    """
    sums, sizes = embeddings.astype(np.float64), np.ones(len(embeddings))
    clusters = np.arange(len(embeddings))
    while len(sums) > 1:
        other, apart = _nearest_groups(sums / sizes[:, None])
        closest = int(apart.argmin())
        if apart[closest] > threshold**2:
            break
        other[other[closest]] = closest  # rounding may have said otherwise, and nobody would be joined
        own = np.arange(len(sums))
        first = np.flatnonzero((other[other] == own) & (own < other) & (apart <= threshold**2))
        second = other[first]
        own[second] = first
        kept, numbers = np.unique(own, return_inverse=True)
        sums[first] += sums[second]
        sizes[first] += sizes[second]
        sums, sizes, clusters = sums[kept], sizes[kept], numbers[clusters]
    return clusters


def _nearest_groups(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(row int64 [C] of the nearest other group, its mean squared distance [C]). means: float64 [C, D]."""
    count = len(means)
    other, apart = np.zeros(count, np.int64), np.zeros(count)
    step = max(1, BLOCK // count)
    for start in range(0, count, step):
        alike = means[start : start + step] @ means.T
        inside = np.arange(len(alike))
        alike[inside, start + inside] = -np.inf
        best = alike.argmax(1)
        other[start : start + step], apart[start : start + step] = best, 2 - 2 * alike[inside, best]
    return other, apart


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


def joined(people: np.ndarray, names: Sequence[str | None]) -> tuple[np.ndarray, dict[int, str]]:
    """(people as `group` numbers them, groups of one name made one; {number: name}). names: of person 1, 2, ..., None
    for those without."""
    places = {name: person for person, name in reversed(list(enumerate(names, 1))) if name is not None}
    first = [person if name is None else places[name] for person, name in enumerate(names, 1)]
    whose = np.array([0, *first], np.int64)[people]
    found = np.zeros(len(people), np.int64)
    found[whose > 0] = _largest_first(whose[whose > 0])
    new = {int(old): int(number) for old, number in zip(whose, found, strict=True)}
    return found, {new[person]: name for name, person in places.items()}
