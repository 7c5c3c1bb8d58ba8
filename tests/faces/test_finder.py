"""The finder: single looks, what two of them say together, and whole photos."""

import cv2
import numpy as np
import pytest
import torch
from dots import FACE, DotFinder, dotted

from facecom.data.images import CROP_SIZE
from facecom.faces.finder import (
    LOOSE_TEMPLATE,
    USUAL_ENLARGEMENT,
    Seen,
    coarseness,
    find,
    is_heap,
    letterbox,
    look,
    together,
    unsure,
)
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


def test_a_look_in_the_mirror_says_where_the_face_is_in_the_picture():
    torch.manual_seed(0)
    model = build_model({"task": "landmarks", "backbone": "test_convnext", "img_size": 64, "channels": 16}).eval()
    torch.nn.init.normal_(model.refine[-1].weight)  # errors that differ between landmarks
    pictures = list(np.random.default_rng(1).integers(0, 256, (3, 64, 64, 3), np.uint8))
    found, errors, sure = look(model, pictures)
    turned, same_errors, equally = look(model, [picture[:, ::-1] for picture in pictures], mirrored=True)
    np.testing.assert_allclose(turned, [mirror(points, 64) for points in found], atol=1e-2)
    np.testing.assert_allclose(same_errors, errors[:, [1, 0, 2, 4, 3]], rtol=1e-3)
    np.testing.assert_allclose(sure, equally, atol=1e-5)
    assert np.ptp(errors, axis=1).min() > 0 and found.shape == (3, 5, 2) and sure.shape == (3,)


def seen(place: float, errors, confidence=1.0, nothing=False, scale=1.0) -> Seen:
    """A look at one photo that saw every landmark at (place, place)."""
    landmarks, errors = np.full((1, 5, 2), place), np.broadcast_to(errors, (1, 5))
    return Seen(landmarks, errors, np.array([confidence]), np.array([nothing]), np.array([scale]))


def test_looks_are_weighed_by_the_inverse_of_their_variances():
    found, sure = together(seen(0, [0.1, 0.1, 0.1, 0.2, 0.05], 0.5), seen(10, [0.1, 0.2, 0.05, 0.1, 0.1], 0.9))
    np.testing.assert_allclose(found[0, :, 0], [5, 2, 8, 8, 2])
    np.testing.assert_array_equal(found[..., 0], found[..., 1])
    np.testing.assert_allclose(sure, 0.7)


@pytest.mark.parametrize("first", [True, False])
def test_where_a_look_saw_nothing_there_is_no_face(first):
    found, sure = together(seen(3, 0.1, nothing=first), seen(10, 0.1, nothing=not first))
    assert (found == 3).all() and sure == 0


def test_small_faces_are_seen_coarsely_at_first():
    found = coarseness(np.array([1.0, USUAL_ENLARGEMENT, 2 * USUAL_ENLARGEMENT]))
    np.testing.assert_allclose(found, [[1], [1], [4]])
    merged, _ = together(seen(0, 0.1), seen(10, 0.1, scale=2 * USUAL_ENLARGEMENT))
    np.testing.assert_allclose(merged, 10 * 16 / 17)


def test_a_heap_is_no_face():
    assert is_heap(np.random.default_rng(0).random((5, 2)) * 0.9) and not is_heap(np.arange(10).reshape(5, 2))


def test_find_returns_pixels_of_each_photo():
    other = FACE * 1.5 + [10, -20]
    photos = [dotted(FACE), dotted(other, 260, 420), np.full((90, 60, 3), 30, np.uint8)]
    landmarks, confidence = find(photos, batch_size=2, model=DotFinder())
    assert landmarks.dtype == confidence.dtype == np.float32
    np.testing.assert_allclose(landmarks[0], FACE, atol=0.7)
    np.testing.assert_allclose(landmarks[1], other, atol=0.7)
    # Laplace scale .05: P(r < .1) = 1 - 3 exp(-2); the logit 0 halves it. A heap of points is no face.
    np.testing.assert_allclose(confidence, [(1 - 3 * np.exp(-2)) / 2] * 2 + [0], rtol=1e-5)
    assert np.isfinite(landmarks).all()


def test_more_photos_than_a_network_sees_at_once():
    places = [FACE + [shift, 0] for shift in range(-17, 18)]
    landmarks, confidence = find([dotted(place) for place in places], model=DotFinder())
    np.testing.assert_allclose(landmarks, places, atol=0.7)
    assert confidence.shape == (35,)


class Biased:
    """A finder that is 4 px to the right in the whole picture, and in the crop, which it sees in the mirror, as far to
    the left of what it saw first; how sure it is of either is given."""

    img_size = CROP_SIZE

    def __init__(self, errors):
        self.errors, self.looks = errors, 0

    def __call__(self, x):
        places = LOOSE_TEMPLATE + [4, 0] if self.looks == 0 else mirror(LOOSE_TEMPLATE - [4, 0], CROP_SIZE)
        log_error = torch.full((1, 5), self.errors[self.looks]).log()
        self.looks += 1
        return torch.from_numpy(places[None]).float(), log_error, torch.full((1,), 20.0)


@pytest.mark.parametrize("errors", [(0.05, 0.05), (0.035, 0.06), (0.06, 0.02)])
def test_two_looks_count_by_how_sure_they_are(errors):
    model = Biased(errors)
    found, confidence = find([np.full((112, 112, 3), 30, np.uint8)], model=model)
    assert model.looks == 2
    weight = errors[0] ** -2 / (errors[0] ** -2 + errors[1] ** -2)
    np.testing.assert_allclose(found[0], LOOSE_TEMPLATE + [4 * weight, 0], atol=1e-3)
    share = [1 - (1 + 0.1 / e) * np.exp(-0.1 / e) for e in errors]
    np.testing.assert_allclose(confidence, np.mean(share), rtol=1e-4)


def test_a_first_look_that_is_sure_is_enough():
    model = Biased((0.02, 0.06))
    found, confidence = find([np.full((112, 112, 3), 30, np.uint8)], model=model)
    assert model.looks == 1
    np.testing.assert_allclose(found[0], LOOSE_TEMPLATE + [4, 0], atol=1e-3)
    np.testing.assert_allclose(confidence, 1 - 6 * np.exp(-5), rtol=1e-4)


def test_small_faces_and_heaps_are_looked_at_again_however_sure_the_first_look_is():
    """In a picture of its own size a face in the loose frame would not be enlarged at all."""
    places = np.stack([LOOSE_TEMPLATE, LOOSE_TEMPLATE, LOOSE_TEMPLATE / 1.5, LOOSE_TEMPLATE / 1.6, LOOSE_TEMPLATE])
    sure, nothing = np.array([0.9, 0.7, 0.9, 0.9, 0.9]), np.array([False, False, False, False, True])
    first = Seen(places, np.full((5, 5), 0.02), sure, nothing, np.ones(5))
    assert unsure(first, CROP_SIZE).tolist() == [False, True, False, True, True]
    half = first._replace(scale=np.full(5, 0.5))  # photos twice as large as the picture
    assert unsure(half, CROP_SIZE).all()


def test_find_of_nothing():
    landmarks, confidence = find([], model=DotFinder())
    assert landmarks.shape == (0, 5, 2) and confidence.shape == (0,)
