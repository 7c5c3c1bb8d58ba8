from pathlib import Path

import numpy as np
import pytest
from scripts import module_of

from facecom.inference import search

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    return module_of(ROOT / "benchmarks" / "search.py")


def unit(values):
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_simulated_embeddings_spread_as_those_they_are_made_from(benchmark):
    rng, people = np.random.default_rng(0), np.repeat(np.arange(800), 3)
    scale = np.linspace(0.2, 1, 64)
    centres = rng.normal(size=(800, 64)) * scale + 0.3
    real = unit(centres[people] + 0.5 * rng.normal(size=(2400, 64)) * scale[::-1])
    drawn = np.concatenate(list(benchmark.Spread(real, people).photos(800, 3, 1)))
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(2400), abs=1e-5)
    rows = [list(benchmark.fidelity("x", *pair)) for pair in ((real, people), (drawn, np.tile(np.arange(800), 3)))]
    for one, other in zip(*rows, strict=True):
        for name in ("low", "median", "high"):
            assert other[name] == pytest.approx(one[name], rel=0.06), (one["way"], name)
    again = next(benchmark.Spread(real, people).photos(800, 1, 1))
    np.testing.assert_array_equal(again, drawn[:800])


def test_all_exact_ways_agree_and_recall_counts(benchmark):
    rng = np.random.default_rng(1)
    gallery, probes = unit(rng.normal(size=(500, 16))), unit(rng.normal(size=(9, 16)))
    truth = search.nearest(probes, gallery, benchmark.K)[0]
    np.testing.assert_array_equal(benchmark.by_numpy(probes, gallery, 4), truth)
    assert benchmark.shared(truth.tolist(), truth) == 1
    assert benchmark.shared(np.where(np.arange(5) < 2, truth, -1).tolist(), truth) == pytest.approx(0.4)
