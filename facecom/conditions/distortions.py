"""The eight conditions: how a file name says which, and each distortion as a function of pixels.

Severity runs from 1 (mild) to 5 (hardly anything left); 3 looks like FACECOM's own copies. Its constants were measured
on FACECOM train, clean photo against copy, pixel by pixel (`benchmarks/conditions.py` compares): fog
`a x + (1 - a) 205` with a mean transmission of .5, low light `.3 x`, glare `x + 264 - 1.41 r` (r: FACECOM pixels from
its centre), rain `.8 x` plus streaks, impulse noise, Gaussian blur of 2.3 px, half the resolution. `occluded`
(sunglasses, mask, box) is simulated only: FACECOM has no such copies.
"""

import os

import cv2
import numpy as np

CONDITIONS = ("clean", "blurred", "foggy", "lowlight", "noisy", "rainy", "resized", "sunny")
DISTORTIONS = CONDITIONS[1:]
SIMULATED = (*DISTORTIONS, "occluded")

#: Side in pixels of FACECOM's photos: lengths below are in pixels of such a photo.
FRAME = 224

#: Its distorted copies were made from 250 px photos and scaled afterwards.
SOURCE_SCALE = 250 / 224

#: What each severity means, 1 to 5.
BLUR_SIGMA = (1.0, 1.6, 2.3, 3.4, 4.8)  # pixels
FOG_TRANSMISSION = (0.76, 0.62, 0.50, 0.36, 0.24)  # mean share of the scene's light that comes through
FOG_LIGHT = 205
LIGHT_GAIN = (0.60, 0.42, 0.30, 0.19, 0.11)
IMPULSE_SHARE = (0.05, 0.10, 0.165, 0.24, 0.34)  # of the pixels, half of them white
RAIN_SHARE = (0.08, 0.15, 0.24, 0.33, 0.44)  # of the pixels, under streaks
RAIN_GAIN = (0.92, 0.86, 0.80, 0.72, 0.64)
RAIN_LIGHT = 78
RESIZE_SHARE = (0.75, 0.62, 0.50, 0.28, 0.17)  # of the side length
GLARE_PEAK = (145, 205, 264, 300, 340)
GLARE_SLOPE = 1.41  # fall of the glare a pixel
OCCLUDED_SHARE = (0.5, 0.7, 0.85, 1.0, 1.15)  # size of the object, as a share of its usual one


def condition_of(path: str | os.PathLike) -> tuple[str, str]:
    """(photo, condition) that a file's name says: `Ann_0001_foggy.jpg` -> (`Ann_0001`, `foggy`).

    A name without a known condition at its end is a clean photo.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    photo, _, word = stem.rpartition("_")
    if photo and word.lower() in DISTORTIONS:
        return photo, word.lower()
    return stem, "clean"


def blurred(image, severity, rng, scale):
    return cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA[severity - 1] * scale * rng.uniform(0.9, 1.1))


def foggy(image, severity, rng, scale):
    height, width = image.shape[:2]
    # Drifting patches: noise at three scales, the finer the weaker.
    pattern = np.zeros((height, width), np.float32)
    for cell, weight in ((48, 1.0), (24, 0.6), (10, 0.35)):
        rows, columns = (max(2, round(side / (cell * scale))) for side in (height, width))
        noise = rng.standard_normal((rows, columns), dtype=np.float32)
        pattern += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    transmission = np.clip(FOG_TRANSMISSION[severity - 1] + 0.13 * pattern, 0.05, 0.95)[..., None]
    return _to_uint8(image * transmission + (1 - transmission) * FOG_LIGHT)


def lowlight(image, severity, rng, scale):
    return _to_uint8(image * np.float32(LIGHT_GAIN[severity - 1] * rng.uniform(0.85, 1.15)))


def noisy(image, severity, rng, scale):
    height, width = image.shape[:2]
    # FACECOM's impulses were drawn before its photos were scaled from 250 px: they are soft, and a bit under a pixel.
    rows, columns = (max(1, round(side * SOURCE_SCALE / max(scale, 1))) for side in (height, width))
    share = IMPULSE_SHARE[severity - 1] * rng.uniform(0.85, 1.15)
    chance = rng.random((rows, columns), dtype=np.float32)
    impulses = (chance > 1 - share / 2).astype(np.float32) - (chance < share / 2)  # 1 white, -1 black
    impulses = cv2.resize(impulses, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    return _to_uint8(image * (1 - np.abs(impulses)) + 255 * np.maximum(impulses, 0))


def rainy(image, severity, rng, scale):
    height, width = image.shape[:2]
    slant = rng.uniform(-0.5, 0.5)
    length = rng.uniform(7, 13) * scale
    thickness = max(1, round(scale))
    count = int(RAIN_SHARE[severity - 1] * height * width / (length * thickness))
    x = rng.uniform(-abs(slant) * length, width + abs(slant) * length, count)
    y = rng.uniform(-length, height, count)
    starts = np.stack([x, y], 1)
    ends = starts + np.array([slant * length, length])
    streaks = np.zeros((round(height * SOURCE_SCALE), round(width * SOURCE_SCALE)), np.uint8)
    lines = np.round(np.stack([starts, ends], 1) * SOURCE_SCALE).astype(np.int32)
    cv2.polylines(streaks, lines, False, 255, thickness)
    streaks = cv2.resize(streaks, (width, height), interpolation=cv2.INTER_LINEAR)
    light = (streaks * np.float32(RAIN_LIGHT / 255))[..., None]
    return _to_uint8(image * np.float32(RAIN_GAIN[severity - 1]) + light)


def resized(image, severity, rng, scale):
    height, width = image.shape[:2]
    share = RESIZE_SHARE[severity - 1] * rng.uniform(0.85, 1.15) / max(scale, 1)
    small = (max(4, round(width * share)), max(4, round(height * share)))
    small = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def sunny(image, severity, rng, scale):
    height, width = image.shape[:2]
    centre_x = width / 2 + rng.normal(0, 4) * scale
    centre_y = height / 2 + rng.normal(0, 4) * scale
    x = np.arange(width, dtype=np.float32) - np.float32(centre_x)
    y = np.arange(height, dtype=np.float32) - np.float32(centre_y)
    radius = np.sqrt(x[None] ** 2 + y[:, None] ** 2) / np.float32(scale)
    peak = GLARE_PEAK[severity - 1] * rng.uniform(0.95, 1.05)
    glare = np.maximum(peak - GLARE_SLOPE * radius, 0)[..., None]
    return _to_uint8(image + glare)


def occluded(image, severity, rng, scale):
    """Sunglasses, a mask or a box over the face, taken to fill the middle of the picture as in FACECOM or a crop."""
    image = image.copy()
    height, width = image.shape[:2]
    face = min(height, width, 118 * scale)
    centre_x, centre_y = width / 2, height * 0.48 + (0.08 * height if face > 0.9 * height else 0)
    size = OCCLUDED_SHARE[severity - 1]
    colour = tuple(int(c) for c in rng.integers(0, 256, 3))
    tilt = rng.uniform(-12, 12)
    kind = rng.integers(3)
    if kind == 0:
        for side in (-1, 1):
            centre = (centre_x + side * 0.17 * face, centre_y - 0.1 * face)
            box = (centre, (0.28 * face * size, 0.2 * face * size), tilt)
            cv2.ellipse(image, box, tuple(c // 5 for c in colour), -1, cv2.LINE_AA)
    elif kind == 1:
        box = ((centre_x, centre_y + 0.28 * face), (0.75 * face * size, 0.42 * face * size), tilt)
        cv2.fillPoly(image, [cv2.boxPoints(box).astype(np.int32)], colour, cv2.LINE_AA)
    else:
        centre = (centre_x + rng.uniform(-0.3, 0.3) * face, centre_y + rng.uniform(-0.3, 0.3) * face)
        box = (centre, (rng.uniform(0.2, 0.5) * face * size, rng.uniform(0.2, 0.5) * face * size), tilt)
        cv2.fillPoly(image, [cv2.boxPoints(box).astype(np.int32)], colour, cv2.LINE_AA)
    return image


_DISTORT = {f.__name__: f for f in (blurred, foggy, lowlight, noisy, rainy, resized, sunny, occluded)}


def distort(
    image: np.ndarray,
    condition: str,
    severity: int = 3,
    seed: int | np.random.Generator = 0,
    scale: float | None = None,
) -> np.ndarray:
    """A copy of the photo in a condition; the same seed gives the same copy.

    image: RGB uint8 [H, W, 3]; condition: `clean` or a function's name here; severity: 1 to 5; scale: size of a
    FACECOM pixel in pixels of this image (default: longer side / 224; an aligned 112 px crop is about 1).
    Returns RGB uint8 [H, W, 3]. Raises ValueError for an unknown condition or severity.
    """
    if condition == "clean":
        return image.copy()
    if condition not in _DISTORT:
        raise ValueError(f"unknown condition {condition!r}: one of clean, {', '.join(_DISTORT)}")
    if severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"severity {severity!r} is not one of 1 to 5")
    rng = np.random.default_rng(seed)  # hands a Generator through as it is
    return _DISTORT[condition](image, severity, rng, max(image.shape[:2]) / FRAME if scale is None else scale)


def _to_uint8(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).astype(np.uint8)
