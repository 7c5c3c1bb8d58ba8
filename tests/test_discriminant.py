"""The axes of the embedding weighted by how far people differ along them."""

import numpy as np
import pytest
import torch

from facecom.models import SiameseNet
from pretraining import discriminant
from pretraining.people import People
from tests.packed import pack


def test_between_people_is_what_their_means_would_vary_by_without_noise():
    rng = np.random.default_rng(0)
    people = rng.standard_normal((4000, 3)) * [3, 1, 0]
    embeddings = np.repeat(people, 2, axis=0) + rng.standard_normal((8000, 3)) * 2
    found = discriminant.between_people(embeddings, np.repeat(np.arange(4000), 2))
    np.testing.assert_allclose(found, np.diag([9, 1, 0]), atol=0.5)


def test_an_axis_counts_by_a_power_of_its_deviation():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    found = discriminant.weighting(turn @ np.diag([16.0, 1.0, 4.0]) @ turn.T, power=0.5)
    np.testing.assert_allclose(turn.T @ found @ turn, np.diag([1, 0.5, 0.5**0.5]), atol=1e-9)
    # Along an axis without people there is only error.
    assert discriminant.weighting(np.diag([1.0, -0.2]), power=1)[1, 1] == pytest.approx(0.01)


def test_the_last_layer_takes_the_map_up():
    model = SiameseNet("test_convnext", pool="map", img_size=64).eval()
    x = torch.randn(4, 3, 64, 64)
    matrix = np.diag(np.linspace(0.5, 1, 128))
    expected = model.embed(x).detach() @ torch.from_numpy(matrix).float()
    discriminant.weigh(model, matrix)
    torch.testing.assert_close(model.embed(x).detach(), torch.nn.functional.normalize(expected), rtol=1e-4, atol=1e-5)


def test_the_sample_is_of_training_people_with_several_photos_clean_and_distorted(tmp_path, monkeypatch):
    people = People(pack(tmp_path))
    views, labels = discriminant.sample(people, 64, "close")
    assert views.shape == (36, 64, 64, 3) and len(labels) == 36
    assert sorted(np.bincount(labels)) == [4] * 9
    monkeypatch.setattr(discriminant, "PHOTOS", 5)
    assert len(discriminant.sample(people, 64, "close")[1]) == 8  # two whole people
    # A person out of whole photos, as FACECOM's are, is left out.
    first = people.table["identity"][people.labels == 0].iloc[0]
    people.table.loc[people.table["identity"] == first, "file"] = "a.jpg"
    monkeypatch.setattr(discriminant, "PHOTOS", 100)
    assert set(discriminant.sample(people, 64, "close")[1]) == set(range(1, 9))
