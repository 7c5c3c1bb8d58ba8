"""What counts as found, by hand: small faces and doubtful ones are neither right nor wrong."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import detection

from facecom.faces.alignment import TEMPLATE
from pretraining.detector.scenes import Scene


def face(x, y, side):
    return (TEMPLATE - TEMPLATE.mean(0)) * (side / 84) + [x, y]


@pytest.fixture
def scene():
    """A face to be found, one too small to count, one that nobody is sure of."""
    faces = np.stack([face(50, 50, 50), face(150, 50, 12), face(250, 50, 50)]).astype(np.float32)
    return Scene(np.zeros((100, 300, 3), np.uint8), faces, np.array([True, True, False]))


def test_a_face_is_found_where_boxes_share_enough(scene):
    found, wrong = detection.matches(scene, face(52, 50, 50)[None], np.array([0.8]))
    assert found.tolist() == [0.8] and len(wrong) == 0
    found, wrong = detection.matches(scene, face(85, 50, 50)[None], np.array([0.8]))
    assert np.isnan(found).all() and wrong.tolist() == [0.8]


def test_what_is_too_small_or_doubtful_is_neither_right_nor_wrong(scene):
    found, wrong = detection.matches(scene, scene.landmarks[1:], np.array([0.9, 0.7]))
    assert len(found) == 1 and np.isnan(found).all() and len(wrong) == 0


def test_the_threshold_is_the_lowest_at_which_enough_are_faces():
    found, wrong = np.array([0.9, 0.8, 0.7, np.nan]), np.array([0.75])
    assert detection.cut(found, wrong, 1.0) == 0.8
    assert detection.cut(found, wrong, 0.75) == 0.7
    assert detection.cut(np.array([np.nan]), wrong, 0.5) == float("inf")


def test_figures_count_what_is_to_be_found(scene):
    rows = detection.figures([scene, scene], [np.array([0.9]), np.array([np.nan])], [np.array([]), np.array([])], 0)
    assert rows["recall"][0] == 0.5 and rows["recall"][3] == 2
    assert rows["recall 40-80"][3] == 2 and rows["recall 20-40"][3] == 0
    assert rows["stored precision"][0] == 1.0
