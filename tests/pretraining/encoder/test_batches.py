"""How training views are drawn: which distortions, how often."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from facecom.faces.alignment import frame_matrix
from pretraining.encoder import batches
from pretraining.encoder.batches import CHANCES, Augmentation, augment, glared

CROP = np.full((112, 112, 3), 128, np.uint8)


def drawn(monkeypatch, settings: Augmentation, count: int = 2000) -> Counter:
    """How often each condition was asked for in `count` views."""
    asked = Counter()

    def record(crop, name, severity, rng, scale):
        asked[name] += 1
        assert severity in range(1, 6) and not (name == "sunny" and severity > 3)
        return crop

    monkeypatch.setattr(batches, "distort", record)
    rng = np.random.default_rng(0)
    for _ in range(count):
        augment(CROP, 32, settings, rng)
    return asked


def test_glare_has_its_share_and_the_others_keep_theirs_among_themselves(monkeypatch):
    asked = drawn(monkeypatch, Augmentation(distorted=1.0, twice=0.0, glare=0.4))
    assert asked.total() == 2000 and asked["sunny"] == pytest.approx(800, abs=70)
    for name, chance in CHANCES.items():
        expected = 1200 * chance / sum(CHANCES.values())
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


def test_glare_is_where_the_middle_of_a_photo_would_be():
    """FACECOM's faces are below the middle of its photos, an aligned crop's eyes above its own: 62 of 112 px down."""
    rng = np.random.default_rng(0)
    views = np.mean([glared(np.full((112, 112, 3), 20, np.uint8), 3, rng)[..., 0] for _ in range(100)], 0)
    assert views.shape == (112, 112)
    weight = np.maximum(views - views[:, :4].mean(), 0) ** 4
    down, right = np.indices(views.shape)
    assert (weight * down).sum() / weight.sum() == pytest.approx(61, abs=2)
    assert (weight * right).sum() / weight.sum() == pytest.approx(55.5, abs=1)


def test_under_glare_a_face_keeps_its_own_surroundings():
    """Half of what survives glare is hair and outline; another's would be a lie."""
    black, white = np.zeros((112, 112, 3), np.uint8), np.full((112, 112, 3), 255, np.uint8)
    rng = np.random.default_rng(0)
    edges = {}
    for glare in (0.0, 1.0):
        settings = Augmentation(distorted=1.0, twice=0.0, glare=glare, border=0.0, surroundings=1.0, packed=0.0)
        settings = replace(settings, glare_severity=(1.0, 0.0, 0.0, 0.0, 0.0))
        views = [augment(black, 112, settings, rng, white) for _ in range(60)]
        edges[glare] = np.mean([(view[40:72, 8:14] > 150).mean() for view in views])
    assert edges[0.0] > 0.3 and edges[1.0] < 0.02


def test_the_file_comes_before_the_median(monkeypatch):
    order = []
    monkeypatch.setattr(batches, "through_jpeg", lambda crop, quality: order.append("file") or crop)
    monkeypatch.setattr(batches, "without_impulses", lambda crop: order.append("median") or crop)
    monkeypatch.setattr(batches, "distort", lambda crop, *_, **__: order.append("camera") or crop)
    settings = Augmentation(distorted=1.0, twice=0.0, glare=0.0, packed=1.0, without_impulses=1.0)
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
