"""Composed scenes: faces where they are said to be, none hidden; and which cell answers for which face."""

import numpy as np
import pytest
import torch

from facecom.faces.detect import boxes_of, overlaps, sides_of
from facecom.models.detector import FaceDetector, cells
from facecom.synthetic import draw_person, draw_scene
from pretraining.detector import scenes, train
from pretraining.detector.scenes import Source


@pytest.fixture(scope="module")
def photos():
    drawn = [draw_person(number, 0) for number in range(6)]
    return [Source(image, landmarks[None], np.ones(1, bool)) for image, landmarks in drawn]


@pytest.fixture(scope="module")
def empty():
    return [draw_scene(kind, 1) for kind in ("wall", "landscape", "cat")]


def test_faces_have_the_sides_asked_for_and_do_not_hide_each_other(photos, empty):
    many = 0
    for seed in range(12):
        scene = scenes.compose(np.random.default_rng(seed), photos, empty, (256, 384), 8, (20, 60))
        assert scene.image.shape == (256, 384, 3) and scene.image.dtype == np.uint8
        sides = sides_of(scene.landmarks)
        assert ((sides > 19) & (sides < 61)).all()
        boxes = boxes_of(scene.landmarks)
        for row, box in enumerate(boxes):
            assert np.delete(overlaps(box, boxes), row).max(initial=0) < 0.35
        many = max(many, len(boxes))
    assert many > 2


def test_a_laid_photo_looks_like_itself(photos, empty):
    from facecom.faces.alignment import align

    rng = np.random.default_rng(0)
    canvas = np.zeros((300, 300, 3), np.uint8)
    placed, sure = scenes._lay(rng, canvas, photos[0], 90.0, [], turned=1.0)
    assert sure.all()
    seen, own = align(canvas, placed[0]), align(photos[0].image, photos[0].landmarks[0])
    mirrored = own[:, ::-1]
    assert min(np.abs(seen.astype(int) - one)[40:90, 36:76].mean() for one in (own, mirrored)) < 16


def test_how_much_of_a_face_shows():
    cover = np.zeros((100, 100), np.uint8)
    cover[:, 50:] = 255
    lower = 1.17  # a box's middle lies above the landmarks'
    faces = [face_at(x, y + lower, 20).numpy() for x, y in ((75, 50), (50, 50), (100, 0), (-30, 50))]
    np.testing.assert_allclose(boxes_of(np.stack(faces[:3]))[:, :2], [[65, 40], [40, 40], [90, -10]], atol=0.1)
    shown = scenes.seen_of(cover, np.stack(faces))
    np.testing.assert_allclose(shown, [1, 0.5, 0.25, 0], atol=0.03)


def test_half_a_face_at_the_edge_of_a_photo_is_neither_right_nor_wrong(photos):
    """Another face of the photo, of which the photo's edge has left the half that its middle lies on, and less."""
    image, landmarks, _ = photos[0]
    side = float(sides_of(landmarks)[0])
    at_edge = landmarks[0] - [boxes_of(landmarks)[0, 0] + 0.45 * side, 0]
    photo = Source(image, np.stack([landmarks[0], at_edge.astype(np.float32)]), np.ones(2, bool))
    known = [
        scenes._lay(np.random.default_rng(seed), np.zeros((300, 300, 3), np.uint8), photo, 90.0, [], 0.0)[1].tolist()
        for seed in range(20)
    ]
    assert [True, False] in known and [True, True] not in known


def test_the_same_number_is_the_same_scene(photos, empty):
    one, other = (train.Scenes(photos, empty, 5, seed=3)[2] for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
    np.testing.assert_array_equal(one[2], np.isfinite(one[1]).all((1, 2)))


def face_at(x, y, side):
    from facecom.faces.alignment import TEMPLATE

    points = (TEMPLATE - TEMPLATE.mean(0)) * (side / 84) + [x, y]
    return torch.tensor(points, dtype=torch.float32)


def known(landmarks):
    return landmarks.isfinite().flatten(2).all(2)


def test_cells_answer_for_faces_of_their_size():
    landmarks = torch.full((1, 3, 5, 2), torch.nan)
    landmarks[0, 0], landmarks[0, 1] = face_at(20, 20, 20), face_at(180, 180, 120)
    face, sides = train.targets(landmarks, known(landmarks), 256)
    centres, strides = cells(256, 256)
    small, large = (face[0] == 0), (face[0] == 1)
    assert set(strides[small].tolist()) == {8.0} and set(strides[large].tolist()) == {32.0}
    assert (centres[small] - torch.tensor([20.0, 20])).norm(dim=1).max() <= 0.71 * 8 + 1e-3
    assert sides[0, :2].tolist() == pytest.approx([20, 120], rel=1e-4)
    assert (face[0] == -2).any() and (face[0] == -1).sum() > 1000


def test_what_may_be_a_face_is_neither_right_nor_wrong():
    landmarks = face_at(100, 100, 24)[None, None]
    sure, _ = train.targets(landmarks, torch.tensor([[True]]), 256)
    doubtful, _ = train.targets(landmarks, torch.tensor([[False]]), 256)
    assert (sure == 0).any() and not (doubtful == 0).any()
    assert (doubtful[sure == 0] == -2).all()


def perfect(landmarks, turn):
    """What `each_turn` of a network that knows gives for one face; for other turns landmarks far away."""
    face, _ = train.targets(landmarks, known(landmarks), 256)
    found = torch.full((1, face.shape[1], 4, 5, 2), 1e3)
    found[:, :, turn] = landmarks[0, 0]
    turns = torch.full((1, face.shape[1], 4), -20.0)
    turns[..., turn] = 20
    return torch.where(face >= 0, 20.0, -20.0), turns, found


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_something(turn):
    landmarks = torch.full((1, 2, 5, 2), torch.nan)
    off = face_at(0, 0, 24)
    for _ in range(turn):
        off = torch.stack([-off[:, 1], off[:, 0]], 1)  # a quarter clockwise, as y points down
    landmarks[0, 0] = off + 100
    logits, turns, found = perfect(landmarks, turn)
    truth = landmarks, known(landmarks), 256
    assert max(train.loss_of(logits, turns, found, *truth)) < 1e-5
    score, side, place, _ = train.loss_of(-logits, -turns, found + 2.4, *truth)
    assert score > 1 and side > 1 and place == pytest.approx(2.4 * 2**0.5 / 24, rel=1e-3)


def test_a_scene_without_faces_teaches_nothing_about_places():
    landmarks = torch.full((1, 2, 5, 2), torch.nan)
    count = len(cells(64, 64)[0])
    nothing = torch.zeros(1, count), torch.zeros(1, count, 4), torch.zeros(1, count, 4, 5, 2)
    score, turn, place, _ = train.loss_of(*nothing, landmarks, known(landmarks), 64)
    assert turn == 0 and place == 0 and score > 0


def test_each_turn_starts_from_a_network_without_turns():
    old, new = FaceDetector((4, 8, 8, 8, 8), 1, 8).eval(), FaceDetector((4, 8, 8, 8, 8), 1, 8, turns=4).eval()
    train.start_from(new, old)
    x = torch.rand(1, 3, 64, 64)
    for mine, its in zip(new(x), old(x), strict=True):
        torch.testing.assert_close(mine, its)
    train.start_from(new, new)


def test_a_patchwork_has_details_and_no_face(photos):
    canvas = np.zeros((256, 256, 3), np.uint8)
    done = scenes._patchwork(np.random.default_rng(0), canvas.copy(), photos)
    assert (done != canvas).any(2).mean() > 0.3
    whole = Source(photos[0].image, np.stack([face_at(112, 112, 400).numpy()]), np.ones(1, bool))
    assert (scenes._patchwork(np.random.default_rng(0), canvas.copy(), [whole]) != canvas).any(), "parts of a face"
    small = np.stack([face_at(x, y, 24).numpy() for x in range(12, 224, 24) for y in range(12, 224, 24)])
    crowd = Source(photos[0].image, small, np.ones(len(small), bool))
    assert (scenes._patchwork(np.random.default_rng(0), canvas.copy(), [crowd]) == canvas).all(), "whole faces"
