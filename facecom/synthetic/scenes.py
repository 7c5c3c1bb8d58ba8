"""Backgrounds, and pictures without a human face, for tests of "no face here"."""

import cv2
import numpy as np

from facecom.synthetic.drawing import FRAME, Canvas, ellipse, smooth

SCENES = ("wall", "landscape", "cat")

FURS = ((222, 150, 82), (120, 112, 108), (186, 158, 120), (72, 60, 54), (206, 198, 190))


def muted(rng: np.random.Generator, most: float) -> np.ndarray:
    """A random colour, RGB float64 [3], 0 to 255; most: how strong it may be, 0 (grey) to 1."""
    pure = rng.uniform(0, 1, 3)
    grey, strength = rng.uniform(0.15, 0.9), rng.uniform(0, most)
    return 255 * np.clip(grey + strength * (pure - pure.mean()), 0, 1)


def background(rng: np.random.Generator) -> np.ndarray:
    """What is behind a person, out of focus: RGB uint8 [56, 56, 3]."""
    side = 56
    first = muted(rng, 0.45)
    second = 0.5 * first + 0.5 * muted(rng, 0.45)
    ramp = np.linspace(0, 1, side)[:, None, None]
    picture = first * (1 - ramp) + second * ramp + np.zeros((side, side, 3))
    kind = rng.integers(4)
    if kind == 1:  # curtain
        waves = 16 * np.sin(np.arange(side) * rng.uniform(0.35, 0.9) + rng.uniform(0, 6))
        picture += waves[None, :, None]
    elif kind == 2:  # lights
        for _ in range(14):
            spot = tuple(int(c) for c in 0.5 * first + 0.5 * muted(rng, 0.8) + 25)
            cv2.circle(picture, tuple(int(c) for c in rng.integers(0, side, 2)), int(rng.integers(2, 7)), spot, -1)
    elif kind == 3:  # windows, posters, furniture
        for _ in range(5):
            low = rng.integers(-10, side, 2)
            high = low + rng.integers(8, 36, 2)
            shade = tuple(int(c) for c in 0.4 * first + 0.6 * muted(rng, 0.5))
            cv2.rectangle(picture, tuple(int(c) for c in low), tuple(int(c) for c in high), shade, -1)
    return np.clip(cv2.GaussianBlur(picture, (0, 0), 1.6), 0, 255).astype(np.uint8)


def draw_scene(kind: str, seed: int = 0, size: int = FRAME) -> np.ndarray:
    """A drawn picture without a human face: RGB uint8 [size, size, 3].

    kind: one of `SCENES`. Raises ValueError for another.
    """
    if kind not in SCENES:
        raise ValueError(f"unknown scene {kind!r}: one of {', '.join(SCENES)}")
    rng = np.random.default_rng([seed, SCENES.index(kind)])
    base = np.full((56, 56, 3), rng.uniform(150, 215)).astype(np.uint8)  # mortar
    canvas = Canvas(size, background(rng) if kind == "cat" else base)
    {"wall": _wall, "landscape": _landscape, "cat": _cat}[kind](canvas, rng)
    canvas.settle()
    grain = rng.normal(0, 3, (size, size, 1))
    return np.clip(canvas.finish() + grain, 0, 255).astype(np.uint8)


def _wall(canvas: Canvas, rng) -> None:
    brick = rng.uniform([120, 50, 40], [190, 110, 90])
    height, width = rng.uniform(14, 24), rng.uniform(34, 56)
    for row in range(int(FRAME / height) + 1):
        for column in range(-1, int(FRAME / width) + 1):
            x, y = (column + 0.5 * (row % 2)) * width, row * height
            right, bottom = x + width - 1.6, y + height - 1.6
            canvas.fill([[x, y], [right, y], [right, bottom], [x, bottom]], brick * rng.uniform(0.8, 1.15))


def _landscape(canvas: Canvas, rng) -> None:
    horizon = rng.uniform(90, 140)
    for step in range(24):
        y = step * FRAME / 24
        sky = np.array([110, 165, 225]) + step * np.array([4.5, 2.6, 0.8])
        canvas.fill([[0, y], [FRAME, y], [FRAME, y + 10], [0, y + 10]], sky)
    canvas.fill(ellipse(rng.uniform(20, 200), rng.uniform(18, 60), 14, 14), (255, 240, 190))
    for layer, green in enumerate(([110, 140, 120], [90, 140, 80], [70, 120, 50])):
        x = np.linspace(-20, FRAME + 20, 9)
        ridge = np.column_stack([x, horizon + 30 * layer + rng.uniform(-22, 14, 9) / (layer + 1)])
        canvas.fill(np.vstack([smooth(ridge, closed=False), [[FRAME + 20, FRAME], [-20, FRAME]]]), green)
    for _ in range(rng.integers(4, 9)):
        x, y = rng.uniform(5, FRAME - 5), rng.uniform(horizon + 45, FRAME - 8)
        canvas.fill([[x - 2, y], [x + 2, y], [x + 2, y - 18], [x - 2, y - 18]], (88, 62, 40))
        canvas.fill(ellipse(x, y - 28, 10, 15), rng.uniform([30, 80, 30], [70, 120, 50]))


def _cat(canvas: Canvas, rng) -> None:
    fur = np.array(FURS[rng.integers(len(FURS))]) * rng.uniform(0.9, 1.05)
    dark, x, y = fur * 0.6, 112 + rng.uniform(-8, 8), 118 + rng.uniform(-8, 8)
    canvas.fill(ellipse(x, y + 100, 62, 70), fur * 0.9)
    for side in (-1, 1):
        ear = np.array([[x + side * 20, y - 38], [x + side * 56, y - 74], [x + side * 56, y - 12]])
        canvas.fill(smooth(ear, rounds=2), fur)
        canvas.fill(smooth(ear * 0.6 + 0.4 * ear.mean(0), rounds=2), (225, 160, 160))
    canvas.fill(ellipse(x, y, 60, 50), fur)
    for stripe in (-1, 0, 1):
        canvas.line([[x + 10 * stripe, y - 46], [x + 7 * stripe, y - 26]], dark, 4)
    for side in (-1, 1):
        canvas.fill(ellipse(x + side * 25, y - 6, 13, 11), (200, 215, 90))
        canvas.fill(ellipse(x + side * 25, y - 6, 3, 10), (10, 10, 10))
        canvas.fill(ellipse(x + side * 25 - 4, y - 10, 2, 2), (255, 255, 255))
        for whisker in (-6, 0, 6):
            hair = [[x + side * 16, y + 18 + whisker / 2], [x + side * 70, y + 14 + 2 * whisker]]
            canvas.line(hair, (245, 245, 245), 0.8)
        canvas.fill(ellipse(x + side * 9, y + 22, 12, 10), fur * 0.4 + 255 * 0.6)
        lip = smooth([[x, y + 16], [x + side * 2, y + 26], [x + side * 14, y + 27]], closed=False)
        canvas.line(lip, dark * 0.5, 1.4)
    canvas.fill(smooth([[x - 8, y + 9], [x + 8, y + 9], [x, y + 18]]), (220, 130, 130))
