"""Batches of jittered, mirrored, distorted crops with their targets, each drawn from (seed, step) alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from facecom.conditions.distortions import distort
from facecom.conditions.impulses import without_impulses
from facecom.conditions.jpeg import drawn_quality, through_jpeg
from facecom.data.images import CROP_SIZE
from facecom.faces.alignment import frame_matrix
from pretraining.encoder.blends import SHARES, blend
from pretraining.encoder.borders import in_front_of, plain_border
from pretraining.encoder.cameras import another_camera
from pretraining.targets.teachers import open_teacher, side_by_side

#: How often each condition spoils a crop. Noise and rain are where face models fail: they come more often.
CHANCES = {
    "blurred": 1.0,
    "foggy": 1.0,
    "lowlight": 1.0,
    "noisy": 2.2,
    "rainy": 1.6,
    "resized": 1.0,
    "occluded": 0.4,
    "sunny": 0.4,
}
NAMES = tuple(CHANCES)
WEIGHTS = np.array(list(CHANCES.values())) / sum(CHANCES.values())

#: The hardest severity of a condition of which beyond it nothing is left to learn; of the others 5.
HARDEST = {"sunny": 2}


@dataclass(frozen=True)
class Augmentation:
    """How hard the crops are made. Shares are in [0, 1]; severities 1 to 5."""

    distorted: float = 0.6
    twice: float = 0.2  # share of the distorted that are so twice
    severity: tuple[float, ...] = (0.15, 0.2, 0.3, 0.2, 0.15)
    packed: float = 0.85  # share of crops that come out of a JPEG file: rings in noise, faint lines lost
    border: float = 0.2  # share of crops whose outside is replaced by colours or by themselves
    surroundings: float = 0.5  # share of crops whose outside is replaced by what surrounds another face
    without_impulses: float = 0.8  # share of crops that lose salt and pepper as before recognition
    frame: str = "close"  # what the views show, one of `faces.FRAMES`


def jitter_matrix(size: int, frame: str, rng: np.random.Generator) -> np.ndarray:
    """From a 112 px crop to a view of this size and frame with a face finder's errors: a little scale, rotation and
    shift; half of the views are mirrored. float64 [2, 3]."""
    angle = np.deg2rad(rng.normal(0, 3.5))
    scale = np.exp(rng.normal(0, 0.04))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    middle = np.full(2, (size - 1) / 2)
    shift = middle - turn @ middle + rng.normal(0, 2.0, 2) * size / CROP_SIZE
    framed = frame_matrix(frame, size)
    return np.column_stack([turn @ framed[:, :2], turn @ framed[:, 2] + shift])


def conditions(settings: Augmentation, rng: np.random.Generator) -> list[tuple[str, int]]:
    """What spoils a crop, one after the other: (distortion, severity 1 to 5); mostly one, seldom two, often none."""
    if rng.random() >= settings.distorted:
        return []
    drawn = []
    for _ in range(1 + (rng.random() < settings.twice)):
        name = NAMES[rng.choice(len(NAMES), p=WEIGHTS)]
        severity = 1 + int(rng.choice(5, p=settings.severity))
        drawn.append((name, min(severity, HARDEST.get(name, 5))))
    return drawn


def augment(
    crop: np.ndarray, size: int, settings: Augmentation, rng: np.random.Generator, other: np.ndarray | None = None
) -> np.ndarray:
    """One training view, in the order of a photo's way: what is there, camera, file, median, face finder.

    crop: RGB uint8 [112, 112, 3]; other: whose surroundings it may get; returns RGB uint8 [size, size, 3].
    """
    kind = rng.random()
    if kind < settings.border:
        crop = plain_border(crop, rng)
    elif other is not None and kind < settings.border + settings.surroundings:
        crop = in_front_of(crop, other, rng)
    crop = another_camera(crop, rng)
    for name, severity in conditions(settings, rng):
        crop = distort(crop, name, severity, rng, scale=1.0)
    if rng.random() < settings.packed:
        crop = through_jpeg(crop, drawn_quality(rng))
    if rng.random() < settings.without_impulses:
        crop = without_impulses(crop)
    modes = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    matrix, mode = jitter_matrix(size, settings.frame, rng), modes[rng.integers(3)]
    return cv2.warpAffine(crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode)


class Matched:
    """Blends of training faces with what teachers say of them, in the place of a share of the photos.

    teachers: files, those that stand first in the packed embeddings; weights: their shares of the squared length;
    share: of a batch, 0 to 1. The teachers are opened where they are first asked: in the worker process.
    """

    def __init__(self, people, teachers: Sequence[str], weights: Sequence[float] | None, share: float, amp: bool):
        self.people, self.teachers, self.share, self.amp = people, teachers, share, amp
        self.weights = weights or [1.0] * len(teachers)
        self.looks = self.projection = None

    def __call__(self, chosen: np.ndarray, rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
        """(blends of the chosen photos with others RGB uint8 [112, 112, 3] each, targets float32 [B, 128])."""
        training, crops = self.people.training, self.people.crops
        others = training[rng.integers(0, len(training), len(chosen))]
        shares = rng.uniform(*SHARES, len(chosen))
        pictures = [blend(crops[a], crops[b], s, rng) for a, b, s in zip(chosen, others, shares, strict=True)]
        return pictures, self.say(np.stack(pictures), chosen, others, shares, rng)

    def say(self, pictures, first, second, shares, rng: np.random.Generator) -> np.ndarray:
        """Targets, float32 [B, 128]. Half of the pictures are shown mirrored: the target is of both on the average, at
        half the price."""
        if self.looks is None:
            self.looks = [open_teacher(path, amp=self.amp) for path in self.teachers]
        turned = rng.random(len(pictures)) < 0.5
        shown = np.where(turned[:, None, None, None], pictures[:, :, ::-1], pictures)
        found = side_by_side([look(shown) for look in self.looks], self.weights)
        if self.projection is None:
            self.projection = self.people.matching(found.shape[1])
        return self.projection.target(found, first, second, shares)


class Partners:
    """For each photo another of the same person; the photo itself where there is none, or nobody knows who it is.
    labels: int [N], -1 where nobody knows."""

    def __init__(self, labels: np.ndarray):
        self.labels, self.order = labels, np.argsort(labels, kind="stable")
        self.place = np.empty(len(labels), int)
        self.place[self.order] = np.arange(len(labels))
        known = labels[labels >= 0]
        self.count = np.bincount(known) if len(known) else np.zeros(0, int)
        self.start = np.r_[0, np.cumsum(self.count)][:-1] + (labels < 0).sum()

    def __call__(self, photos: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """int [B] of int [B], the others of a person equally often."""
        partners, drawn = photos.copy(), rng.random(len(photos))
        several = np.flatnonzero(self.labels[photos] >= 0)
        of = self.labels[photos[several]]
        start, count = self.start[of], self.count[of]
        step = 1 + (drawn[several] * (count - 1)).astype(int)
        partners[several] = self.order[start + (self.place[photos[several]] - start + step) % count]
        return partners


class Batches(torch.utils.data.Dataset):
    """Item `step` is that step's whole batch: (views uint8 [B, size, size, 3], targets float32 [B, 128], labels int64
    [B], -1 where nobody knows who it is); with `pairs` twice as many, [2 B].

    people: `People`, whose training crops are drawn; matched: `Matched`, or None for photos alone; part: (rank, how
    many there are), of several processes that share each batch; pairs: as many further photos, of the same people in
    the same order (`Partners`).
    """

    def __init__(
        self,
        people,
        batch_size: int,
        steps: int,
        size: int,
        settings: Augmentation,
        seed: int,
        matched=None,
        part=(0, 1),
        pairs: bool = False,
    ):
        self.people, self.indexes, self.batch_size, self.steps = people, people.training, batch_size, steps
        self.size, self.settings, self.seed, self.matched, self.part = size, settings, seed, matched, part
        self.partners = Partners(people.labels) if pairs else None

    def __len__(self):
        return self.steps

    def __getitem__(self, step: int):
        cv2.setNumThreads(0)
        rank, world = self.part
        rng = np.random.default_rng((self.seed, 1, step * world + rank))
        chosen = self.indexes[self._places(step)[rank::world]]
        count = round(self.matched.share * len(chosen)) if self.matched else 0
        if self.partners:
            chosen = np.concatenate([chosen, self.partners(chosen, rng)])
        crops = [self.people.crops[i] for i in chosen]
        targets, labels = self.people.targets[chosen], self.people.labels[chosen]
        if count:
            crops[:count], targets[:count] = self.matched(chosen[:count], rng)
            labels[:count] = -1
        others = self._surroundings(rng, len(chosen))
        views = [augment(c, self.size, self.settings, rng, o) for c, o in zip(crops, others, strict=True)]
        return torch.from_numpy(np.stack(views)), torch.from_numpy(targets), torch.from_numpy(labels)

    def _surroundings(self, rng: np.random.Generator, count: int) -> list:
        """Crops out of whole photos, or None where there are none."""
        whole = self.people.whole
        if not len(whole):
            return [None] * count
        return [self.people.crops[i] for i in whole[rng.integers(0, len(whole), count)]]

    def _places(self, step: int) -> np.ndarray:
        """Which of the indexes this step sees: every photo once before any comes again."""
        epoch_steps = max(1, len(self.indexes) // self.batch_size)
        epoch, place = divmod(step, epoch_steps)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.indexes))
        return order[place * self.batch_size : (place + 1) * self.batch_size]
