"""The public detector's landmarks: of one look, steadied, mirrored."""

import cv2
import numpy as np
import pytest

from facecom.faces.aligner import Aligner
from facecom.faces.alignment import TEMPLATE, fixed_crop, landmark_errors
from facecom.faces.yunet import detect, mirror, open_detector, steady_landmarks


class Biased:
    """A detector that sees the dot of a photo as the nose of a face, always 2 px too far right."""

    def setInputSize(self, size):
        self.size = size

    def detect(self, image):
        y, x = np.unravel_index(cv2.GaussianBlur(image[..., 0], (0, 0), 1).argmax(), image.shape[:2])
        if image[y, x, 0] < 100:
            return None, None
        points = (TEMPLATE - TEMPLATE[2]) * 0.5 + [x + 2, y]
        box = [*points.min(0), *np.ptp(points, axis=0)]
        small = [0, 0, 4, 4, *np.zeros(10), 0.99]  # a smaller face in a corner
        return 1, np.float32([small, [*box, *points.ravel(), 0.8]])


def photo_with_dot(x=60, y=50):
    photo = np.zeros((120, 140, 3), np.uint8)
    photo[y - 2 : y + 3, x - 2 : x + 3] = 255
    return photo


def test_detect_takes_the_large_central_face():
    points, score, faces = detect(photo_with_dot(), Biased())
    np.testing.assert_allclose(points[2], [62, 50], atol=0.1)  # in pixels of the photo, not of its bordered copy
    assert score == pytest.approx(0.8) and faces == 2
    assert detect(np.zeros((50, 50, 3), np.uint8), Biased()) == (None, 0.0, 0)


def test_the_mirror_image_cancels_a_bias_to_one_side():
    steady = steady_landmarks(photo_with_dot(), Biased(), sizes=(1.0,))
    np.testing.assert_allclose(steady, (TEMPLATE - TEMPLATE[2]) * 0.5 + [60, 50], atol=0.1)
    assert steady.dtype == np.float32
    assert steady_landmarks(np.zeros((50, 50, 3), np.uint8), Biased()) is None


def test_mirror_swaps_sides():
    points = mirror(TEMPLATE, 112)
    np.testing.assert_allclose(points[0], [111 - TEMPLATE[1, 0], TEMPLATE[1, 1]])
    assert points[0, 0] < points[1, 0] and points[3, 0] < points[4, 0]
    np.testing.assert_allclose(mirror(points, 112), TEMPLATE, atol=1e-5)


def test_steady_landmarks_agree_with_the_mirror_image(shared, facecom_val):
    detector = open_detector(shared / "models" / "yunet_n_dynamic.onnx")
    photos = [cv2.imread(str(path))[:, :, ::-1].copy() for path in sorted(facecom_val.glob("*/*.jpg"))[:4]]
    plain, mirrored = [], []
    for photo in photos:
        plain.append(steady_landmarks(photo, detector))
        mirrored.append(mirror(steady_landmarks(photo[:, ::-1].copy(), detector), photo.shape[1]))
    assert landmark_errors(np.stack(mirrored), np.stack(plain)).max() < 0.02


def test_yunet_on_a_real_photo(shared, facecom_val):
    photo = cv2.imread(str(sorted(facecom_val.glob("*/*.jpg"))[0]))[:, :, ::-1]
    wall = np.full((224, 224, 3), 90, np.uint8)
    aligned = Aligner("yunet", detector_model=shared / "models" / "yunet_n_dynamic.onnx")([photo, wall])
    left, right, nose, *mouth = aligned.landmarks[0]
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)
    assert aligned.confidence[0] > 0.6 and aligned.faces.tolist() == [1, 0]
    assert aligned.confidence[1] == 0 and np.isnan(aligned.landmarks[1]).all()
    np.testing.assert_array_equal(aligned.crops[1], fixed_crop(wall))
