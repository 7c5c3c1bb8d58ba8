"""How training views are drawn: which distortions, how often."""

from collections import Counter

import numpy as np
import pytest

from facecom.faces.alignment import frame_matrix
from pretraining.encoder import batches
from pretraining.encoder.batches import CHANCES, Augmentation, Matched, augment
from pretraining.targets.people import People
from tests.packed import pack

CROP = np.full((112, 112, 3), 128, np.uint8)


def drawn(monkeypatch, settings: Augmentation, count: int = 2000) -> Counter:
    """How often each condition was asked for in `count` views."""
    asked = Counter()

    def record(crop, name, severity, rng, scale):
        asked[name] += 1
        assert severity in range(1, 6) and not (name == "sunny" and severity > 2)
        return crop

    monkeypatch.setattr(batches, "distort", record)
    rng = np.random.default_rng(0)
    for _ in range(count):
        augment(CROP, 32, settings, rng)
    return asked


def test_conditions_come_as_often_as_they_should(monkeypatch):
    asked = drawn(monkeypatch, Augmentation(distorted=1.0, twice=0.0))
    assert asked.total() == 2000
    for name, chance in CHANCES.items():
        expected = 2000 * chance / sum(CHANCES.values())
        assert asked[name] == pytest.approx(expected, abs=4.5 * np.sqrt(expected))


@pytest.mark.parametrize(("settings", "expected"), [((0.0, 0.5), 0), ((0.5, 0.0), 1000), ((1.0, 0.5), 3000)])
def test_shares_of_distorted_and_twice_distorted_views(monkeypatch, settings, expected):
    distorted, twice = settings
    asked = drawn(monkeypatch, Augmentation(distorted=distorted, twice=twice))
    assert asked.total() == pytest.approx(expected, abs=100)


def test_salt_and_pepper_come_off_as_before_recognition():
    rng = np.random.default_rng(1)
    noisy = CROP.copy()
    noisy[rng.random((112, 112)) < 0.08] = 255
    spread = {}
    for share in (0.0, 1.0):
        settings = Augmentation(distorted=0.0, border=0.0, surroundings=0.0, without_impulses=share)
        views = [augment(noisy, 112, settings, rng) for _ in range(8)]
        spread[share] = np.mean([view[30:80, 30:80].std() for view in views])
    assert spread[1.0] < spread[0.0] / 3


def test_the_file_comes_before_the_median(monkeypatch):
    order = []
    monkeypatch.setattr(batches, "through_jpeg", lambda crop, quality: order.append("file") or crop)
    monkeypatch.setattr(batches, "without_impulses", lambda crop: order.append("median") or crop)
    monkeypatch.setattr(batches, "distort", lambda crop, *_, **__: order.append("camera") or crop)
    settings = Augmentation(distorted=1.0, twice=0.0, packed=1.0, without_impulses=1.0)
    augment(CROP, 32, settings, np.random.default_rng(0))
    assert order == ["camera", "file", "median"]


class Still:
    """A generator of nothing: no jitter, no mirror image."""

    def normal(self, mean, spread, size=None):
        return mean if size is None else np.full(size, mean)

    def random(self):
        return 0.9


@pytest.mark.parametrize(("frame", "size"), [("face", 96), ("close", 96), ("close", 128)])
def test_without_jitter_a_view_shows_its_frame(frame, size):
    np.testing.assert_allclose(batches.jitter_matrix(size, frame, Still()), frame_matrix(frame, size), atol=1e-9)


class Drawn:
    """Four grey crops, the last held back."""

    crops = np.stack([np.full((112, 112, 3), level, np.uint8) for level in (0, 80, 160, 240)])
    training = np.arange(3)

    def matching(self, size):
        return self

    def target(self, found, first, second, share):
        self.asked = found, first, second, share
        return np.tile(np.float32([1, 0]), (len(found), 1))


def test_blends_are_of_training_faces_and_the_teacher_sees_them(monkeypatch):
    opened = []

    def open_teacher(path, amp):
        opened.append(path)
        return lambda crops: crops[:, 50:51, 50, 0] / np.float32(255)

    monkeypatch.setattr(batches, "open_teacher", open_teacher)
    people = Drawn()
    matched = Matched(people, ["a.pt"], None, 0.5, False)
    for seed in range(2):
        pictures, targets = matched(np.array([1, 2, 0, 1]), np.random.default_rng(seed))
    found, first, second, share = people.asked
    assert opened == ["a.pt"] and targets.shape == (4, 2) and first.tolist() == [1, 2, 0, 1] and second.max() < 3
    expected = share * people.crops[first, 0, 0, 0] + (1 - share) * people.crops[second, 0, 0, 0]
    np.testing.assert_allclose(found[:, 0] * 255, expected, atol=1)
    assert [picture.shape for picture in pictures] == [(112, 112, 3)] * 4


def test_partners_are_other_photos_of_the_same_person():
    labels = np.array([1, -1, 0, 1, 2, 1, -1, 0])
    partners, rng = batches.Partners(labels), np.random.default_rng(0)
    photos = np.arange(8).repeat(400)
    drawn = partners(photos, rng).reshape(8, 400)
    assert [set(row) for row in drawn.tolist()] == [{3, 5}, {1}, {7}, {0, 5}, {4}, {0, 3}, {6}, {2}]
    assert 150 < (drawn[0] == 3).sum() < 250, "the others equally often"


def test_pairs_are_of_the_same_people(tmp_path):
    people = People(pack(tmp_path))
    pairs = batches.Batches(people, 8, 4, 32, Augmentation(), seed=0, pairs=True)
    labels = np.stack([pairs[step][2].numpy() for step in range(2)])
    assert labels.shape == (2, 16)
    assert (labels[:, :8] == labels[:, 8:]).all() and (labels >= 0).all()
    alone = batches.Batches(people, 8, 4, 32, Augmentation(), seed=0)
    assert (alone[0][2].numpy() == labels[0, :8]).all(), "every photo once before any comes again, as without pairs"
    parts = [batches.Batches(people, 8, 4, 32, Augmentation(), 0, part=(rank, 2), pairs=True) for rank in range(2)]
    assert sorted(np.concatenate([part[0][2][:4] for part in parts])) == sorted(labels[0, :8])
