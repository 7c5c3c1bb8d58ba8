"""Comparisons in blocks, and the few of them that decide."""

import numpy as np
import pandas as pd
import pytest

from facecom.evaluation import comparisons, metrics


@pytest.fixture
def table():
    people = [f"P{n // 6}" for n in range(120)]
    conditions = ["clean", "foggy", "sunny"] * 40
    return pd.DataFrame({"identity": people, "photo": [f"{n // 3}" for n in range(120)], "condition": conditions})


@pytest.fixture
def embeddings():
    found = np.random.default_rng(0).normal(size=(120, 8)).astype(np.float32)
    found += np.repeat(np.random.default_rng(1).normal(size=(20, 8)), 6, 0).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize("condition", ["all", "foggy"])
@pytest.mark.parametrize("far", [1e-3, 0.02])
def test_the_highest_impostor_scores_decide_as_all_do(table, embeddings, condition, far, monkeypatch):
    monkeypatch.setattr(comparisons, "BLOCK", 500)  # several blocks
    blocks = list(comparisons.comparisons(table, embeddings, condition))
    genuine = np.concatenate([scores[same & ~own] for _, _, scores, same, own in blocks])
    impostor = np.concatenate([scores[~same] for _, _, scores, same, _ in blocks])
    same, closest, count = comparisons.strictest_scores(table, embeddings, condition, far)
    np.testing.assert_array_equal(genuine, same)
    assert count == len(impostor) and len(closest) == int(far * count) + 2 < count
    np.testing.assert_array_equal(np.sort(closest), np.sort(impostor)[-len(closest) :])
    assert len(blocks) > 1
    assert metrics.tar_at_far(same, closest, far, count) == metrics.tar_at_far(genuine, impostor, far)


def test_without_a_gallery_there_is_nothing_to_compare(table, embeddings):
    probes = table["condition"] != "clean"
    genuine, impostor, count = comparisons.strictest_scores(
        table[probes].reset_index(drop=True), embeddings[probes], "all", 1e-3
    )
    assert len(genuine) == len(impostor) == count == 0
