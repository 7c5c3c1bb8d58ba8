"""From trained weights to a checkpoint with thresholds: on drawn people."""

import csv
import json

import numpy as np
import pytest
import torch

pytest.importorskip("pytorch_metric_learning", reason='needs pip install -e ".[pretraining]"')

from facecom.data.images import read_photo  # noqa: E402
from facecom.faces.aligner import Aligner  # noqa: E402
from facecom.models import checkpoint  # noqa: E402
from facecom.models.networks import build_model  # noqa: E402
from facecom.synthetic import write_sample  # noqa: E402
from pretraining.choosing import (
    candidates,  # noqa: E402
    compare,  # noqa: E402
    ship,  # noqa: E402
)
from pretraining.choosing.cameras import CAMERAS  # noqa: E402
from pretraining.targets.people import People  # noqa: E402
from pretraining.validation import CONDITIONS  # noqa: E402
from tests.packed import pack  # noqa: E402

CONFIG = {"task": "siamese", "backbone": "test_convnext", "pool": "map", "img_size": 64, "quality": True}


def test_candidates_are_judged_at_every_stored_rate_and_elsewhere_too():
    even, lopsided = ([{"far": 1e-3, "tar": a}, {"far": 1e-4, "tar": b}] for a, b in ((0.72, 0.58), (0.73, 0.54)))
    assert ship.worth_of(even, [0.7, 0.6]) == pytest.approx(0.65)
    assert ship.worth_of(even, [0.7, 0.6]) > ship.worth_of(lopsided, [0.7, 0.6]) > ship.worth_of(even, [0.6, 0.6])


def test_the_rate_elsewhere_is_that_of_all_pairs():
    """Two people of two photos: cosines .8 and .8 of the same, .96, .6, .6 and 0 of others."""
    embeddings = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], np.float32)
    who = np.array(["a", "a", "b", "b"])
    assert ship.tar_among(embeddings, who, [0.0, 0.25]) == [0, 1]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """(checkpoint, its JSON, the folder) of an untrained network, shipped: `ema.pt`, `crops`, `data`, `out.pt`."""
    folder = tmp_path_factory.mktemp("ship")
    write_sample(folder / "data", people=8, photos=2)
    (folder / "crops").mkdir()
    pack(folder / "crops")
    torch.manual_seed(0)
    args = {"frame": "close"}
    content = {"model": build_model(CONFIG).state_dict(), "config": CONFIG, "photos": 7, "minutes": 1.0, "args": args}
    torch.save(content, folder / "ema.pt")
    words = f"--data_dir {folder / 'data'} --crops {folder / 'crops'} --output {folder / 'out.pt'} --threads 1"
    with pytest.MonkeyPatch.context() as patch:
        # What an untrained quality head says may be worth nothing, which is an error of its own.
        patch.setattr(ship, "bring_to_scale", lambda model, crops, targets, embed: embed(crops[:2]))
        ship.main(ship.get_args_parser().parse_args([*words.split(), str(folder / "ema.pt")]))
    return checkpoint.load(folder / "out.pt", "siamese"), json.loads((folder / "out.json").read_text()), folder


def test_the_shipped_network_keeps_its_frame_and_has_thresholds_and_limits(shipped):
    loaded, about, _ = shipped
    assert loaded.preprocessing["frame"] == "close" and loaded.preprocessing["size"] == 64
    assert [point["far"] for point in loaded.operating_points] == [1e-3, 1e-4]
    assert set(loaded.info["limits"]) == {"face_confidence", "quality"}
    assert about["data"]["photos_seen"] == 7


def test_a_file_is_tried_in_its_own_frame_or_in_those_asked_for(shipped):
    source = shipped[2] / "ema.pt"
    assert [c.frame for c in candidates.variants(source, None)] == ["close"]
    assert [c.name for c in candidates.variants(source, ["face", "close"])] == [
        f"{source.parent.name}/ema.pt, {frame}" for frame in ("face", "close")
    ]


def test_held_back_photos_are_cut_as_the_finder_saw_them(shipped):
    _, _, folder = shipped
    held = ship.HeldBack(folder / "data", People(folder / "crops"))
    own, strangers = held.crops(64, "close")
    assert own.shape == (len(held.table), 64, 64, 3) and strangers.shape == (len(held.outsiders), 64, 64, 3)
    expected = Aligner("finder", 64, frame="close")([read_photo(held.table["path"][3])]).crops[0]
    assert np.abs(own[3].astype(int) - expected).mean() < 1  # the batch is another, and so the last digit of landmarks


def test_encoders_are_compared_with_one_look_and_two(shipped, tmp_path):
    _, _, folder = shipped
    words = f"--crops {folder / 'crops'} --output {tmp_path / 'out.csv'} --threads 1 --no-amp"
    for names in ("a b", "b"):
        paths = [str(folder / "ema.pt")] * len(names.split())
        compare.main(compare.get_args_parser().parse_args([*words.split(), *paths, "--names", *names.split()]))
    rows = list(csv.DictReader(open(tmp_path / "out.csv")))
    assert [row["weights"] for row in rows] == ["a"] * 22 + ["b"] * 22  # b's are written anew
    assert {row["looks"] for row in rows} == {"1", "2"} and rows[0]["condition"] == "clean"
    assert {row["condition"] for row in rows} == {*CONDITIONS, *CAMERAS, "mean"}
    own = [float(row["tar"]) for row in rows[:11] if row["condition"] in CONDITIONS and row["condition"] != "sunny"]
    assert float(rows[10]["tar"]) == pytest.approx(np.mean(own), abs=1e-4)


def test_the_second_look_is_kept_with_the_weights(shipped):
    loaded, _, folder = shipped
    assert loaded.preprocessing["mirror"] is False
    held = ship.HeldBack(folder / "data", People(folder / "crops"), mirror=True)
    assert held.mirror
