"""A crop as another camera shows it: its tones and its colours."""

import cv2
import numpy as np

#: Shares of crops with another gamma, with a strong colour cast, without colour, and with more or less of it.
GAMMA, CAST, GREY, SATURATION = 0.4, 0.2, 0.1, 0.2


def tones(rng: np.random.Generator) -> np.ndarray:
    """Gamma, gain, white balance and lifted or cut shadows, as a table: uint8 [256, 3]."""
    levels = np.arange(256)[:, None] / 255
    if rng.random() < GAMMA:
        levels = levels ** np.exp(rng.normal(0, 0.3))
    spread = 0.25 if rng.random() < CAST else 0.07
    gain = rng.uniform(0.75, 1.25) * rng.uniform(1 - spread, 1 + spread, 3)
    return np.clip(255 * levels * gain + rng.uniform(-20, 20), 0, 255).astype(np.uint8)


def another_camera(crop: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """RGB uint8 [H, W, 3] in and out."""
    crop = cv2.LUT(crop, tones(rng)[None])
    kind = rng.random()
    if kind >= GREY + SATURATION:
        return crop
    colour = 0.0 if kind < GREY else rng.uniform(0.3, 1.5)
    grey = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(crop, colour, grey, 1 - colour, 0)
