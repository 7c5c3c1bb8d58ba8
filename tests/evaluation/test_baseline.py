import cv2
import numpy as np

from facecom.evaluation.comparisons import untrained_baseline
from facecom.inference import templates


def test_untrained_baseline_knows_the_photo():
    rng = np.random.default_rng(0)
    pictures = [cv2.GaussianBlur(rng.integers(0, 256, (90, 80, 3), np.uint8), (0, 0), 4) for _ in range(6)]
    darker = [(picture * 0.4).astype(np.uint8) for picture in pictures]
    a, b = untrained_baseline(pictures), untrained_baseline(darker)
    np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(templates.distance_matrix(a, b).argmin(1), np.arange(6))
    assert np.isfinite(untrained_baseline([np.zeros((10, 10, 3), np.uint8)])).all()
