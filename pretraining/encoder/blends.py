"""Two faces laid over each other: a face that nobody has, of which only the teacher knows what to say.

A small source is soon known by heart; of N photos there are N^2 blends, and no target comes twice (function matching:
Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
"""

import cv2
import numpy as np

#: Share of the first photo: beyond, a blend is hardly anyone else.
SHARES = (0.3, 0.7)

#: Spread of how much wider and higher the faces become.
STRETCH = 0.05


def blend(first: np.ndarray, second: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Two aligned crops laid over each other, the second sometimes mirrored, a little wider or higher.

    first, second: RGB uint8 [S, S, 3]; share: of the first, 0 to 1. Returns RGB uint8 [S, S, 3].
    """
    if rng.random() < 0.5:
        second = second[:, ::-1]
    both = cv2.addWeighted(first, share, np.ascontiguousarray(second), 1 - share, 0)
    middle = (len(both) - 1) / 2
    scale = np.exp(rng.normal(0, STRETCH, 2))
    matrix = np.column_stack([np.diag(scale), middle - scale * middle])
    return cv2.warpAffine(both, matrix, both.shape[:2], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
