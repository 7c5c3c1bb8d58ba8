"""The face finder's network, its training, and the shipped one."""

import csv
import hashlib
import json
import math

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from benchmarks.landmarks import by_condition
from facecom import checkpoint
from facecom.faces import find, landmark_errors, similarity
from facecom.looks import letterbox
from facecom.models import LandmarkNet, build_model
from facecom.synthetic import SCENES, draw_person, draw_scene
from pretraining import framings, landmarks
from pretraining.framings import Looks, Photo, drawn_photos, frame, two_looks

TINY = {"backbone": "test_byobnet", "channels": 8}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def dots_are_there(picture, points, colour=(255, 0, 0), reach=3):
    """Whether a strongly red spot lies at each of the points that are inside the picture."""
    for x, y in np.round(points).astype(int):
        if reach <= min(x, y) and max(x, y) < len(picture) - reach:
            spot = picture[y - 2 : y + 3, x - 2 : x + 3].astype(int)
            if (spot[..., 0] - spot[..., 1]).max() < 60:
                return False
    return True


def marked(image, points):
    image = np.repeat(image.mean(2, keepdims=True).astype(np.uint8), 3, 2)
    for x, y in np.round(points).astype(int).tolist():
        cv2.circle(image, (x, y), 2, (255, 0, 0), -1)
    return image


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


@pytest.mark.parametrize("gentle", [True, False])
def test_framing_moves_landmarks_with_the_picture(gentle):
    image, points = draw_person(3, 1, 224)
    image = marked(image, points)
    for seed in range(6):
        framed, moved = frame(np.random.default_rng(seed), image, points, gentle)
        assert framed.shape == (224, 224, 3)
        assert moved[0, 0] < moved[1, 0]  # a mirrored face has its eyes swapped
        assert dots_are_there(framed, moved)
        eyes = np.linalg.norm(moved[1] - moved[0])
        assert 0.25 * 224 < eyes * framings.FACE_WIDTH < 0.95 * 224


def test_gentle_framing_is_that_of_facecom():
    """FACECOM's clean training photos: eyes 38.5 px apart, landmarks' mean at (112, 121.5), give or take 3 and 2 px."""
    image, points = draw_person(3, 1, 224)
    moved = np.stack([frame(np.random.default_rng(seed), image, points, True)[1] for seed in range(300)])
    eyes, place = np.linalg.norm(moved[:, 1] - moved[:, 0], axis=1), moved.mean(1)
    assert np.median(eyes) == pytest.approx(38.5, rel=0.05)
    np.testing.assert_allclose(np.median(place, 0), [112.4, 121.5], atol=1)
    near, far = np.quantile(abs(place[:, 0] - 112.4), [0.4, 0.95])
    assert near < 3.1 and far > 10  # half as FACECOM, half with thrice its variety


def test_half_of_the_copies_keep_facecom_s_own_frame():
    image, points = draw_person(5, 1, 224)
    copy = np.random.default_rng(0).integers(0, 80, image.shape, dtype=np.uint8)
    looks = Looks({"facecom": [Photo(image, points, [copy])]}, [], 60, seed=0)
    looks.names, looks.shares = ["copies"], [1.0]
    whole = letterbox(copy, 112)[0]
    own = [
        any(np.array_equal(looks[number][0][0], view) for view in (whole, letterbox(copy[:, ::-1], 112)[0]))
        for number in range(60)
    ]
    assert 0.3 < np.mean(own) < 0.6  # one in ten of them is narrow or flat


def test_both_looks_show_the_landmarks():
    image, points = draw_person(4, 1, 224)
    pictures, moved = two_looks(marked(image, points), points, points + [6, -4])
    assert pictures.shape == (2, 112, 112, 3) and pictures.dtype == np.uint8
    assert dots_are_there(pictures[0], moved[0], reach=2) and dots_are_there(pictures[1], moved[1])
    np.testing.assert_allclose(moved[0], (points + 0.5) / 2 - 0.5, atol=1e-4)


def test_examples_depend_on_seed_and_number_only():
    sources = {"drawn": drawn_photos(3), "heads": [], "facecom": []}
    scenes = [draw_scene("wall", 0, 224)]
    first, again = (Looks(sources, scenes, 40, seed=5) for _ in range(2))
    faces = []
    for number in range(40):
        a, b = first[number], again[number]
        np.testing.assert_array_equal(a[0], b[0])
        np.testing.assert_array_equal(a[1], b[1])
        assert np.isfinite(a[1]).all() == a[2] == b[2]
        faces.append(a[2])
    assert 0 < sum(faces) < 40
    assert not np.array_equal(first[0][0], Looks(sources, scenes, 40, seed=6)[0][0])


def test_copies_are_used_as_they_are():
    image, points = draw_person(5, 1, 224)
    copy = np.full_like(image, 99)
    looks = Looks({"facecom": [Photo(image, points, [copy])]}, [], 10, seed=0)
    looks.names, looks.shares = ["copies"], [1.0]
    middle = np.stack([looks[number][0][1][40:80, 40:80] for number in range(10)])
    assert (middle == 99).all()


def test_other_heads_get_facecom_s_glare():
    image, points = draw_person(5, 1, 224)
    looks = Looks({"heads": [Photo(image // 2, points, [])]}, [], 10, seed=0)
    assert looks.shares[looks.names.index("glare")] > 0.1  # heads are enough for it, copies are not needed
    looks.names, looks.shares = ["glare"], [1.0]
    whole = np.stack([looks[number][0][0] for number in range(10)])
    assert whole[:, 51:61, 51:61].mean() > 240  # the middle of the photo is blown out, its edge is not
    assert whole[:, :4].mean() < 200


def test_glare_is_put_on_two_people_in_one():
    """The mate that fits best, moved onto the photo's landmarks; the landmarks are the mean of both."""
    image, points = draw_person(5, 1, 224)
    other, theirs = draw_person(6, 1, 224)
    squeezed = Photo(np.zeros_like(other), theirs * np.float32([0.5, 1]), [])  # fits worst, and would be black
    person, mate = Photo(image // 4, points, []), Photo(np.full_like(other, 200), theirs, [])
    best = min(
        np.abs(cv2.transform(q[None].astype(float), similarity(q, points))[0] - points).mean()
        for q in (theirs, framings.mirror(theirs, 224))
    )
    for seed in range(5):
        found = framings.collage(np.random.default_rng(seed), person, [squeezed, mate])
        taken = (found.image == 200).all(2)
        left = (found.image == person.image).all(2)
        assert 0.1 < taken.mean() < 0.9 and 0.05 < left.mean() < 0.9 and not found.image[left & taken].any()
        assert np.abs(found.landmarks - points).mean() < best  # half the way, whichever way round the mate is
    looks = Looks({"heads": [person], "facecom": [mate]}, [], 40, seed=0)
    looks.names, looks.shares = ["glare"], [1.0]
    assert all(np.isfinite(looks[number][1]).all() for number in range(10))


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

    whole = run("whole", "--epochs", "3")
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
        pytest.skip("no finder is shipped yet: pretraining/landmarks.py makes one")
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
