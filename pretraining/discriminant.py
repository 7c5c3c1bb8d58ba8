"""The axes of the embedding weighted by how far people differ along them.

The network is about as wrong along one axis as along another, but people differ far more along some. Under two
Gaussians, of people and of photos of one, the best score weighs an axis by the first's variance over the sum (PLDA:
Ioffe, ECCV 2006); a small power of the variance does that and no more. It is a linear map behind the last layer, so
the layer takes it up, and it costs nothing in use.
"""

import numpy as np
import torch

from pretraining.batches import Augmentation, augment

#: The axes' deviations, to this power, weigh them: on held-back people .2 to .5 are alike, beyond it is too much.
POWER = 0.5

#: Photos, of whole people, that the variances are taken of; each is seen clean and distorted.
PHOTOS = 9000


def sample(people, size: int, frame: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Views of training people who have several photos and are not among those to be told apart in the end (FACECOM's,
    known by heart): (RGB uint8 [N, size, size, 3], labels int64 [N])."""
    rng = np.random.default_rng(seed)
    tables = np.flatnonzero((people.labels >= 0) & ~people.is_copy & (people.table["file"] == "").to_numpy())
    counts = np.bincount(people.labels[tables])
    order = rng.permutation(np.flatnonzero(counts > 1))
    chosen = order[np.cumsum(counts[order]) <= PHOTOS]
    rows = tables[np.isin(people.labels[tables], chosen)]
    views = []
    for distorted in (0.0, 1.0):
        settings = Augmentation(distorted=distorted, frame=frame)
        views += [augment(people.crops[i], size, settings, np.random.default_rng((seed, int(i)))) for i in rows]
    return np.stack(views), np.tile(people.labels[rows], 2)


def between_people(embeddings: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Covariance of people's true means, float64 [D, D]: of their photos' means, less what chance adds to these.

    embeddings: float [N, D]; labels: int [N], everyone with at least two photos.
    """
    _, people, counts = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), embeddings.shape[1]))
    np.add.at(means, people, embeddings)
    means /= counts[:, None]
    within = embeddings - means[people]
    within = within.T @ within / (len(embeddings) - len(counts))
    return np.cov(means.T) - within * (1 / counts).mean()


def weighting(between: np.ndarray, power: float = POWER) -> np.ndarray:
    """float64 [D, D], symmetric: each axis of the covariance times its deviation to that power, at most 1."""
    variances, axes = np.linalg.eigh(between)
    variances = np.maximum(variances / variances.max(), 1e-4)
    return (axes * variances ** (power / 2)) @ axes.T


def weigh(model: torch.nn.Module, matrix: np.ndarray) -> None:
    """Puts the linear map behind the last layer of a `SiameseNet`, in place."""
    last = model.projection[2]
    matrix = torch.from_numpy(matrix).to(last.weight)
    with torch.no_grad():
        last.weight.copy_(matrix @ last.weight)
        last.bias.copy_(matrix @ last.bias)
