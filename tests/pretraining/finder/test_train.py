"""The face finder's network, its training, and the shipped one."""

import csv
import hashlib
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.landmarks import by_condition
from facecom.faces.alignment import landmark_errors
from facecom.faces.finder import find
from facecom.models import checkpoint
from facecom.models.networks import LandmarkNet, build_model
from facecom.synthetic import SCENES, draw_person, draw_scene
from pretraining.finder import train as landmarks
from pretraining.photos import Photo, drawn_photos

TINY = {"backbone": "test_byobnet", "channels": 8}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_network_shapes_and_registration():
    model = build_model({"task": "landmarks", **TINY}).eval()
    points, log_error, face = model(torch.rand(2, 3, 112, 112))
    assert points.shape == (2, 5, 2) and log_error.shape == (2, 5) and face.shape == (2,)
    assert points.dtype == log_error.dtype == face.dtype == torch.float32
    assert (points.abs() < 200).all()


def test_soft_argmax_reads_positions_in_pixels():
    """With heatmaps that only look at one cell, the landmark is that cell's centre."""
    model = LandmarkNet(**TINY).eval()
    cell = torch.zeros(1, 8, 16, 16)
    cell[:, :, 4, 10] = 1e4  # cells are 8 px wide, the first one outside the picture
    model.mix = torch.nn.Identity()
    model.mix.forward = lambda _: cell
    torch.nn.init.ones_(model.heatmaps.weight)
    points, _, _ = model(torch.zeros(1, 3, 112, 112))
    torch.testing.assert_close(points, torch.tensor([(10 - 0.5) * 8 - 0.5, (4 - 0.5) * 8 - 0.5]).expand(1, 5, 2))


def test_loss_is_the_laplace_likelihood():
    target = torch.tensor([[[0.0, 0], [10, 0], [5, 5], [2, 9], [8, 9]]])
    found = target + torch.tensor([3.0, 4.0])  # half an eye distance off
    log_error = torch.full((1, 5), math.log(0.25))
    loss, error = landmarks.landmark_loss(found, log_error, target, beta=0)
    assert error.item() == pytest.approx(0.5)
    assert loss.item() == pytest.approx(0.5 / 0.25 + 2 * math.log(0.25))
    halved, _ = landmarks.landmark_loss(found, log_error, target, beta=0.5)
    assert halved.item() == pytest.approx(loss.item() * math.sqrt(0.25))


def test_loss_is_least_where_the_scale_is_half_the_error():
    """r / b + 2 log b has its minimum at b = r / 2."""
    target = torch.tensor([[[0.0, 0], [10, 0], [5, 5], [2, 9], [8, 9]]])
    found = target + torch.tensor([0.0, 2.0])
    scales = [0.05, 0.08, 0.1, 0.12, 0.2]
    losses = [landmarks.landmark_loss(found, torch.full((1, 5), math.log(b)), target, beta=0)[0] for b in scales]
    assert scales[int(torch.stack(losses).argmin())] == 0.1


def test_landmark_errors_are_shares_of_the_eye_distance():
    truth = np.array([[[0, 0], [20, 0], [10, 10], [5, 20], [15, 20]]], float)
    assert landmark_errors(truth + [3, 4], truth) == pytest.approx([0.25])


def test_running_mean_soon_forgets_the_start():
    mean = torch.tensor(100.0)
    update = landmarks.running_mean(0.9)
    for count in range(1, 101):
        mean = update(mean, torch.tensor(1.0), torch.tensor(count))
    assert mean.item() == pytest.approx(1, abs=0.02)
    assert update(torch.tensor(0.0), torch.tensor(1.0), torch.tensor(10**6)).item() == pytest.approx(0.1)


def test_training_learns_and_resumes(tmp_path, monkeypatch):
    people = drawn_photos(24)
    held = [Photo(p.image, p.landmarks, [p.image] * 7) for p in people[:4]]
    monkeypatch.setattr(landmarks, "load_photos", lambda args: ({"heads": people}, [], held))
    flags = ["--data_dir", "x", "--detector_model", "x", "--backbone", "test_byobnet", "--backbone_arguments", "{}"]
    flags += ["--channels", "16", "--epoch_steps", "3", "--batch_size", "8", "--workers", "0", "--no-amp"]
    flags += ["--threads", "1"]

    def run(folder, *more):
        output = ["--run_dir", str(tmp_path / folder), "--output", str(tmp_path / folder / "landmarks.pt")]
        landmarks.main(landmarks.get_args_parser().parse_args([*flags, *output, *more]))
        return checkpoint.load(tmp_path / folder / "landmarks.pt", "landmarks")

    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "last.pt").symlink_to(tmp_path / "elsewhere.pt")  # on another disk
    whole = run("whole", "--epochs", "3")
    assert (tmp_path / "whole" / "last.pt").is_symlink() and (tmp_path / "elsewhere.pt").is_file()
    original = landmarks.train_one_epoch
    calls = []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(landmarks, "train_one_epoch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run("parts", "--epochs", "3")
    monkeypatch.setattr(landmarks, "train_one_epoch", original)
    parts = run("parts", "--epochs", "3", "--resume")
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, msg=name, rtol=0, atol=0)
    assert whole.info["epoch"] == 3 and whole.info["data"] == {"heads": 24, "held": 4}
    first = tmp_path / "whole" / "landmarks.pt"
    further = run("further", "--epochs", "1", "--init", str(first), "--lr", "0")
    for name, value in whole.model.state_dict().items():
        if "running" not in name and "num_batches" not in name:
            torch.testing.assert_close(further.model.state_dict()[name], value, msg=name, rtol=0, atol=1e-6)
    # Resumed where the output has taken the place of the weights it started from.
    run("further", "--epochs", "2", "--init", str(tmp_path / "further" / "landmarks.pt"), "--lr", "0", "--resume")
    told = json.loads((tmp_path / "further" / "landmarks.json").read_text())
    assert told["epoch"] == 2 and told["history"] == "starts from weights of 3 epochs"
    assert landmarks.history_of(tmp_path / "further" / "landmarks.pt").endswith("(starts from weights of 3 epochs)")
    told = json.loads((tmp_path / "whole" / "landmarks.json").read_text())
    assert told["sha256"] == hashlib.sha256((tmp_path / "whole" / "landmarks.pt").read_bytes()).hexdigest()
    assert str(tmp_path) not in json.dumps(told) and told["args"]["lr"] == 2e-3
    with open(tmp_path / "whole" / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1.0", "2.0", "3.0"]
    assert float(rows[-1]["train_error"]) < float(rows[0]["train_error"])


def test_figures_by_condition():
    """40 noisy photos of two people: four failures, one of them among the two of least confidence."""
    table = pd.DataFrame({"identity": ["a", "b"] * 20, "condition": "noisy"})
    errors, confidence = np.full(40, 0.02), np.linspace(0.5, 0.9, 40)
    errors[[0, 10, 20]], errors[30] = 0.5, np.nan  # the last one: no face seen
    rows = {row["metric"]: row for row in by_condition(table, errors + 0.05, errors, confidence, resamples=20, seed=0)}
    assert rows["steady_error"]["value"] == pytest.approx((36 * 0.02 + 3 * 0.5) / 39)
    assert rows["error"]["value"] == pytest.approx(rows["steady_error"]["value"] + 0.05)
    assert rows["failed"]["value"] == rows["steady_failed"]["value"] == pytest.approx(4 / 40)
    assert rows["failed_kept"]["value"] == pytest.approx(3 / 38)
    assert rows["caught"]["value"] == pytest.approx(1 / 4)
    assert rows["seen"]["value"] == pytest.approx(39 / 40)
    assert rows["confidence"]["value"] == pytest.approx(0.7)
    assert rows["failed"]["count"] == 40 and rows["failed"]["low"] <= 0.1 <= rows["failed"]["high"]


@pytest.fixture(scope="module")
def shipped():
    if not (checkpoint.SHIPPED / "landmarks.pt").exists():
        pytest.skip("no finder is shipped yet: pretraining/finder/train.py makes one")
    return checkpoint.load(None, "landmarks")


def test_shipped_finder_is_small(shipped):
    assert shipped.path.stat().st_size < 8e6
    assert shipped.path.with_suffix(".json").exists()


def test_shipped_finder_sees_drawn_people(shipped):
    people = [draw_person(5000 + seed, 1, 224) for seed in range(24)]
    found, confidence = find([image for image, _ in people])
    errors = landmark_errors(found, np.stack([points for _, points in people]))
    assert np.median(errors) < 0.1
    assert np.median(confidence) > 0.5


def test_shipped_finder_is_unsure_without_a_face(shipped):
    scenes = [draw_scene(kind, seed, 224) for kind in SCENES for seed in range(8)]
    _, confidence = find(scenes)
    assert np.median(confidence) < 0.1


def test_shipped_finder_does_not_depend_on_the_batch(shipped):
    photos = [draw_person(6000 + seed, 1, size)[0] for seed, size in enumerate((224, 112, 300))]
    together, sure = find(photos)
    for photo, points, confidence in zip(photos, together, sure, strict=True):
        alone, sure_alone = find([photo])
        np.testing.assert_allclose(alone[0], points, atol=0.05)
        np.testing.assert_allclose(sure_alone[0], confidence, atol=1e-3)
