"""Which embeddings can be trusted: by a head, and by their distance from nobody's."""

import csv

import numpy as np
import torch

from facecom.models.networks import build_model
from pretraining.choosing import recognisability
from pretraining.choosing.recognisability import centre_of, succeeded, unrecognisable
from pretraining.targets.people import People
from tests.packed import pack

CONFIG = {"task": "siamese", "backbone": "test_convnext", "pool": "map", "img_size": 64, "quality": True}


def test_a_probe_succeeds_with_the_share_of_its_genuine_comparisons():
    gallery = np.eye(4, dtype=np.float32)[[0, 0, 1, 2]]
    identity = np.array(["a", "a", "a", "b"])
    share = succeeded(gallery, gallery, identity, 0.5)
    np.testing.assert_allclose(share, [0.5, 0.5, 0, np.nan])


def test_the_centre_is_of_unit_length():
    found = centre_of(np.array([[1, 0], [0, 1]], np.float32))
    np.testing.assert_allclose(found, [0.5**0.5] * 2, rtol=1e-6)


def test_ways_are_measured_side_by_side(tmp_path, monkeypatch):
    monkeypatch.setattr(recognisability, "CROPS", 6)
    torch.manual_seed(0)
    content = {"model": build_model(CONFIG).state_dict(), "config": CONFIG, "photos": 7, "args": {"frame": "close"}}
    torch.save(content, tmp_path / "ema.pt")
    (tmp_path / "crops").mkdir()
    pack(tmp_path / "crops")
    assert unrecognisable(People(tmp_path / "crops")).shape == (12, 112, 112, 3)
    words = f"{tmp_path / 'ema.pt'} --crops {tmp_path / 'crops'} --output {tmp_path / 'out.csv'} --threads 1 --no-amp"
    recognisability.main(recognisability.get_args_parser().parse_args(words.split()))
    rows = list(csv.DictReader(open(tmp_path / "out.csv")))
    assert [row["way"] for row in rows] == ["trained head"] * 9 + ["distance from nobody"] * 9
    assert rows[8]["condition"] == "all" and rows[8]["photos"] == "48"
