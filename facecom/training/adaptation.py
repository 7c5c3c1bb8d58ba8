"""Adaptation to a camera or a country in closed form: seconds, no gradient, and no time at test.

Photos of one origin share a direction in the embedding that says how they were taken and not who is on them, and the
photos of one person differ along some directions more than along others. Taking off the mean and dividing by the
within-person spread (WCCN: Hatch, Kajarekar and Stolcke, Interspeech 2006) is linear, so it goes into the network's
last layer. How much of either helps is chosen on people who are not in the fit, and nothing of it is also a choice.

outputs: float32 [N, V, D], what the last layer gives before it is scaled to unit length, for V views of a photo (itself
and its mirror image); an embedding is the mean of the views' unit vectors, of unit length again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

#: Shares of the mean that may be taken off, and of the within-person covariance that is replaced by the same spread in
#: all directions (1: all of it).
MEAN_SHARES = (0.0, 0.5, 1.0)
SHRINKAGES = (1.0, 0.9, 0.8, 0.65, 0.5)

#: The people are parted, at most so many times over, into folds of so many people at least; each is judged by what was
#: fitted on the others. There are about so many fits.
MOST_FOLDS, FOLD_PEOPLE, FITS = 5, 10, 12

#: False accept rates that a choice is judged at, those of them that at least so many impostor scores would pass.
FARS, LEAST_PASSING = (1e-3, 1e-2, 1e-1), 10

#: With fewer people nothing can be judged; of more photos than this the rest is not compared.
LEAST_PEOPLE, MOST_JUDGED = 4, 2000

#: A choice must be better than nothing in so many of all resamples of the people.
SURE, RESAMPLES = 0.9, 200


@dataclass(frozen=True)
class Adaptation:
    """mean: float64 [D], taken off the outputs; matrix: float64 [D, D], what they are multiplied by then; mean_share,
    shrinkage: how both were made; people, photos: of how many."""

    mean: np.ndarray
    matrix: np.ndarray
    mean_share: float
    shrinkage: float
    people: int
    photos: int

    @property
    def nothing(self) -> bool:
        """Whether the network stays as it is."""
        return self.mean_share == 0 and self.shrinkage == 1

    def embed(self, outputs: np.ndarray) -> np.ndarray:
        """Embeddings float64 [N, D], unit length, of the outputs of the network before it was adapted."""
        return embeddings_of((outputs - self.mean) @ self.matrix.T)

    def about(self) -> dict:
        """What a checkpoint says of it."""
        return {name: getattr(self, name) for name in ("mean_share", "shrinkage", "people", "photos")}


def embeddings_of(outputs: np.ndarray) -> np.ndarray:
    """Embeddings float [N, D], unit length, of outputs float [N, V, D]."""
    return _unit(_unit(outputs).mean(1))


def fit(outputs: np.ndarray, people: np.ndarray, mean_share: float = 1.0, shrinkage: float = 0.5) -> Adaptation:
    """The adaptation to these photos. people: [N], whose; every person counts the same for the mean, which may be all
    there is where nobody knows who is who (shrinkage 1).

    The matrix is `((1 - s) W + s tr(W) / D I)^(-1/2)`, W the covariance of outputs around their person's mean.
    """
    names, owner = np.unique(people, return_inverse=True)
    flat = outputs.astype(np.float64).reshape(-1, outputs.shape[-1])
    owner = np.repeat(owner, outputs.shape[1])
    count = np.bincount(owner, minlength=len(names))
    means = np.zeros((len(names), flat.shape[1]))
    np.add.at(means, owner, flat)
    means /= count[:, None]
    matrix = np.eye(flat.shape[1])
    spread = flat - means[owner]
    within = spread.T @ spread / max(len(flat) - len(names), 1)
    level = np.trace(within) / len(within)
    if shrinkage < 1 and level > 0:
        values, vectors = np.linalg.eigh((1 - shrinkage) * within + shrinkage * level * np.eye(len(within)))
        # The outputs keep about their length: fp16 holds no more than 65,504.
        matrix = (vectors * np.sqrt(level / values)) @ vectors.T
    return Adaptation(mean_share * means.mean(0), matrix, mean_share, shrinkage, len(names), len(outputs))


def fold(model: nn.Module, adaptation: Adaptation) -> None:
    """Put it into the last layer of a `SiameseNet`, in place: `W' = A W`, `b' = A (b - m)`."""
    last = model.get_submodule("projection.2")
    matrix, mean = (torch.from_numpy(part) for part in (adaptation.matrix, adaptation.mean))
    with torch.no_grad():
        last.weight.copy_(matrix @ last.weight.cpu().double())
        last.bias.copy_(matrix @ (last.bias.cpu().double() - mean))


def choose(
    outputs: np.ndarray, people: np.ndarray, photos: Sequence | None = None, seed: int = 0, labelled: bool = True
) -> tuple[Adaptation, float, float]:
    """(the adaptation, judged on people who are not in the fit; their figure without and with it).

    photos: [N], which rows are copies of one photo: those are never compared. labelled: whether `people` is who is on
    the photos; if not, only the mean is taken off. The figure is the mean TAR over `FARS`. Whatever is not better than
    nothing in `SURE` of the resamples of the people is not chosen.
    """
    choices = [(m, s) for m in MEAN_SHARES for s in (SHRINKAGES if labelled else (1.0,))]
    shipped = best = choices[0]
    worth = dict.fromkeys(choices, np.nan)
    few = some_people(people, MOST_JUDGED, seed)
    if len(np.unique(people[few])) >= LEAST_PEOPLE:
        kept = None if photos is None else np.asarray(photos)[few]
        found = _judge(outputs[few], people[few], kept, choices, seed)
        worth = {choice: _mean(gains) for choice, gains in found.items()}
        best = max(choices, key=lambda choice: (worth[choice] == worth[choice], worth[choice]))
        if not surely_better(found[best], found[shipped], seed):
            best = shipped
    return fit(outputs, people, *best), worth[shipped], worth[best]


def _judge(outputs, people, photos, choices, seed: int) -> dict[tuple[float, float], dict[str, list[float]]]:
    """For each choice the figure of each person (`accepted`), all folds' comparisons together."""
    scores: dict[tuple[float, float], list[tuple]] = {choice: [] for choice in choices}
    for fitted, judged in folds(people, seed):
        compared = Compared(people[judged], None if photos is None else photos[judged])
        for choice in choices:
            made = fit(outputs[fitted], people[fitted], *choice)
            scores[choice].append(compared.scores(made.embed(outputs[judged])))
    found = {}
    for choice, parts in scores.items():
        told = accepted(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        found[choice] = {name: [figure] for name, figure in told.items()}
    return found


def some_people(people: np.ndarray, most: int, seed: int) -> np.ndarray:
    """bool [N]: the rows of people, drawn one after the other, until there are `most` rows or no more people."""
    names, owner, count = np.unique(people, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = order[np.cumsum(count[order]) <= most] if len(people) > most else order
    return np.isin(owner, drawn)


def folds(people: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(bool [N] to fit on, bool [N] to judge), whole people on either side: cross-validation, repeated. With few people
    the folds are halves, since fewer judges than `FOLD_PEOPLE` have too few impostors among them."""
    names = np.unique(people)
    count = int(np.clip(len(names) // FOLD_PEOPLE, 2, MOST_FOLDS))
    rng = np.random.default_rng(seed)
    for _ in range(round(FITS / count)):
        order = rng.permutation(names)
        for place in range(count):
            judged = np.isin(people, order[place::count])
            yield ~judged, judged


class Compared:
    """The comparisons among photos of some people: people [N]; photos [N] or None, copies of one are not compared."""

    def __init__(self, people: np.ndarray, photos: np.ndarray | None = None):
        self.names, self.owner = np.unique(people, return_inverse=True)
        upper = np.triu(np.ones((len(people), len(people)), bool), 1)
        if photos is not None:
            upper &= photos[:, None] != photos[None]
        same = self.owner[:, None] == self.owner[None]
        self.genuine, self.impostor = np.nonzero(upper & same), np.nonzero(upper & ~same)

    def scores(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(scores of the genuine comparisons, whose they are, scores of impostors): float [G], str [G], float [I]."""
        cosines = embeddings @ embeddings.T
        return cosines[self.genuine], self.names[self.owner[self.genuine[0]]], cosines[self.impostor]

    def accepted(self, embeddings: np.ndarray) -> dict[str, float]:
        """`accepted` of these embeddings."""
        return accepted(*self.scores(embeddings))


def accepted(genuine: np.ndarray, owner: np.ndarray, impostor: np.ndarray) -> dict[str, float]:
    """For each person of several photos the share of the genuine comparisons that pass, the mean over `FARS`; empty
    with too few impostors. Each threshold is the lowest that no more than that share of the impostors passes.

    genuine: scores [G], higher is more alike; owner: [G], whose; impostor: scores [I]."""
    ordered = np.sort(impostor)
    passing = [int(far * len(ordered)) for far in FARS]
    limits = [ordered[-number - 1] for number in passing if LEAST_PASSING <= number < len(ordered)]
    if not limits or not len(genuine):
        return {}
    names, place = np.unique(owner, return_inverse=True)
    figure = np.mean([np.bincount(place, genuine > limit) for limit in limits], 0) / np.bincount(place)
    return {str(name): float(one) for name, one in zip(names, figure, strict=True)}


@dataclass(frozen=True)
class Gain:
    """How much higher a figure is: mean, and low, high: 95 % of the resamples of the people; sure: whether it is higher
    in `SURE` of them."""

    mean: float
    low: float
    high: float
    sure: bool


def gain(new: dict[str, list[float]], old: dict[str, list[float]], seed: int) -> Gain:
    """The mean figure against the old one (paired bootstrap over people, Efron 1979). new, old: the figures of each
    person, the same people; without any NaN, and not sure."""
    gains = np.array([np.mean(new[name]) - np.mean(old[name]) for name in new])
    if not len(gains):
        return Gain(np.nan, np.nan, np.nan, False)
    drawn = np.random.default_rng(seed).multinomial(len(gains), np.full(len(gains), 1 / len(gains)), RESAMPLES)
    means = drawn @ gains / len(gains)
    low, high = np.quantile(means, (0.025, 0.975))
    return Gain(float(gains.mean()), float(low), float(high), bool(np.mean(means > 0) >= SURE))


def surely_better(new: dict[str, list[float]], old: dict[str, list[float]], seed: int) -> bool:
    """Whether `gain` is sure of it."""
    return gain(new, old, seed).sure


def _mean(figures: dict[str, list[float]]) -> float:
    return float(np.mean([np.mean(one) for one in figures.values()])) if figures else np.nan


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
