"""Boxes, turns and suppression by hand; the shipped detector on drawn scenes."""

import numpy as np
import pytest
import torch

from facecom.data.images import CROP_SIZE
from facecom.faces import detect as detection
from facecom.faces.alignment import TEMPLATE
from facecom.faces.detect import Faces, boxes_of, covered, head, largest, out_of_head, overlaps, sides_of, turns_of
from facecom.models import checkpoint
from facecom.models.backbones.pointwise import Pointwise
from facecom.synthetic import draw_person, draw_scene


def test_the_box_of_the_template_by_hand():
    assert boxes_of(TEMPLATE[None])[0] == pytest.approx([56 - 42, 67 - 42, 84, 84], abs=0.5)
    assert sides_of(3 * TEMPLATE[None]) == pytest.approx([252], abs=0.01)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_turns_count_clockwise(turn):
    angle = np.deg2rad(turn + 12)  # with y downwards this matrix turns clockwise
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assert turns_of((TEMPLATE @ matrix.T)[None]) == [turn]


def test_overlaps_by_hand():
    box, others = np.array([0, 0, 4, 4.0]), np.array([[0, 0, 4, 4], [2, 0, 4, 4], [1, 1, 2, 2], [9, 9, 1, 1.0]])
    assert overlaps(box, others) == pytest.approx([1, 8 / 24, 4 / 16, 0])
    assert covered(box, others) == pytest.approx([1, 0.5, 1, 0])


def test_the_highest_score_speaks_for_a_face():
    landmarks = np.stack([TEMPLATE, TEMPLATE + 3, TEMPLATE + [300, 0], np.zeros((5, 2))]).astype(np.float32)
    found = detection.strongest(landmarks, np.float32([0.6, 0.9, 0.7, 0.99]))
    assert found.scores.tolist() == pytest.approx([0.9, 0.7])  # a heap of landmarks is no face
    assert found.landmarks[0] == pytest.approx(TEMPLATE + 3)


def test_the_largest_near_the_middle_answers():
    boxes = np.float32([[0, 0, 50, 50], [80, 80, 40, 40], [95, 95, 10, 10]])
    assert largest(Faces(np.zeros((3, 5, 2)), np.ones(3), boxes), (200, 200)) == 1
    assert largest(Faces(np.zeros((0, 5, 2)), np.ones(0), np.zeros((0, 4))), (200, 200)) is None


def test_a_head_is_upright_and_the_way_back_is_exact():
    photo, landmarks = draw_person(1, 0)
    upright = head(photo, landmarks)
    turned = head(np.ascontiguousarray(np.rot90(photo, 2)), [223, 223] - landmarks)
    assert upright.shape == (224, 224, 3)
    assert np.abs(upright.astype(int) - turned).mean() < 2
    places = detection.HEAD_TEMPLATE * (detection.HEAD / CROP_SIZE)
    back = out_of_head(places, landmarks)
    assert np.linalg.norm(back - landmarks, axis=1).max() < 0.35 * np.linalg.norm(landmarks[1] - landmarks[0])


def test_every_person_of_a_drawn_scene_is_found_where_they_are():
    scene, truth = np.full((480, 720, 3), 128, np.uint8), []
    scene[:] = np.kron(draw_scene("landscape", 3)[:160, :180], np.ones((3, 4, 1), np.uint8))
    for number, (x, y) in enumerate([(10, 20), (250, 200), (480, 30)]):
        person, landmarks = draw_person(number + 3, 0)
        scene[y : y + 224, x : x + 224] = person
        truth.append(landmarks + [x, y])
    found = detection.detect(scene)
    for landmarks, box in zip(truth, boxes_of(np.array(truth)), strict=True):
        best = int(overlaps(box, found.boxes).argmax())
        assert overlaps(box, found.boxes)[best] > 0.4
        assert np.linalg.norm(found.landmarks[best] - landmarks, axis=1).mean() < 0.3 * box[2]


def test_where_there_is_nobody_nobody_is_found():
    assert len(detection.detect(np.full((240, 320, 3), 90, np.uint8)).scores) == 0
    assert len(detection.detect(draw_scene("wall", 1), 0.9).scores) == 0


def test_the_pyramid_ends_with_a_small_picture():
    assert [scale for scale, _ in detection.pyramid(np.zeros((500, 1200, 3), np.uint8))] == [1, 1 / 4, 1 / 16]
    assert [p.shape for _, p in detection.pyramid(np.zeros((3, 2, 3), np.uint8))] == [(3, 2, 3)]


def test_several_photos_are_answered_as_each_by_itself():
    photos = [
        draw_person(3, 0)[0],
        draw_scene("wall", 1),
        draw_person(4, 1)[0],
        draw_person(5, 0)[0][:200, :190].copy(),
    ]
    alone, beside = [detection.detect(photo) for photo in photos], detection.detect_each(photos)
    assert [len(found.scores) for found in beside] == [1, 0, 1, 1]
    for found, expected in zip(beside, alone, strict=True):
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=0.01)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
    assert detection.detect_each([]) == []


def test_photos_are_seen_together_that_are_as_large_once_they_are_padded(monkeypatch):
    sizes = [(224, 224), (100, 65), (224, 193), (97, 96), (32, 32), (224, 224), (3, 2)]
    pictures = [np.zeros((*size, 3), np.uint8) for size in sizes]
    assert [detection.padded(picture) for picture in pictures[1:4]] == [(128, 96), (224, 224), (128, 96)]
    assert list(detection.alike(pictures)) == [[0, 2, 5], [1, 3], [4, 6]]
    monkeypatch.setattr(detection, "PIXELS_AT_ONCE", 2 * 128 * 96)  # of the largest not even one
    assert list(detection.alike(pictures)) == [[0], [2], [5], [1, 3], [4, 6]]


def test_the_fast_detector_says_what_the_plain_one_says():
    plain = checkpoint.load(None, "detector").model
    photo = draw_person(3, 0)[0]
    found, expected = detection.detect(photo), detection.detect(photo, model=plain)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
    np.testing.assert_allclose(found.landmarks, expected.landmarks, atol=0.05)
    assert len(found.scores) == 1
    kinds = {type(module) for module in detection.shipped_detector("cpu").modules()}
    assert Pointwise in kinds and torch.nn.BatchNorm2d not in kinds
