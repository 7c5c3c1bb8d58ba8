"""People who do not exist: what they are made of."""

import numpy as np
import pytest

from pretraining.encoder import morphs
from pretraining.encoder.people import People


def test_a_morph_is_the_mean_of_two_faces():
    first, second = np.full((112, 112, 3), 40, np.uint8), np.full((112, 112, 3), 200, np.uint8)
    found = morphs.morph(first, second, 0.25, np.random.default_rng(0))
    assert found.shape == (112, 112, 3) and found.dtype == np.uint8
    assert np.all(found == 160)


def test_half_of_the_second_faces_are_mirrored_and_the_middle_stays():
    first, second = np.zeros((112, 112, 3), np.uint8), np.zeros((112, 112, 3), np.uint8)
    second[:, :40] = 200
    found = [morphs.morph(first, second, 0.5, np.random.default_rng(seed)) for seed in range(40)]
    left = sum(picture[56, 20, 0] > 50 for picture in found)
    assert 10 < left < 30 and all((p[56, 20, 0] > 50) != (p[56, 91, 0] > 50) for p in found)


def test_the_first_is_always_of_the_first_source():
    rows = [np.array([0, 1, 2]), np.array([10, 11])]
    found = morphs.pairs(rows, 400, np.random.default_rng(0))
    assert set(found[:, 0]) == {0, 1, 2} and set(found[:, 1]) == {0, 1, 2, 10, 11}
    assert 140 < (found[:, 1] >= 10).sum() < 260


@pytest.fixture
def folder(tmp_path):
    rows = ["identity,group,gender,source,file", *(f"p{n},p{n},,mine,p{n}/1.jpg" for n in range(30))]
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    np.save(tmp_path / "crops.npy", np.random.default_rng(0).integers(0, 255, (30, 112, 112, 3), dtype=np.uint8))
    teacher = np.random.default_rng(1).standard_normal((30, 2, 16)).astype(np.float32)
    np.save(tmp_path / "teacher.npy", teacher / np.linalg.norm(teacher, axis=2, keepdims=True))
    return tmp_path


def test_morphs_are_made_of_training_people_and_go_beside_the_crops(folder, monkeypatch):
    asked = []

    def teacher(crops, path):
        asked.append((len(crops), path))
        return np.ones((len(crops), 2, 16), np.float32) / 4

    monkeypatch.setattr(morphs, "teacher_embeddings", teacher)
    words = f"--crops {folder} --sources mine --teacher t.onnx --count 12"
    before = People(folder)
    morphs.main(morphs.get_args_parser().parse_args(words.split()))
    after = People(folder)
    assert asked == [(12, "t.onnx")] and len(after.crops) == 42
    assert after.training.tolist() == before.training.tolist() + list(range(30, 42))
    # Once more, from the photos alone.
    morphs.main(morphs.get_args_parser().parse_args(words.split()))
    assert len(People(folder).crops) == 42


def test_an_unknown_source_is_an_error(folder):
    words = f"--crops {folder} --sources elsewhere --teacher t.onnx"
    with pytest.raises(SystemExit, match="no training photos of 'elsewhere'"):
        morphs.main(morphs.get_args_parser().parse_args(words.split()))
