"""Links of faces by hand: embeddings are directions that are named, boxes lie where they are put."""

import numpy as np
import pytest

from facecom.inference.people.tracks import Seen, Tracker

THRESHOLD = 1.1
ANN, BEN, CAT = np.eye(8, dtype=np.float32)[:3]


def seen(*faces, told=True):
    """faces: (x, embedding) of boxes of 100 px."""
    boxes = np.float32([[x, 0, 100, 100] for x, _ in faces]).reshape(-1, 4)
    embeddings = np.array([embedding for _, embedding in faces], np.float32).reshape(-1, 8)
    said = np.full(len(faces), told), np.full(len(faces), 0.9, np.float32), np.full(len(faces), 0.7, np.float32)
    return Seen(boxes, embeddings, *said)


def followed(*pictures, gone=3.0):
    tracker = Tracker(THRESHOLD, gone)
    for time, faces in pictures:
        tracker.see(time, faces)
    return [(track.first, track.last, track.faces) for track in tracker.tracks()]


def test_two_people_who_walk_past_each_other_stay_two():
    assert followed((0, seen((0, ANN), (200, BEN))), (1, seen((200, ANN), (0, BEN)))) == [(0, 1, 2), (0, 1, 2)]


def test_another_person_in_the_same_place_is_another_track():
    assert followed((0, seen((0, ANN))), (1, seen((0, BEN)))) == [(0, 0, 1), (1, 1, 1)]


def test_a_face_that_moves_on_in_small_steps_is_followed_though_nobody_can_read_it():
    steps = [(step, seen((40 * step, (ANN, BEN, CAT)[step % 3]), told=False)) for step in range(6)]
    assert followed(*steps) == [(0, 5, 6)]


def test_somebody_who_comes_back_is_known_only_while_the_track_is_open():
    assert followed((0, seen((0, ANN))), (1, seen()), (2, seen((500, ANN)))) == [(0, 2, 2)]
    assert followed((0, seen((0, ANN))), (4, seen((0, ANN)))) == [(0, 0, 1), (4, 4, 1)]


def test_faces_are_shared_out_so_that_the_sum_of_distances_is_smallest():
    """One after the other, the first face would take the track that the second needs."""
    between = (ANN + BEN) / np.sqrt(2)  # as near to Ben as to Ann
    assert followed((0, seen((0, ANN), (300, BEN))), (1, seen((600, between), (900, ANN)))) == [(0, 1, 2), (0, 1, 2)]


def test_the_template_is_the_mean_of_the_faces_that_can_be_told():
    tracker = Tracker(THRESHOLD)
    tracker.see(0, seen((0, CAT), told=False))
    tracker.see(1, seen((0, ANN)))
    tracker.see(2, seen((0, (ANN + BEN) / np.sqrt(2))))
    tracker.see(3, seen((0, CAT), told=False))
    (track,) = tracker.tracks()
    mean = ANN + (ANN + BEN) / np.sqrt(2)
    assert track.template == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert (track.faces, track.told) == (4, 2)
    assert track.best[1] in (1, 2)
