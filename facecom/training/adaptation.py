"""Adaptation to a camera or a country in closed form: seconds, no gradient, and no time at test.

Photos of one origin share a direction in the embedding that says how they were taken and not who is on them, and the
photos of one person differ along some directions more than along others. Taking off the mean and dividing by the
within-person spread (WCCN: Hatch, Kajarekar and Stolcke, Interspeech 2006) is linear, so it goes into the network's
last layer. How much of either is done follows from how far the people's mean lies from the encoder's centre, against
how far people lie from each other and what chance would do with so few of them: photos like those that the encoder has
learned from stay as they are.

outputs: float32 [N, V, D], what the last layer gives before it is scaled to unit length, for V views of a photo (itself
and its mirror image); an embedding is the mean of the views' unit vectors, of unit length again.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import stdtrit
from torch import nn

#: A `SiameseNet`'s last layer.
LAST = "projection.2"

#: With fewer people nothing is known, and nothing is done where their mean lies less far out than `SHIFTED`, in units
#: of what chance does, or than `OFFSET`, in units of how far people lie from each other: of photos that the encoder
#: knows it is at most .02, with ten people, of another camera .06 to .30.
LEAST_PEOPLE, SHIFTED, OFFSET = 4, 2.0, 0.03

#: The most photos that an adaptation is fitted to.
MOST_FITTED = 4000

#: Share of the within-person spread that is divided by, for a mean that is known exactly.
WHITENED = 0.4

#: False accept rates that people are judged at, those of them that at least so many impostor scores would pass.
FARS, LEAST_PASSING = (1e-3, 1e-2, 1e-1), 10

#: What is better is so with this certainty; to undo an adaptation, which has the people's mean to speak for it, takes
#: more.
SURE, SURE_TO_UNDO = 0.9, 0.99

#: Resamples of the people for an interval.
RESAMPLES = 1000


@dataclass(frozen=True)
class Adaptation:
    """mean: float64 [D], taken off the outputs; matrix: float64 [D, D], what they are multiplied by then; mean_share,
    shrinkage: how both were made; shift: how far out the people's mean lies (`shift_of`); people, photos: of how
    many."""

    mean: np.ndarray
    matrix: np.ndarray
    mean_share: float
    shrinkage: float
    shift: float
    people: int
    photos: int

    @property
    def offset(self) -> float:
        """The squared distance of the people's mean from the encoder's centre over their own variance, what chance does
        taken off: the same whatever their number."""
        return (self.shift - 1) / max(self.people, 1)

    @property
    def nothing(self) -> bool:
        """Whether the network stays as it is."""
        return self.mean_share == 0 and self.shrinkage == 1

    def embed(self, outputs: np.ndarray) -> np.ndarray:
        """Embeddings float64 [N, D], unit length, of the outputs of the network before it was adapted."""
        return embeddings_of((outputs - self.mean) @ self.matrix.T)

    def about(self) -> dict:
        """What a checkpoint says of it."""
        return {name: getattr(self, name) for name in ("mean_share", "shrinkage", "shift", "people", "photos")}


def embeddings_of(outputs: np.ndarray) -> np.ndarray:
    """Embeddings float [N, D], unit length, of outputs float [N, V, D]."""
    return _unit(_unit(outputs).mean(1))


def fit(outputs: np.ndarray, people: np.ndarray, mean_share: float = 1.0, shrinkage: float = 0.5) -> Adaptation:
    """The adaptation to these photos. people: [N], whose; every person counts the same for the mean.

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
    mean = mean_share * means.mean(0)
    return Adaptation(mean, matrix, mean_share, shrinkage, shift_of(means), len(names), len(outputs))


def shift_of(means: np.ndarray) -> float:
    """How far the mean of people lies from the origin, squared, over what chance does: `P |m|^2 / tr(B)`, B the
    covariance of the people's means float [P, D]. About 1 for people drawn around the origin; 0 for fewer than
    `LEAST_PEOPLE`."""
    if len(means) < LEAST_PEOPLE:
        return 0.0
    chance = means.var(0, ddof=1).sum() / len(means)
    return float((means.mean(0) ** 2).sum() / chance) if chance > 0 else 0.0


def adapt(outputs: np.ndarray, people: np.ndarray) -> Adaptation:
    """The adaptation to these photos, as much of it as their people's mean calls for: nothing below `SHIFTED` or
    `OFFSET`; else the share `1 - 1 / shift` of the mean (James and Stein, 1961: with few people it is known badly), and
    `WHITENED` times as much of the within-person spread, where anybody has two photos."""
    made = fit(outputs, people, 0.0, 1.0)
    if made.shift < SHIFTED or made.offset < OFFSET:
        return made
    share = 1 - 1 / made.shift
    several = made.photos > made.people  # else photos differ from their mirror images alone
    return fit(outputs, people, share, 1 - WHITENED * share if several else 1.0)


def said_of(made: Adaptation) -> str:
    """A line about the adaptation."""
    far = f"{made.people} people's mean lies at {made.shift:.1f} times the squared distance that chance gives"
    if made.people < LEAST_PEOPLE:
        return f"adaptation: {made.people} people are too few, so the network stays as it is"
    if made.nothing:
        known = f"and {max(made.offset, 0):.3f} times that between people, as of photos that it knows"
        why = "which may be chance: more people would tell" if made.offset >= OFFSET else known
        return f"adaptation: {far}, {why}; the network stays as it is"
    white = f", whitened within people (shrinkage {made.shrinkage:.2f})" if made.shrinkage < 1 else ""
    return f"adaptation to {made.people} people, {made.photos} photos: {far}; {made.mean_share:.0%} of it off{white}"


def fold(model: nn.Module, adaptation: Adaptation) -> None:
    """Put it into the last layer of a `SiameseNet`, in place: `W' = A W`, `b' = A (b - m)`."""
    last = model.get_submodule(LAST)
    matrix, mean = (torch.from_numpy(part) for part in (adaptation.matrix, adaptation.mean))
    with torch.no_grad():
        last.weight.copy_(matrix @ last.weight.cpu().double())
        last.bias.copy_(matrix @ (last.bias.cpu().double() - mean))


def some_people(people: np.ndarray, most: int, seed: int) -> np.ndarray:
    """bool [N]: the rows of people, drawn one after the other, until there are `most` rows or no more people."""
    names, owner, count = np.unique(people, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(names))
    drawn = order[np.cumsum(count[order]) <= most] if len(people) > most else order
    return np.isin(owner, drawn)


class Compared:
    """The comparisons among photos of some people: people [N]; photos [N] or None, copies of one are not compared."""

    def __init__(self, people: np.ndarray, photos: np.ndarray | None = None):
        self.names, self.owner = np.unique(people, return_inverse=True)
        upper = np.triu(np.ones((len(people), len(people)), bool), 1)
        if photos is not None:
            upper &= photos[:, None] != photos[None]
        same = self.owner[:, None] == self.owner[None]
        self.genuine, self.impostor = np.nonzero(upper & same), np.nonzero(upper & ~same)

    def accepted(self, embeddings: np.ndarray) -> dict[str, float]:
        """For each person of several photos the share of the genuine comparisons that pass, the mean over `FARS`; empty
        with too few impostors. Each threshold is the lowest that no more than that share of the impostors passes."""
        scores = embeddings @ embeddings.T
        genuine, impostor = scores[self.genuine], np.sort(scores[self.impostor])
        owner = self.owner[self.genuine[0]]
        count = np.bincount(owner, minlength=len(self.names))
        passing = [int(far * len(impostor)) for far in FARS]
        limits = [impostor[-number - 1] for number in passing if LEAST_PASSING <= number < len(impostor)]
        right = [np.bincount(owner, genuine > limit, len(count)) for limit in limits]
        if not right:
            return {}
        figure = np.mean(right, 0) / np.maximum(count, 1)
        return {str(name): float(figure[i]) for i, name in enumerate(self.names) if count[i]}


@dataclass(frozen=True)
class Gain:
    """How much higher a figure is: mean, and low, high: 95 % of the resamples of the people; sure: whether that is
    beyond chance."""

    mean: float
    low: float
    high: float
    sure: bool


def gain(new: dict[str, list[float]], old: dict[str, list[float]], seed: int, sure: float = SURE) -> Gain:
    """The mean figure against the old one (paired bootstrap over people, Efron 1979). new, old: the figures of each
    person, the same people; without any NaN, and not sure. sure: the certainty that makes it so, by the paired t-test
    (Student 1908), one-sided: a dozen people are too few for the tails of a bootstrap."""
    gains = np.array([np.mean(new[name]) - np.mean(old[name]) for name in new])
    if not len(gains):
        return Gain(np.nan, np.nan, np.nan, False)
    mean, drawn = float(gains.mean()), np.random.default_rng(seed)
    means = drawn.multinomial(len(gains), np.full(len(gains), 1 / len(gains)), RESAMPLES) @ gains / len(gains)
    low, high = np.quantile(means, (0.025, 0.975))
    error = gains.std(ddof=1) / len(gains) ** 0.5 if len(gains) > 1 else np.inf
    enough = mean > error * stdtrit(len(gains) - 1, sure) if error else mean > 0
    return Gain(mean, float(low), float(high), bool(enough))


def sure_of_one_in(tries: int) -> float:
    """The certainty that one of so many tries has to reach, so that all of them together seem better by chance no more
    often than one try at `SURE` (Bonferroni): the best of ten epochs flatters."""
    return 1 - (1 - SURE) / max(tries, 1)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)
