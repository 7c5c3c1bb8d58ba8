"""OpenCV's face detector, YuNet: `--align yunet`, and what the project's own finder learns from.

The model file is an argument: the project holds none of others.
"""

import os
import threading
from pathlib import Path

import cv2
import numpy as np

from facecom.errors import FacecomError

#: Which landmark is each one's mirror image.
MIRRORED = [1, 0, 2, 4, 3]

#: OpenCV's detector keeps the size that it was told last: threads take turns.
ONE_AT_A_TIME = threading.Lock()


def open_detector(model_file: str | os.PathLike | None) -> cv2.FaceDetectorYN:
    """OpenCV's face detector with YuNet's model file. Raises FacecomError without one that can be read."""
    if model_file is None:
        raise FacecomError("--align yunet needs --detector_model FILE, YuNet's ONNX file: README.md says where it is")
    if not Path(model_file).is_file():
        raise FacecomError(f"{model_file}: no such detector file: check --detector_model")
    try:
        return cv2.FaceDetectorYN.create(str(model_file), "", (224, 224), 0.6)
    except cv2.error as error:
        raise FacecomError(f"{model_file}: OpenCV cannot read it as YuNet's ONNX file: give another") from error


def detect(image: np.ndarray, detector: cv2.FaceDetectorYN) -> tuple[np.ndarray | None, float, int]:
    """`--align yunet`: what OpenCV's detector sees in a photo.

    image: RGB uint8 [H, W, 3]. Returns the landmarks float32 [5, 2] of the largest central face (None without one), its
    score (0 to 1; 0 without one) and the number of faces. A border is added, since a tight crop needs one.
    """
    border = max(image.shape[:2]) // 4
    framed = cv2.copyMakeBorder(image, border, border, border, border, cv2.BORDER_CONSTANT)
    with ONE_AT_A_TIME:
        detector.setInputSize((framed.shape[1], framed.shape[0]))
        faces = detector.detect(np.ascontiguousarray(framed[:, :, ::-1]))[1]
    if faces is None:
        return None, 0.0, 0
    centre = np.array([framed.shape[1], framed.shape[0]]) / 2
    off_centre = np.linalg.norm(faces[:, :2] + faces[:, 2:4] / 2 - centre, axis=1) / max(image.shape[:2])
    best = faces[np.argmax(faces[:, 2] * faces[:, 3] * np.exp(-((off_centre / 0.25) ** 2)))]
    return best[4:14].reshape(5, 2) - border, float(best[14]), len(faces)


def steady_landmarks(image: np.ndarray, detector: cv2.FaceDetectorYN, sizes=(0.8, 1.0, 1.3)) -> np.ndarray | None:
    """`detect`'s landmarks, float32 [5, 2], as the mean over sizes of the photo and its mirror image; None where the
    photo itself shows no face.

    The detector gives a photo and its mirror image landmarks that lie 7 % of the eye distance apart: one look at it is
    a noisy target.
    """
    first, _, _ = detect(image, detector)
    if first is None:
        return None
    found, reach = [], 0.25 * np.linalg.norm(first[1] - first[0])
    for size in sizes:
        flags = cv2.INTER_AREA if size < 1 else cv2.INTER_LINEAR
        scaled = cv2.resize(image, None, fx=size, fy=size, interpolation=flags)
        for mirrored in (False, True):
            points, _, _ = detect(np.ascontiguousarray(scaled[:, ::-1]) if mirrored else scaled, detector)
            if points is None:
                continue
            points = mirror(points, scaled.shape[1]) if mirrored else points
            points = (points + 0.5) / size - 0.5
            if np.linalg.norm(points - first, axis=1).max() < reach:  # another face may have been the larger one
                found.append(points)
    return np.stack(found).mean(0, dtype=np.float32) if found else first


def mirror(landmarks: np.ndarray, width: int) -> np.ndarray:
    """Landmarks [5, 2] in the mirror image of a photo of that width: left stays left as the viewer sees it."""
    return (landmarks * [-1, 1] + [width - 1, 0])[MIRRORED]
