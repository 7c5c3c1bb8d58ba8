"""Single looks of the finder, and what two of them say together."""

import cv2
import numpy as np
import pytest
import torch

from facecom.faces.finder import USUAL_ENLARGEMENT, coarseness, is_heap, letterbox, look, together
from facecom.faces.yunet import mirror
from facecom.models.networks import build_model


@pytest.mark.parametrize("shape", [(224, 224), (100, 300), (301, 77), (40, 30)])
def test_letterbox_says_where_points_go(shape):
    x, y = point = np.array([shape[1] * 0.4, shape[0] * 0.6])
    across, down = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    light = 40 + 215 * np.exp(-((across - x) ** 2 + (down - y) ** 2) / 24)
    photo = np.repeat(light[..., None], 3, 2).astype(np.uint8)
    photo[..., 2] = 40  # the dot is yellow, the letterbox's bars are grey
    square, scale, offset = letterbox(photo)
    assert square.shape == (112, 112, 3)
    yellow = cv2.GaussianBlur(square[..., 0].astype(np.float32) - square[..., 2], (0, 0), 1)
    found = np.unravel_index(yellow.argmax(), yellow.shape)[::-1]
    np.testing.assert_allclose(found, (point + 0.5) * scale - 0.5 + offset, atol=1.01)
    assert square[0, 0, 0] == (40 if shape[0] == shape[1] else 127)


def test_a_look_sees_the_same_face_in_the_mirror():
    torch.manual_seed(0)
    model = build_model({"task": "landmarks", "backbone": "test_convnext", "img_size": 64, "channels": 16}).eval()
    torch.nn.init.normal_(model.refine[-1].weight)  # errors that differ between landmarks
    pictures = list(np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8))
    found, errors, sure = look(model, pictures)
    turned, same_errors, equally = look(model, [picture[:, ::-1] for picture in pictures])
    np.testing.assert_allclose(turned, [mirror(points, 64) for points in found], atol=1e-2)
    np.testing.assert_allclose(same_errors, errors[:, [1, 0, 2, 4, 3]], rtol=1e-3)
    np.testing.assert_allclose(sure, equally, atol=1e-5)
    assert np.ptp(errors, axis=1).min() > 0 and found.shape == (3, 5, 2) and sure.shape == (3,)


def test_looks_are_weighed_by_the_inverse_of_their_variances():
    first, second = np.zeros((1, 5, 2)), np.full((1, 5, 2), 10.0)
    errors = np.array([[0.1, 0.1, 0.1, 0.2, 0.05]]), np.array([[0.1, 0.2, 0.05, 0.1, 0.1]])
    found = together(first, errors[0], second, errors[1])
    np.testing.assert_allclose(found[0, :, 0], [5, 2, 8, 8, 2])
    np.testing.assert_array_equal(found[..., 0], found[..., 1])


def test_small_faces_are_seen_coarsely_at_first():
    found = coarseness([1.0, USUAL_ENLARGEMENT, 2 * USUAL_ENLARGEMENT])
    np.testing.assert_allclose(found, [[1], [1], [4]])


def test_a_heap_is_no_face():
    assert is_heap(np.random.default_rng(0).random((5, 2)) * 0.9) and not is_heap(np.arange(10).reshape(5, 2))
