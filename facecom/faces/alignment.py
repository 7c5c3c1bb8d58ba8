"""Where the face is: five landmarks -> aligned 112 px crop.

Landmark order everywhere: left eye, right eye, nose tip, left mouth corner, right mouth corner, where left and
right are as the viewer sees them. Coordinates are pixels, x first, (0, 0) the centre of the first pixel.
"""

import math

import cv2
import numpy as np

from facecom.data.images import CROP_SIZE
from facecom.errors import FacecomError

#: The five-point template that face recognition shares (float32 [5, 2], pixels of a 112 px crop).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)


#: `--frame`: how large the face is in the crop, as a share of face recognition's size. With the whole head, hair and
#: collar still say the gender where the face itself is glare; closer, there is more of the face and less of the rest.
FRAMES = {"face": 1.0, "close": 1.1, "head": 0.6}

#: `--align fixed`: the box of FACECOM's photos that the face fills (centre x, centre y, side; shares of the side).
FIXED_BOX = (112 / 224, 107 / 224, 118 / 224)


def frame_matrix(frame: str, size: int = CROP_SIZE) -> np.ndarray:
    """From the pixels of a 112 px crop in the frame `face` to those of a crop of this frame and size: float64 [2, 3].

    Closer, the middle of the landmarks stays where it is, farther the middle of the crop. Raises FacecomError.
    """
    if frame not in FRAMES:
        raise FacecomError(f"unknown frame {frame!r}: one of {', '.join(FRAMES)}")
    share = FRAMES[frame]
    middle = TEMPLATE.mean(0, dtype=np.float64) if share > 1 else np.full(2, CROP_SIZE / 2)
    return np.column_stack([share * np.eye(2), (1 - share) * middle]) * (size / CROP_SIZE)


def template_of(frame: str) -> np.ndarray:
    """Where the landmarks go in a crop of this frame: float32 [5, 2], pixels of a 112 px crop. Raises FacecomError."""
    matrix = frame_matrix(frame)
    return (TEMPLATE @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity transform without mirroring (Umeyama, PAMI 1991; in the plane it has a closed form).

    source, target: [K, 2] points, K >= 2. Returns float64 [2, 3]: target ~ A[:, :2] @ source + A[:, 2].
    Raises ValueError when all source points coincide, and for points that are no numbers.
    """
    source, target = (np.asarray(points, np.float64) for points in (source, target))
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise ValueError("landmarks must be numbers: no alignment is possible")
    # A few points: Python's numbers are faster than arrays of them.
    one, other = ([complex(*point) for point in points.tolist()] for points in (source, target))
    middle, goal = sum(one) / len(one), sum(other) / len(other)
    centred = [point - middle for point in one]
    variance = sum((point * point.conjugate()).real for point in centred)
    if not 1e-12 * len(one) <= variance < math.inf:
        raise ValueError("the landmarks coincide, or lie beyond all numbers: no alignment is possible")
    # Scale and rotation as one complex number.
    turn = sum(a.conjugate() * (b - goal) for a, b in zip(centred, other, strict=True)) / variance
    shift = goal - turn * middle
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(
    image: np.ndarray, landmarks: np.ndarray, size: int = CROP_SIZE, template: np.ndarray = TEMPLATE
) -> np.ndarray:
    """Aligned crop of one face.

    image: RGB uint8 [H, W, 3]; landmarks: [5, 2] pixels of it; template: where they go, [5, 2] pixels of a 112 px crop.
    Returns RGB uint8 [size, size, 3]; what lies outside the image is its replicated border. Raises ValueError for
    landmarks that coincide or are no numbers.
    """
    template = template * (size / CROP_SIZE)
    matrix = similarity(landmarks, template)
    # Far smaller than the face: average before sampling, or the crop is aliased.
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.5:
        height, width = (max(1, round(side * shrink * 2)) for side in image.shape[:2])
        factor = np.array([width / image.shape[1], height / image.shape[0]])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        matrix = similarity((np.asarray(landmarks) + 0.5) * factor - 0.5, template)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def box_of(landmarks: np.ndarray) -> list[float]:
    """What the aligned crop of a face covers: x, y, width, height. landmarks: [5, 2] pixels."""
    corners = np.array([[0, 0], [CROP_SIZE, 0], [0, CROP_SIZE], [CROP_SIZE, CROP_SIZE]])
    matrix = similarity(TEMPLATE, landmarks)
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    low, high = corners.min(0), corners.max(0)
    return [round(float(value), 1) for value in (*low, *(high - low))]


def fixed_landmarks(image: np.ndarray) -> np.ndarray:
    """Where `--align fixed` takes the landmarks of a photo to be: float64 [5, 2], pixels of it."""
    height, width = image.shape[:2]
    side = min(height, width)
    centre = np.array([(width - side) / 2 + side * FIXED_BOX[0], (height - side) / 2 + side * FIXED_BOX[1]])
    return centre + (TEMPLATE / CROP_SIZE - 0.5) * side * FIXED_BOX[2]


def fixed_crop(image: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """`--align fixed`: the central box of a FACECOM photo, scaled. RGB uint8 [H, W, 3] -> RGB uint8 [size, size, 3]."""
    return align(image, fixed_landmarks(image), size)


def whole(image: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """`--align off`: the whole photo, squeezed. RGB uint8 [H, W, 3] -> RGB uint8 [size, size, 3]."""
    shrinks = max(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def landmark_errors(landmarks: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance of five landmarks, as a share of the distance between the eyes: [N, 5, 2] twice -> [N]."""
    eyes = np.linalg.norm(truth[:, 1] - truth[:, 0], axis=1)
    return np.linalg.norm(landmarks - truth, axis=2).mean(1) / eyes
