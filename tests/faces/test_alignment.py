"""The geometry of a crop: similarity, template, border."""

import cv2
import numpy as np
import pytest
from dots import FACE, dotted

from facecom.faces import alignment
from facecom.faces.alignment import TEMPLATE, align, fixed_crop, similarity
from facecom.faces.finder import LOOSE_TEMPLATE


def test_similarity_recovers_turn_scale_and_shift():
    angle, scale, shift = 0.3, 1.7, np.array([4.0, -9.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(TEMPLATE, TEMPLATE @ turn.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([turn, shift]), atol=1e-4)


def test_similarity_never_mirrors():
    matrix = similarity(TEMPLATE, TEMPLATE * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_similarity_of_one_point_is_an_error():
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), TEMPLATE)


@pytest.mark.parametrize("enlarged", [1, 3])  # three times the size: the crop is averaged first
@pytest.mark.parametrize("template", [TEMPLATE, LOOSE_TEMPLATE])
def test_align_puts_landmarks_on_the_template(enlarged, template):
    photo = cv2.resize(dotted(FACE), None, fx=enlarged, fy=enlarged)
    crop = align(photo, (FACE + 0.5) * enlarged - 0.5, template=template)
    assert crop.shape == (112, 112, 3) and crop.dtype == np.uint8
    for x, y in np.round(template).astype(int):
        spot = crop[y - 3 : y + 4, x - 3 : x + 4, 0]
        assert np.abs(np.array(np.unravel_index(spot.argmax(), spot.shape)) - 3).max() <= 1
        assert spot.max() > 150


def test_align_replicates_the_border():
    photo = np.full((50, 50, 3), 200, np.uint8)
    assert (align(photo, TEMPLATE - 80) == 200).all()


def test_fixed_crop_is_the_middle_of_a_facecom_photo():
    photo = np.zeros((224, 224, 3), np.uint8)
    photo[48:166, 53:171] = 255  # 118 px centred at 112, 107
    crop = fixed_crop(photo)
    assert crop.shape == (112, 112, 3)
    assert crop[1:-1, 1:-1].min() == 255
    assert alignment.whole(photo, 64).shape == (64, 64, 3)
