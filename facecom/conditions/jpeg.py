"""What a JPEG file leaves of a photo: the copies to be recognised come out of files, FACECOM's of quality 75."""

import cv2
import numpy as np

FACECOM_QUALITY = 75


def through_jpeg(photo: np.ndarray, quality: int = FACECOM_QUALITY) -> np.ndarray:
    """The photo written to a JPEG file and read again. RGB uint8 [H, W, 3] in and out; quality: 0 (bad) to 100."""
    bgr = cv2.cvtColor(photo, cv2.COLOR_RGB2BGR)
    packed = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
    return cv2.cvtColor(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)


def drawn_quality(rng: np.random.Generator) -> int:
    """40 to 95: mostly about FACECOM's, else anything that cameras and websites use."""
    return int(np.clip(rng.normal(FACECOM_QUALITY, 8), 40, 95)) if rng.random() < 0.6 else int(rng.integers(40, 96))
