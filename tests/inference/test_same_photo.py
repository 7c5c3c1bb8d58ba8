from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from heads import drawn_heads, write_heads
from scripts import module_of

from facecom.conditions import DISTORTIONS, distort
from facecom.data.folders import task_b_table
from facecom.data.images import read_photo
from facecom.errors import FacecomError
from facecom.inference import same_photo
from facecom.models import checkpoint
from facecom.synthetic import draw_person
from pretraining import same_photo as training
from pretraining.same_photo import FAR, discriminant, disturb, fix_threshold

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def people():
    """Twelve drawn people, RGB uint8 [224, 224, 3]."""
    return [draw_person(seed, 0, 224)[0] for seed in range(12)]


def test_gradients_are_of_unit_length_whatever_the_size(people):
    large = cv2.resize(people[0], (640, 500))
    found = [same_photo.gradients(photo) for photo in (people[0], large)]
    assert found[0].shape == (2048,) and found[0].dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert found[0] @ found[1] > 0.9


@pytest.mark.parametrize("condition", DISTORTIONS)
def test_a_copy_is_most_like_its_own_photograph(people, condition):
    copies = [distort(photo, condition, 3, seed) for seed, photo in enumerate(people)]
    likeness = same_photo.describe(copies) @ same_photo.describe(people).T
    assert likeness.argmax(1).tolist() == list(range(len(people)))


def test_empty_pictures_are_no_photograph():
    rng = np.random.default_rng(0)
    empty = [np.full((224, 224, 3), value, np.uint8) for value in (0, 128, 255)]
    empty += [rng.normal(128, 4, (300, 300, 3)).clip(0, 255).astype(np.uint8) for _ in range(2)]
    assert not same_photo.describe(empty).any()


def test_a_place_with_a_small_head_is_no_photograph(people):
    head = np.array([[90, 100], [127, 100], [108, 120], [95, 140], [122, 140]], np.float32)
    landmarks = np.stack([head, head * 0.4, np.full((5, 2), np.nan)])
    found = same_photo.describe(people[:3], landmarks)
    assert found.any(1).tolist() == [True, False, True]
    np.testing.assert_allclose(found[0], same_photo.describe(people[:3])[0], atol=1e-5)


def test_on_facecom_copies_and_other_photos_do_not_mix(facecom_val):
    table = task_b_table(facecom_val)
    photos = table.groupby(["identity", "photo"], sort=True).ngroup().to_numpy()
    few = photos % 3 == 0
    found = same_photo.describe([read_photo(path) for path in table["path"][few]])
    likeness = found @ found.T
    own = photos[few][:, None] == photos[few]
    assert (likeness[own] >= same_photo.least_likeness()).mean() > 0.999
    assert (likeness[~own] >= same_photo.least_likeness()).mean() < 1e-5


def test_discriminant_keeps_what_differs_between_photos_not_within_them():
    rng = np.random.default_rng(0)
    photo = np.repeat(np.arange(200), 5)
    between = rng.normal(size=(200, 2))[photo] + rng.normal(size=(1000, 2)) * 0.05
    within = rng.normal(size=(1000, 4)) * 5
    x = np.hstack([within, between]) @ np.linalg.qr(rng.normal(size=(6, 6)))[0] + 3
    matrix, offset = discriminant(x, photo, components=6, size=2, shrinkage=0.0)
    found = x @ matrix + offset
    assert matrix.shape == (6, 2)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    means = found.reshape(200, 5, 2).mean(1)
    assert (found - means[photo]).std() < 0.1 * means.std()  # within is what the space hides, though 5 times as large
    np.testing.assert_allclose(np.cov(means.T), np.eye(2), atol=0.05)


def test_threshold_lets_the_stated_share_of_other_peoples_photos_pass():
    angles = np.radians([0, 10, 90, 100, 60])  # two photos of one file pair each, and a third person's
    descriptors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    point = fix_threshold(descriptors, np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 2]))
    # The closest two of different people are 30 degrees apart: nothing as far may pass, 10 degrees may.
    assert point["threshold"] == pytest.approx(2 * np.sin(np.radians(15)), abs=1e-3)
    assert (point["far"], point["tar"], point["genuine"], point["impostor"]) == (FAR, 1.0, 2, 8)


def test_disturbed_photos_differ_little(people):
    rng = np.random.default_rng(1)
    for photo in people:
        other = disturb(photo, rng)
        assert other.shape == photo.shape and other.dtype == np.uint8
        assert same_photo.gradients(photo) @ same_photo.gradients(other) > 0.7


def test_training_writes_a_descriptor_that_tells_photographs_apart(sample_b, people, tmp_path):
    output = tmp_path / "same_photo.pt"
    heads = write_heads(tmp_path / "heads.parquet", drawn_heads(150, size=64, seed=100))
    words = f"--data_dir {sample_b}/train --heads {heads} --output {output} --components 160 --threads 1"
    training.main(training.get_args_parser().parse_args(words.split()))
    loaded = checkpoint.load(output, "same_photo")
    assert loaded.info["data"]["heads"] == 140 and loaded.info["data"]["held_heads"] == 10
    assert loaded.operating_points[0]["far"] == FAR
    assert (tmp_path / "same_photo.json").exists()
    copies = [distort(photo, "foggy", 2, seed) for seed, photo in enumerate(people)]
    described, own = (
        loaded.model(torch.from_numpy(np.stack([same_photo.gradients(photo) for photo in photos])))
        for photos in (copies, people)
    )
    assert (described @ own.T).argmax(1).tolist() == list(range(len(people)))


def test_as_many_directions_as_photos_cannot_be_fitted():
    x = np.random.default_rng(0).normal(size=(40, 30))
    with pytest.raises(FacecomError, match="20 photos are too few: a descriptor of 20 numbers needs more"):
        discriminant(x, np.repeat(np.arange(20), 2), components=10, size=20, shrinkage=0.1)


@pytest.fixture(scope="module")
def benchmark():
    return module_of(ROOT / "benchmarks" / "same_photo.py")


def test_another_face_is_put_where_the_face_was(benchmark):
    photo, other = np.full((200, 200, 3), 50, np.uint8), np.full((100, 100, 3), 200, np.uint8)
    landmarks = np.array([[80, 80], [120, 80], [100, 100], [85, 120], [115, 120]], np.float32)
    changed = benchmark.put_in(photo, landmarks, other, landmarks / 2, benchmark.FACE)
    assert (changed[100, 100] == 200).all() and (changed[:20] == 50).all() and (changed[:, :40] == 50).all()


def test_the_benchmark_tells_copies_from_other_photos(benchmark, sample_b, tmp_path):
    arguments = ["--data_dir", str(sample_b), "--output", str(tmp_path / "same.csv"), "--device", "cpu", "--quiet"]
    benchmark.main(benchmark.get_args_parser().parse_args(arguments))
    found = pd.read_csv(tmp_path / "same.csv").set_index("files")
    assert (found.one_photograph <= found.alike).all()
    assert found.loc["a photo and its resized copy", "alike"] == 1
    assert found.loc["photos of two people, any conditions", "alike"] < 0.05
    files = 4 * 3 * 8
    pairs_of_one_person = 4 * (24 * 23 // 2)
    assert found.loc["photos of two people, any conditions", "count"] == files * (files - 1) // 2 - pairs_of_one_person
    assert found.loc["a sunny copy and the photo with another head", "count"] == 12
