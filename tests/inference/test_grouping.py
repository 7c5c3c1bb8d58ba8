"""Faces into people: known groups, whatever their order."""

import numpy as np
import pytest

from facecom.inference import grouping


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


def test_many_faces_are_sorted_part_by_part(monkeypatch):
    embeddings, whose = faces([6] * 20, seed=3)
    once = grouping.group(embeddings, 0.9)
    monkeypatch.setattr(grouping, "AT_ONCE", 10)
    assert grouping.group(embeddings, 0.9).tolist() == once.tolist()
    assert len(np.unique(once)) == 20


def test_centres_are_means_of_unit_length():
    embeddings, _ = faces([3, 1])
    means = grouping.centres(embeddings, np.array([1, 1, 1, 2]))
    mean = embeddings[:3].mean(0)
    assert means[0] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert means[1] == pytest.approx(embeddings[3], abs=1e-6)
