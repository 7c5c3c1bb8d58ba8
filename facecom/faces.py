"""Where the face is: five landmarks -> aligned 112 px crop.

Landmark order everywhere: left eye, right eye, nose tip, left mouth corner, right mouth corner, where left and
right are as the viewer sees them. Coordinates are pixels, x first, (0, 0) the centre of the first pixel.
"""

import cv2
import numpy as np

CROP_SIZE = 112

#: The five-point template that face recognition shares (float32 [5, 2], pixels of a 112 px crop).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)

#: `--align fixed`: the box of FACECOM's photos that the face fills (centre x, centre y, side; shares of the side).
FIXED_BOX = (112 / 224, 107 / 224, 118 / 224)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity transform (Umeyama, PAMI 1991, eq. 40 to 43).

    source, target: [K, 2] points, K >= 2. Returns float64 [2, 3]: target ~ A[:, :2] @ source + A[:, 2].
    Raises ValueError when all source points coincide.
    """
    source = np.asarray(source, np.float64)
    target = np.asarray(target, np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    source_centred, target_centred = source - source_mean, target - target_mean
    variance = (source_centred**2).sum() / len(source)
    if variance < 1e-12:
        raise ValueError("the landmarks coincide: no alignment is possible")
    u, singular, vt = np.linalg.svd(target_centred.T @ source_centred / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])  # a mirror image is no alignment
    rotation = u @ np.diag(sign) @ vt
    scale = (singular * sign).sum() / variance
    return np.hstack([scale * rotation, (target_mean - scale * rotation @ source_mean)[:, None]])


def align(image: np.ndarray, landmarks: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """Aligned crop of one face.

    image: RGB uint8 [H, W, 3]; landmarks: [5, 2] pixels of it. Returns RGB uint8 [size, size, 3]; what lies outside
    the image is its replicated border.
    """
    matrix = similarity(landmarks, TEMPLATE * (size / CROP_SIZE))
    # Far smaller than the face: average before sampling, or the crop is aliased.
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.5:
        height, width = (max(1, round(side * shrink * 2)) for side in image.shape[:2])
        factor = np.array([width / image.shape[1], height / image.shape[0]])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        matrix = similarity((np.asarray(landmarks) + 0.5) * factor - 0.5, TEMPLATE * (size / CROP_SIZE))
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def fixed_crop(image: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """`--align fixed`: the central box of a FACECOM photo, scaled. RGB uint8 [H, W, 3] -> RGB uint8 [size, size, 3]."""
    height, width = image.shape[:2]
    side = min(height, width)
    centre_x, centre_y, box = (side * share for share in FIXED_BOX)
    left, top = (width - side) / 2 + centre_x - box / 2, (height - side) / 2 + centre_y - box / 2
    matrix = np.array([[size / box, 0, -left * size / box], [0, size / box, -top * size / box]])
    flags = cv2.INTER_AREA if box > 2 * size else cv2.INTER_LINEAR
    return cv2.warpAffine(image, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
