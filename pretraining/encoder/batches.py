"""Batches of jittered, mirrored, distorted crops for the encoder, each drawn from (seed, step) alone."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from facecom.conditions import distort
from facecom.conditions.impulses import without_impulses
from facecom.conditions.jpeg import drawn_quality, through_jpeg
from facecom.data.images import CROP_SIZE
from facecom.faces.alignment import frame_matrix
from pretraining.encoder.borders import in_front_of, plain_border

#: Noise and rain are where face models fail: they come more often. Glare, where they fail most, has its own share.
CHANCES = {
    "blurred": 1.0,
    "foggy": 1.0,
    "lowlight": 1.0,
    "noisy": 2.2,
    "rainy": 1.6,
    "resized": 1.0,
    "occluded": 0.4,
}
NAMES = tuple(CHANCES)
WEIGHTS = np.array(list(CHANCES.values())) / sum(CHANCES.values())
GLARE = "sunny"

#: Errors of the finder under glare, times those elsewhere.
BLIND_ERROR = 1.6

#: Where FACECOM's glare is on an aligned crop, pixels below its middle, and the size of a FACECOM pixel there, mean and
#: spread.
GLARE_BELOW, GLARE_SCALE = 6, (0.95, 0.07)


@dataclass(frozen=True)
class Augmentation:
    """How hard the crops are made. Shares are in [0, 1]; severities 1 to 5."""

    distorted: float = 0.7
    glare: float = 0.18  # share of the distortions
    twice: float = 0.1
    severity: tuple[float, ...] = (0.15, 0.2, 0.3, 0.2, 0.15)
    glare_severity: tuple[float, ...] = (0.2, 0.25, 0.55, 0.0, 0.0)  # beyond FACECOM's own (3) nothing is left to learn
    packed: float = 0.85  # share of crops that come out of a JPEG file: rings in noise, faint lines lost in glare
    border: float = 0.2  # share of crops whose outside is replaced by colours or by themselves
    surroundings: float = 0.5  # share of crops whose outside is replaced by what surrounds another face
    without_impulses: float = 0.8  # share of crops that lose salt and pepper as before recognition
    frame: str = "close"  # what the views show, one of `faces.FRAMES`


def jitter_matrix(size: int, frame: str, rng: np.random.Generator, error: float = 1.0) -> np.ndarray:
    """From a 112 px crop to a view of this size and frame with a face finder's errors, `error` times the usual: a
    little scale, rotation and shift; half of the views are mirrored. float64 [2, 3]."""
    angle = np.deg2rad(rng.normal(0, 3.5 * error))
    scale = np.exp(rng.normal(0, 0.04 * error))
    cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    middle = np.full(2, (size - 1) / 2)
    shift = middle - turn @ middle + rng.normal(0, 2.0 * error, 2) * size / CROP_SIZE
    framed = frame_matrix(frame, size)
    return np.column_stack([turn @ framed[:, :2], turn @ framed[:, 2] + shift])


def change_colour(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and colour cast of another camera; one crop in twenty is grey."""
    gain = rng.uniform(0.75, 1.25) * rng.uniform(0.93, 1.07, 3)
    shift = rng.uniform(-20, 20)
    table = np.clip(np.arange(256)[:, None] * gain + shift, 0, 255).astype(np.uint8)
    crop = cv2.LUT(crop, table[None])
    if rng.random() < 0.05:
        crop = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return crop


def conditions(settings: Augmentation, rng: np.random.Generator) -> list[tuple[str, int]]:
    """What spoils a crop, one after the other: (distortion, severity 1 to 5); mostly one, seldom two, often none."""
    if rng.random() >= settings.distorted:
        return []
    drawn = []
    for _ in range(1 + (rng.random() < settings.twice)):
        name = GLARE if rng.random() < settings.glare else NAMES[rng.choice(len(NAMES), p=WEIGHTS)]
        chances = settings.glare_severity if name == GLARE else settings.severity
        drawn.append((name, 1 + int(rng.choice(5, p=chances))))
    return drawn


def glared(crop: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    """Glare where a photo's middle would be, not the crop's. RGB uint8 [S, S, 3] in and out."""
    taller = cv2.copyMakeBorder(crop, 0, 2 * GLARE_BELOW, 0, 0, cv2.BORDER_REPLICATE)
    size, spread = GLARE_SCALE
    return distort(taller, GLARE, severity, rng, scale=size * np.exp(rng.normal(0, spread)))[: len(crop)]


def augment(
    crop: np.ndarray, size: int, settings: Augmentation, rng: np.random.Generator, other: np.ndarray | None = None
) -> np.ndarray:
    """One training view, in the order of a photo's way: what is there, camera, file, median, face finder.

    crop: RGB uint8 [112, 112, 3]; other: whose surroundings it may get, except under glare, where hardly more than
    one's own hair is left; returns RGB uint8 [size, size, 3].
    """
    drawn = conditions(settings, rng)
    blind = any(name == GLARE for name, _ in drawn)
    kind = rng.random()
    if kind < settings.border:
        crop = plain_border(crop, rng)
    elif other is not None and not blind and kind < settings.border + settings.surroundings:
        crop = in_front_of(crop, other, rng)
    crop = change_colour(crop, rng)
    for name, severity in drawn:
        crop = glared(crop, severity, rng) if name == GLARE else distort(crop, name, severity, rng, scale=1.0)
    if rng.random() < settings.packed:
        crop = through_jpeg(crop, drawn_quality(rng))
    if rng.random() < settings.without_impulses:
        crop = without_impulses(crop)
    matrix = jitter_matrix(size, settings.frame, rng, BLIND_ERROR if blind else 1.0)
    modes = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    mode = modes[rng.integers(3)]
    return cv2.warpAffine(crop, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=mode)


class Batches(torch.utils.data.Dataset):
    """Item `step` is that step's whole batch: (uint8 [B, size, size, 3], indexes int64 [B] into the crops).

    people: `People`, whose training crops are drawn; its real distorted copies are not distorted again, and crops of
    whole photos get glare twice as often.
    """

    def __init__(self, people, batch_size: int, steps: int, size: int, settings: Augmentation, seed: int):
        self.people, self.indexes, self.batch_size, self.steps = people, people.training, batch_size, steps
        self.size, self.settings, self.seed = size, settings, seed
        self.as_it_is = replace(settings, distorted=0.0, surroundings=0.0)
        # Of their hair, which is most of what glare leaves, there is more than stripes.
        self.of_whole = replace(settings, glare=min(1.0, 2 * settings.glare))
        self.is_whole = np.isin(np.arange(len(people.crops)), people.whole)

    def __len__(self):
        return self.steps

    def __getitem__(self, step: int):
        cv2.setNumThreads(0)
        rng = np.random.default_rng((self.seed, 1, step))
        chosen = self.indexes[self._places(step)]
        views = [
            augment(self.people.crops[i], self.size, self.settings_of(i), rng, other)
            for i, other in zip(chosen, self._surroundings(rng, len(chosen)), strict=True)
        ]
        return torch.from_numpy(np.stack(views)), torch.from_numpy(chosen)

    def settings_of(self, index: int) -> Augmentation:
        """How hard this crop is made."""
        if self.people.is_copy[index]:
            return self.as_it_is
        return self.of_whole if self.is_whole[index] else self.settings

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
