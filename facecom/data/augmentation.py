"""From an RGB uint8 photo or crop [H, W, 3] to the network's float32 [3, size, size]: for training and for use."""

import random
from collections.abc import Sequence

import cv2
import numpy as np

from facecom.conditions import SIMULATED, Distort  # before albumentations: it switches off the online version check
from facecom.conditions.impulses import without_impulses

import albumentations as A  # isort: skip
from albumentations.pytorch import ToTensorV2  # isort: skip

Numbers = Sequence[float]


def eval_transform(size: int, mean: Numbers, std: Numbers) -> A.Compose:
    """Resize to size x size pixels (nothing to do for an aligned crop), scale to 0..1, normalise by mean and std."""
    return A.Compose([A.Resize(size, size), *_to_tensor(mean, std)])


def train_transform(
    size: int,
    mean: Numbers,
    std: Numbers,
    *,
    recipe: str = "facecom",
    task: str = "siamese",
    simulate: bool = True,
    scale: float | None = 1.0,
) -> A.Compose:
    """What a training photo goes through; call `reseed` before each use to have it depend on a seed alone.

    recipe: `facecom`, or `published` (as the published solution did for the task, `siamese` or `gender`);
    simulate: also bring clean photos into the distorted conditions; scale: see `conditions.distort`.
    """
    if recipe == "published":
        steps = [A.Resize(size, size), *(_published_gender() if task == "gender" else _published_siamese())]
    else:
        steps = [A.Resize(size, size), *_jitter(), *_light()]
        if simulate:
            steps += [Distort(SIMULATED, severity=(1, 5), scale=scale, p=0.7), *_out_of_a_file()]
    return A.Compose([*steps, *_to_tensor(mean, std)])


def reseed(transform: A.Compose, seed: int) -> A.Compose:
    """The transform, its next use decided by the seed alone.

    All steps draw from one stream: `Compose.set_random_seed` would give each the same one, so that the steps that
    happen with the same probability would always happen together.
    """
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
    return transform


class VaryBorder(A.ImageOnlyTransform):
    """Replaces the outermost pixels by what a picture's edge can be: replicated, mirrored, plain, noise, blurred.

    Data sets differ in it (cut close to the face, or with the scene around it), and a network learns to look at it.
    share: (least, most) width of the border, as a share of the side.
    """

    def __init__(self, share: tuple[float, float] = (0.02, 0.15), p: float = 0.5):
        super().__init__(p=p)
        self.share = tuple(share)

    def get_params(self):
        return {
            "widths": [self.py_random.uniform(*self.share) for _ in range(4)],
            "kind": self.py_random.choice(("replicate", "mirror", "plain", "noise", "blur")),
            "seed": self.py_random.getrandbits(32),
        }

    def apply(self, img, widths, kind, seed, **params):
        height, width = img.shape[:2]
        top, bottom = (int(share * height) for share in widths[:2])
        left, right = (int(share * width) for share in widths[2:])
        inner = img[top : height - bottom, left : width - right]
        if kind in ("replicate", "mirror"):
            mode = cv2.BORDER_REPLICATE if kind == "replicate" else cv2.BORDER_REFLECT_101
            return cv2.copyMakeBorder(inner, top, bottom, left, right, mode)
        if kind == "blur":
            framed = cv2.blur(img, (2 * max(2, width // 14) + 1,) * 2)
        else:
            rng = np.random.default_rng(seed)
            shape = img.shape if kind == "noise" else (1, 1, 3)
            framed = np.broadcast_to(rng.integers(0, 256, shape, np.uint8), img.shape).copy()
        framed[top : height - bottom, left : width - right] = inner
        return framed

    def get_transform_init_args_names(self):
        return ("share",)


def _to_tensor(mean, std):
    return [A.Normalize(tuple(mean), tuple(std)), ToTensorV2()]


def _jitter():
    """An aligned crop as the next face finder, camera and cut would have it."""
    place = {"scale": (0.9, 1.12), "translate_percent": (-0.05, 0.05), "rotate": (-8, 8), "keep_ratio": True}
    edges = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)
    return [
        A.HorizontalFlip(p=0.5),
        A.OneOf(
            [A.Affine(**place, border_mode=edge, p=share) for edge, share in zip(edges, (0.6, 0.2, 0.2), strict=True)],
            p=0.9,
        ),
        VaryBorder(p=0.3),
    ]


def _light():
    return [
        A.RandomBrightnessContrast(p=0.4),
        A.HueSaturationValue(hue_shift_limit=8, p=0.3),
        A.ToGray(p=0.05),
    ]


def _out_of_a_file():
    """As a distorted photo arrives here: out of a JPEG (FACECOM's are of quality 75), mostly without its impulses."""
    return [
        A.ImageCompression(quality_range=(40, 95), p=0.85),
        A.Lambda(image=_median, name="without_impulses", p=0.8),
    ]


def _median(image, **params):
    return without_impulses(image)


def _published_gender():
    return [
        A.HorizontalFlip(p=0.5),
        A.CoarseDropout(num_holes_range=(1, 8), hole_height_range=(16, 16), hole_width_range=(16, 16), p=0.5),
        A.RandomBrightnessContrast(p=0.3),
        A.Rotate(limit=15, p=0.3),
    ]


def _published_siamese():
    place = {"scale": (0.95, 1.05), "translate_percent": (-0.05, 0.05), "rotate": (-15, 15)}
    return [
        A.HorizontalFlip(p=0.5),
        A.RandomBrightnessContrast(p=0.2),
        A.HueSaturationValue(p=0.2),
        A.Affine(**place, keep_ratio=True, p=0.5),
    ]


def derived_seed(*parts: int) -> int:
    """One 32-bit seed from several numbers (seed, epoch, position ...), unlike for unlike numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
