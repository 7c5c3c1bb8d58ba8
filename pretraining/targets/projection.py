"""From the teachers' embeddings to what the encoder learns: 128 numbers a photo.

Taken off is what all photos of a source have in common, since that is how they were cut and not who is on them; what is
left goes to the 128 directions in which training people differ most (PCA), and to unit length.
"""

from dataclasses import dataclass

import numpy as np

from facecom.models.networks import EMBEDDING_SIZE

#: Photos of a source from which on their mean says how they were cut.
LEAST_FOR_MEAN = 1000

#: Ridge of the least squares from one teacher to the target, as a share of the mean variance.
RIDGE = 1e-3


def unit(rows: np.ndarray) -> np.ndarray:
    """float [N, D] -> each row of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def means_of(embeddings: np.ndarray, sources: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """What each photo's source has in common.

    embeddings: float32 [N, D], unit; sources: str [N]; counted: bool [N], whom the means are taken of. Returns float32
    [N, D]: zeros for a source of fewer than `LEAST_FOR_MEAN` counted.
    """
    means = np.zeros_like(embeddings)
    for source in np.unique(sources):
        own = sources == source
        if (own & counted).sum() >= LEAST_FOR_MEAN:
            means[own] = embeddings[own & counted].mean(0)
    return means


def principal_directions(rows: np.ndarray, count: int = EMBEDDING_SIZE) -> np.ndarray:
    """The directions of largest variance, float32 [D, min(count, D)], orthonormal columns, largest first.

    rows: float32 [N, D]. Each direction's largest number is positive, so that the same crops give the same target.
    """
    centred = rows - rows.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    basis = vectors[:, ::-1][:, :count]
    return (basis * np.sign(basis[np.abs(basis).argmax(0), np.arange(basis.shape[1])])).astype(np.float32)


@dataclass(frozen=True)
class Matching:
    """From what the first teachers say of a new picture to the target space.

    weights: float32 [K, 128]; means: float32 [N, K], what the source of each packed photo has in common there.
    """

    weights: np.ndarray
    means: np.ndarray

    def target(self, found: np.ndarray, first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
        """Targets of pictures that are two packed photos laid over each other: float32 [B, 128], unit.

        found: float32 [B, K], the teachers' embeddings; first, second: int [B], the photos; share: float [B] of the
        first in the picture, 0 to 1.
        """
        share = share[:, None]
        means = share * self.means[first] + (1 - share) * self.means[second]
        return unit((found - means) @ self.weights).astype(np.float32)


def matching(embeddings: np.ndarray, means: np.ndarray, targets: np.ndarray, rows: np.ndarray, size: int) -> Matching:
    """The least squares from the first `size` columns of the embeddings, means off, to the targets.

    embeddings, means: float32 [N, D]; targets: float32 [N, 128]; rows: int [M], the photos to fit on. The columns are
    those of the teachers that stand first, with their share of the length: they are scaled back to unit length.
    """
    length = np.linalg.norm(embeddings[rows, :size], axis=1).mean()
    means = means[:, :size] / length
    given = embeddings[rows, :size] / length - means[rows]
    products = given.T @ given
    ridge = RIDGE * np.trace(products) / size * np.eye(size, dtype=np.float32)
    weights = np.linalg.solve(products + ridge, given.T @ targets[rows])
    return Matching(weights.astype(np.float32), means.astype(np.float32))
