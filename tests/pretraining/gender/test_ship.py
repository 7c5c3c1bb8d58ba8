"""From runs of Task A's train.py to a network to ship."""

import json

import pytest
import torch
from scripts import run

from facecom.errors import FacecomError
from facecom.models import checkpoint
from facecom.models.networks import build_model
from pretraining.gender import ship as ship_gender

torch.set_num_threads(1)


@pytest.fixture
def runs(here, sample_a):
    flags = ["--data_dir", sample_a, "--backbone", "test_convnext", "--init", "none", "--img_size", "32", "--epochs", 1]
    flags += ["--workers", 0, "--align", "fixed"]
    for name in ("one", "two"):
        seed = {"one": 1, "two": 2}[name]
        assert run("A", *flags, "--seed", seed, "--run_dir", name, "--output", f"{name}.pt", script="train") == 0
    return here / "one.pt", here / "two.pt"


def test_the_mean_of_runs_is_calibrated_anew_and_answers_at_one_half(runs, tmp_path):
    output = tmp_path / "shipped" / "gender.pt"
    ship_gender.main(ship_gender.get_args_parser().parse_args([*map(str, runs), "--output", str(output)]))
    shipped = checkpoint.load(output, "gender")
    one, two = (checkpoint.load(path, "gender").model for path in runs)
    name = "backbone.stages.0.blocks.0.conv_dw.weight"
    mean = (one.state_dict()[name] + two.state_dict()[name]) / 2
    torch.testing.assert_close(shipped.model.state_dict()[name], mean, rtol=0, atol=1e-3)
    assert [point["threshold"] for point in shipped.operating_points] == [0.5]
    assert shipped.preprocessing["mirror"] is False
    assert shipped.info["limits"] == ship_gender.face_limit("finder") and shipped.temperature != 1
    told = json.loads(output.with_suffix(".json").read_text())
    assert told["args"]["mean_of_runs"] == 2 and "held_auc" in told["metrics"]
    assert not {"data_dir", "run_dir", "output"} & set(told["args"]) and str(tmp_path) not in json.dumps(told)


def test_networks_that_differ_have_no_mean(runs, tmp_path):
    other = {"backbone": "test_vit", "img_size": 32, "pool": "avg"}
    path = tmp_path / "other.pt"
    preprocessing = checkpoint.load(runs[0]).preprocessing
    model = build_model({"task": "gender", **other})
    checkpoint.save(path, task="gender", model=model, config=other, preprocessing=preprocessing)
    with pytest.raises(FacecomError, match="different networks"):
        ship_gender.mean_of([checkpoint.load(runs[0]), checkpoint.load(path)])
