"""How held-back people judge: thresholds, strangers of the same gender, whole people."""

from types import SimpleNamespace

import numpy as np
import pytest

from pretraining import validation
from pretraining.validation import figures, threshold_at


def test_the_threshold_lets_so_many_impostors_through():
    scores = np.random.default_rng(0).permutation(2000) / 2000
    assert (scores > threshold_at(scores, 1e-2)).sum() == 20
    assert (scores > threshold_at(scores)).sum() == 2


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def people(count, photos, gender_weight, rng):
    """Embeddings in which gender is `gender_weight` times as large as the person."""
    gender = np.repeat(np.where(np.arange(count) % 2, "male", "female"), photos)
    person = np.repeat(rng.standard_normal((count, 16)), photos, axis=0)
    sign = np.where(gender == "male", 1.0, -1.0)[:, None] * gender_weight
    return unit(np.concatenate([person + 0.6 * rng.standard_normal(person.shape), sign], 1)), gender


def test_strangers_of_the_same_gender_are_harder():
    found, gender = people(40, 3, 3.0, np.random.default_rng(0))
    identity = np.repeat(np.arange(40).astype(str), 3)
    told = figures(found, found, identity, gender, found)
    assert told["tar_gender"] < told["tar"]
    assert told["cosine"] == pytest.approx(1, abs=1e-4) and told["rank1"] > 0.5
    gender[:] = ""
    assert np.isnan(figures(found, found, identity, gender, found)["tar_gender"])


def test_a_photo_is_not_its_own_genuine_comparison():
    found = unit(np.eye(4))
    told = figures(found, found, np.array(["a", "a", "b", "b"]), np.array(["male"] * 4), found)
    assert told["tar"] == 0 and told["rank1"] <= 0.5


def test_who_judges_is_whole_people():
    identity = np.array([f"p{n // 3}" for n in range(30)])
    crowd = SimpleNamespace(identity=identity, held_back=np.arange(30))
    chosen = validation.judged(crowd, 12)
    assert len(chosen) == 12 and len(set(identity[chosen])) == 4
    assert (validation.judged(crowd, 12) == chosen).all()


def test_copies_are_seeded_and_clean_ones_are_untouched():
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    chosen = np.array([5, 9])
    assert validation.copies(crops, chosen, "clean") is crops
    once, again = (validation.copies(crops, chosen, "rainy") for _ in range(2))
    np.testing.assert_array_equal(once, again)
    assert once.shape == crops.shape and (once != crops).any()
