"""From the teachers' embeddings to the encoder's target."""

import numpy as np
import pytest

from pretraining.targets import projection as module
from pretraining.targets.projection import matching, means_of, principal_directions, unit


def test_means_are_what_a_source_has_in_common(monkeypatch):
    monkeypatch.setattr(module, "LEAST_FOR_MEAN", 2)
    targets = np.array([[0.6, 0.8], [0.6, -0.8], [1, 0], [0, 1]], np.float32)
    sources, counted = np.array(["tight", "tight", "tight", "few"]), np.array([True, True, False, True])
    found = unit(targets - means_of(targets, sources, counted))
    # Those counted have (0.6, 0) in common; the third, held back, loses it too; of one photo there is no mean.
    np.testing.assert_allclose(found, [[0, 1], [0, -1], [1, 0], [0, 1]], atol=1e-6)
    assert targets[0, 0] == pytest.approx(0.6)


def test_a_small_source_stays_as_it_is():
    targets = unit(np.random.default_rng(0).standard_normal((10, 4))).astype(np.float32)
    assert not means_of(targets, np.array(["x"] * 10), np.ones(10, bool)).any()


def test_directions_are_those_of_largest_variance_with_a_sign_of_their_own():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    rows = (rng.standard_normal((4000, 6)) * [5, 4, 3, 0.1, 0.1, 0.1]) @ turn.T + 7
    basis = principal_directions(rows.astype(np.float32), 3)
    np.testing.assert_allclose(np.abs(basis.T @ turn[:, :3]), np.eye(3), atol=0.12)
    assert (basis.max(0) == np.abs(basis).max(0)).all()
    assert principal_directions(rows.astype(np.float32), 9).shape == (6, 6)


def test_one_teacher_says_the_target_of_both():
    rng = np.random.default_rng(0)
    one = unit(rng.standard_normal((500, 8))).astype(np.float32)
    other = unit(one @ rng.standard_normal((8, 4))).astype(np.float32)
    both = np.concatenate([np.sqrt(2 / 3) * one, np.sqrt(1 / 3) * other], 1).astype(np.float32)
    means = np.tile(both[:400].mean(0), (500, 1))
    targets = unit((both - means) @ principal_directions(both[:400] - means[:400], 6))
    found = matching(both, means, targets, np.arange(400), 8)
    assert found.weights.shape == (8, 6) and found.means.shape == (500, 8)
    first, half = np.arange(400, 500), np.full(100, 0.5)
    told = found.target(one[400:], first, first[::-1], half)
    assert (told * targets[400:]).sum(1).mean() > 0.95
    np.testing.assert_allclose(np.linalg.norm(told, axis=1), 1, rtol=1e-5)


def test_of_a_blend_each_source_s_mean_comes_off_with_its_share():
    found = module.Matching(np.eye(2, dtype=np.float32), np.array([[0.2, 0], [0, 0.4]], np.float32))
    told = found.target(np.array([[1.0, 1.0]]), np.array([0]), np.array([1]), np.array([0.25]))
    np.testing.assert_allclose(told, unit(np.array([[0.95, 0.7]])), rtol=1e-6)
