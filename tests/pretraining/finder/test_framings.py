"""What the face finder learns from: photos framed, distorted and put together."""

import cv2
import numpy as np
import pytest

from facecom.faces.finder import letterbox
from facecom.synthetic import draw_person, draw_scene
from pretraining.finder import framings
from pretraining.finder.framings import Looks, frame, two_looks
from pretraining.photos import Photo, drawn_photos


def dots_are_there(picture, points, colour=(255, 0, 0), reach=3):
    """Whether a strongly red spot lies at each of the points that are inside the picture."""
    for x, y in np.round(points).astype(int):
        if reach <= min(x, y) and max(x, y) < len(picture) - reach:
            spot = picture[y - 2 : y + 3, x - 2 : x + 3].astype(int)
            if (spot[..., 0] - spot[..., 1]).max() < 60:
                return False
    return True


def marked(image, points):
    image = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    for x, y in np.round(points).astype(int).tolist():
        cv2.circle(image, (x, y), 2, (255, 0, 0), -1)
    return image


@pytest.mark.parametrize("gentle", [True, False])
def test_framing_moves_landmarks_with_the_picture(gentle):
    image, points = draw_person(3, 1, 224)
    image = marked(image, points)
    for seed in range(6):
        framed, moved = frame(np.random.default_rng(seed), image, points, gentle)
        assert framed.shape == (224, 224, 3)
        assert moved[0, 0] < moved[1, 0]  # a mirrored face has its eyes swapped
        assert dots_are_there(framed, moved)
        eyes = np.linalg.norm(moved[1] - moved[0])
        assert 0.25 * 224 < eyes * framings.FACE_WIDTH < 0.95 * 224


def test_gentle_framing_is_that_of_facecom():
    """FACECOM's clean training photos: eyes 38.5 px apart, landmarks' mean at (112, 121.5), give or take 3 and 2 px."""
    image, points = draw_person(3, 1, 224)
    moved = np.stack([frame(np.random.default_rng(seed), image, points, True)[1] for seed in range(300)])
    eyes, place = np.linalg.norm(moved[:, 1] - moved[:, 0], axis=1), moved.mean(1)
    assert np.median(eyes) == pytest.approx(38.5, rel=0.05)
    np.testing.assert_allclose(np.median(place, 0), [112.4, 121.5], atol=1)
    near, far = np.quantile(abs(place[:, 0] - 112.4), [0.4, 0.95])
    assert near < 3.1 and far > 10  # half as FACECOM, half with thrice its variety


def test_half_of_the_copies_keep_facecom_s_own_frame():
    image, points = draw_person(5, 1, 224)
    copy = np.random.default_rng(0).integers(0, 80, image.shape, dtype=np.uint8)
    looks = Looks({"facecom": [Photo(image, points, [copy])]}, [], 60, seed=0)
    looks.names, looks.shares = ["copies"], [1.0]
    whole = letterbox(copy, 112)[0]
    own = [
        any(np.array_equal(looks[number][0][0], view) for view in (whole, letterbox(copy[:, ::-1], 112)[0]))
        for number in range(60)
    ]
    assert 0.3 < np.mean(own) < 0.6  # one in ten of them is narrow or flat


def test_both_looks_show_the_landmarks():
    image, points = draw_person(4, 1, 224)
    pictures, moved = two_looks(marked(image, points), points, points + [6, -4])
    assert pictures.shape == (2, 112, 112, 3) and pictures.dtype == np.uint8
    assert dots_are_there(pictures[0], moved[0], reach=2) and dots_are_there(pictures[1], moved[1])
    np.testing.assert_allclose(moved[0], (points + 0.5) / 2 - 0.5, atol=1e-4)


def test_examples_depend_on_seed_and_number_only():
    sources = {"drawn": drawn_photos(3), "heads": [], "facecom": []}
    scenes = [draw_scene("wall", 0, 224)]
    first, again = (Looks(sources, scenes, 40, seed=5) for _ in range(2))
    faces = []
    for number in range(40):
        a, b = first[number], again[number]
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
        assert np.isfinite(a[1]).all() == a[2] == b[2]
        faces.append(a[2])
    assert 0 < sum(faces) < 40
    assert not np.array_equal(first[0][0], Looks(sources, scenes, 40, seed=6)[0][0])


def test_copies_are_used_as_they_are():
    image, points = draw_person(5, 1, 224)
    copy = np.full_like(image, 99)
    looks = Looks({"facecom": [Photo(image, points, [copy])]}, [], 10, seed=0)
    looks.names, looks.shares = ["copies"], [1.0]
    middle = np.stack([looks[number][0][1][40:80, 40:80] for number in range(10)])
    assert (middle == 99).all()


def test_heads_turned_aside_are_drawn_more_often():
    front = np.float32([[0, 0], [10, 0], [5, 6], [2, 10], [8, 10]])
    turned = np.float32([[0, 0], [4, 0], [7, 6], [1, 10], [4, 10]])
    assert framings.turned_aside(front) == 0
    # Middles of eyes and mouth: (2, 0) and (2.5, 10); the nose lies 4.7 beside that line, which is 10.01 long.
    assert framings.turned_aside(turned) == pytest.approx((5 * 10 - 6 * 0.5) / (10**2 + 0.5**2))
    assert framings.turned_aside(turned @ np.float32([[0, 2], [-2, 0]])) == pytest.approx(framings.turned_aside(turned))
    rng = np.random.default_rng(0)
    pool = [Photo(np.zeros((4, 4, 3), np.uint8), points, []) for points in [front] * 9 + [turned]]
    share = np.mean([framings.drawn_from(rng, pool).landmarks is turned for _ in range(2000)])
    expected = 0.75 * 0.1 + 0.25 * (1 - 0.9**6)
    assert share == pytest.approx(expected, abs=0.03)
