import numpy as np
import pytest

from facecom.inference import search
from facecom.inference.same_photo import least_likeness
from facecom.inference.templates import Templates, distance_matrix, distances, likeness

EAST, NORTH, WEST = [1, 0], [0, 1], [-1, 0]


def templates(faces, photos, told=None, threshold=1.3):
    told = np.ones(len(faces), bool) if told is None else np.array(told)
    return Templates(np.array(faces, np.float32), np.array(photos, np.float32), told, threshold)


def test_known_distances():
    a, b = np.array([EAST] * 3, np.float32), np.array([EAST, NORTH, WEST], np.float32)
    np.testing.assert_allclose(distances(a, b), [0, np.sqrt(2), 2], rtol=1e-6)
    np.testing.assert_allclose(distance_matrix(a, b)[0], [0, np.sqrt(2), 2], rtol=1e-6)


def test_one_photograph_is_at_distance_zero_unless_two_readable_faces_contradict():
    a = templates([EAST] * 4, [EAST] * 4, told=[True, True, False, True])
    b = templates([NORTH, NORTH, NORTH, EAST], [NORTH, EAST, EAST, NORTH])
    # Other photographs; one photograph, readable strangers; one photograph, a face unreadable; equal faces.
    expected = [np.sqrt(2), np.sqrt(2), 0, 0]
    np.testing.assert_allclose(distances(a, b), expected, rtol=1e-6)
    np.testing.assert_allclose(np.diag(distance_matrix(a, b)), expected, rtol=1e-6)
    near = templates([[0.6, 0.8]], [EAST])  # .89 from EAST: nearer than strangers
    assert distances(a[:1], near) == 0 and likeness(a[:1], near) == pytest.approx(2.6)


@pytest.mark.parametrize(("more", "same"), [(0.02, True), (-0.02, False)])
def test_the_stored_likeness_decides(more, same):
    cosine = least_likeness() + more
    a, b = templates([EAST], [EAST]), templates([[0.6, 0.8]], [[cosine, np.sqrt(1 - cosine**2)]])
    assert (distances(a, b)[0] == 0) == same


def test_without_descriptors_on_one_side_faces_alone_count():
    a = templates([EAST], [EAST], told=[False])
    assert distances(a, np.array([NORTH], np.float32)) == pytest.approx(np.sqrt(2))
    assert likeness(a, Templates(a.faces * -1)) == -1


def test_an_answer_needs_a_readable_face_or_one_photograph():
    a = templates([EAST] * 3, [EAST] * 3, told=[True, False, False])
    found = np.array([0.5, 0.5, 0])
    assert a.tell(found).tolist() == [True, False, True]
    assert Templates(a.faces, told=a.told).tell(found).tolist() == [True, False, False]
    assert Templates(a.faces).tell(found).tolist() == [True] * 3


def test_indexing_keeps_everything_together():
    a = templates([EAST, NORTH, WEST], [NORTH, EAST, WEST], told=[True, False, True])
    part = a[[2, 1]]
    assert len(part) == 2 and part.threshold == 1.3
    assert part.faces.tolist() == [WEST, NORTH] and part.photos.tolist() == [WEST, EAST]
    assert part.told.tolist() == [True, False]
    assert a[:, None].faces.shape == (3, 1, 2)
    assert distances(a[:, None], a[None]).shape == (3, 3)


def test_unreadable_photos_are_far_from_everything_and_never_found():
    unknown = [np.nan, np.nan]
    a = templates([EAST, unknown], [EAST, unknown], told=[False, False])
    assert a.readable.tolist() == [True, False]
    assert np.isnan(distances(a[:1], a[1:])).all()
    rows, _ = search.nearest(a[:1], a, 2)
    assert rows.tolist() == [[0]]


def test_the_nearest_is_the_own_photograph_even_where_another_face_is_more_alike():
    gallery = templates([EAST, NORTH, [0.8, 0.6]], [NORTH, EAST, EAST])
    probe = templates([EAST], [EAST], told=[False])
    rows, found = search.nearest(probe, gallery, 3)
    assert rows.tolist() == [[2, 1, 0]]  # two of one photograph, between which the faces decide, then the equal face
    assert (found == 0).all()
