"""Faces into people: known groups, whatever their order."""

import numpy as np
import pytest

from facecom.inference.people import grouping


def faces(sizes, spread=0.05, seed=0):
    """Embeddings of people with so many faces each, and whose they are."""
    rng = np.random.default_rng(seed)
    middles = np.linalg.qr(rng.normal(size=(128, len(sizes))))[0].T
    whose = np.repeat(np.arange(len(sizes)), sizes)
    found = middles[whose] + spread * rng.normal(size=(len(whose), 128)) / np.sqrt(128)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32), whose


def test_the_largest_group_is_number_one():
    embeddings, whose = faces([2, 5, 3, 1])
    assert grouping.group(embeddings, 0.9).tolist() == np.array([3, 1, 2, 4])[whose].tolist()


def test_the_order_of_the_faces_does_not_matter():
    embeddings, _ = faces([4, 3, 2])
    order = np.random.default_rng(1).permutation(len(embeddings))
    assert grouping.group(embeddings[order], 0.9).tolist() == grouping.group(embeddings, 0.9)[order].tolist()


def test_what_cannot_be_told_belongs_to_nobody():
    embeddings, _ = faces([2, 2])
    embeddings[1] = np.nan
    assert grouping.group(embeddings, 0.9).tolist()[1] == 0
    assert grouping.group(np.full((3, 128), np.nan, np.float32), 0.9).tolist() == [0, 0, 0]
    assert grouping.group(np.zeros((0, 128), np.float32), 0.9).tolist() == []


def test_one_face_is_one_person():
    assert grouping.group(faces([1])[0], 0.9).tolist() == [1]


@pytest.mark.parametrize("spread", [0.05, 0.6])
def test_many_faces_are_sorted_in_rounds(monkeypatch, spread):
    embeddings, whose = faces([6] * 20, spread, seed=3)
    once = grouping.group(embeddings, 0.9)
    monkeypatch.setattr(grouping, "AT_ONCE", 10)
    assert grouping.group(embeddings, 0.9).tolist() == once.tolist()
    assert len(np.unique(once)) == 20


def test_rounds_are_average_linkage_of_squares(monkeypatch):
    """Against SciPy's, on faces that overlap, in any order."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist

    embeddings, _ = faces([5] * 12, spread=1.6, seed=5)
    tree = linkage(pdist(embeddings.astype(float)) ** 2, "average")
    monkeypatch.setattr(grouping, "AT_ONCE", 1)
    order = np.random.default_rng(2).permutation(len(embeddings))
    for limit in (1.17, 1.22, 1.27):
        truth = fcluster(tree, limit**2, "distance")
        assert 1 < len(np.unique(truth)) < len(embeddings)
        for rows in (np.arange(len(order)), order):
            found = grouping.group(embeddings[rows], limit)
            assert ((found[:, None] == found) == (truth[rows][:, None] == truth[rows])).all()


def test_equal_faces_in_rounds_are_one_person(monkeypatch):
    monkeypatch.setattr(grouping, "AT_ONCE", 2)
    embeddings = np.repeat(faces([1, 1], seed=4)[0], 9, 0)
    assert grouping.group(embeddings, 0.9).tolist() == [1] * 9 + [2] * 9


def test_groups_of_one_name_are_one_person():
    people = np.array([1, 1, 1, 2, 2, 3, 3, 0])
    found, names = grouping.joined(people, [None, "Ann", "Ann"])
    assert found.tolist() == [2, 2, 2, 1, 1, 1, 1, 0] and names == {1: "Ann"}
    found, names = grouping.joined(people, [None, None, None])
    assert found.tolist() == people.tolist() and names == {}


def test_centres_are_means_of_unit_length():
    embeddings, _ = faces([3, 1])
    means = grouping.centres(embeddings, np.array([1, 1, 1, 2]))
    mean = embeddings[:3].mean(0)
    assert means[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert means[1] == pytest.approx(embeddings[3], abs=1e-6)
