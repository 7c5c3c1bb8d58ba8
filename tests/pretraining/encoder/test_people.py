"""Who trains and who is held back among packed crops, and what the teacher says of each."""

import numpy as np
import pytest

from pretraining.encoder import people as module
from pretraining.encoder.people import People, means_of, unit


def test_means_are_what_a_source_has_in_common(monkeypatch):
    monkeypatch.setattr(module, "LEAST_FOR_MEAN", 2)
    targets = np.array([[0.6, 0.8], [0.6, -0.8], [1, 0], [0, 1]], np.float32)
    sources, counted = np.array(["tight", "tight", "tight", "few"]), np.array([True, True, False, True])
    found = unit(targets - means_of(targets, sources, counted))
    # Those counted have (0.6, 0) in common; the third, held back, loses it too; of one photo there is no mean.
    np.testing.assert_allclose(found, [[0, 1], [0, -1], [1, 0], [0, 1]], atol=1e-6)
    assert targets[0, 0] == pytest.approx(0.6)


def test_a_small_source_stays_as_it_is():
    targets = unit(np.random.default_rng(0).standard_normal((10, 4))).astype(np.float32)
    assert not means_of(targets, np.array(["x"] * 10), np.ones(10, bool)).any()


def unit_pairs(count):
    pairs = np.random.default_rng(0).standard_normal((count, 2, 16))
    return pairs / np.linalg.norm(pairs, axis=2, keepdims=True)


@pytest.fixture
def folder(tmp_path):
    """Four people of a table, two heads of nobody knows whom, two photos out of a folder."""
    rows = ["identity,group,gender,source,file"]
    rows += [f"p{n},p{n},,table," for n in range(4)] + [",,,heads,0", ",,,heads,1"]
    rows += ["Ann,Ann,,mine,Ann/1.jpg", "Ben,Ben,,mine,Ben/1.jpg"]
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    np.save(tmp_path / "crops.npy", np.zeros((8, 112, 112, 3), np.uint8))
    np.save(tmp_path / "teacher.npy", unit_pairs(8).astype(np.float32))
    return tmp_path


def test_photos_of_nobody_knows_whom_train_without_a_name(folder, monkeypatch):
    monkeypatch.setattr(module, "is_held_back", lambda group, share: group in ("", "p1", "Ben"))
    people = People(folder)
    assert people.held_back.tolist() == [1, 7] and people.training.tolist() == [0, 2, 3, 4, 5, 6]
    assert people.labels[[4, 5]].tolist() == [-1, -1]
    assert sorted(people.labels[[0, 2, 3, 6]]) == [0, 1, 2, 3]
    assert people.centres().shape == (4, 16)
    np.testing.assert_allclose(people.centres()[people.labels[6]], people.targets[6], rtol=1e-5)


def test_whole_photos_are_those_that_train_and_come_out_of_a_file(folder, monkeypatch):
    monkeypatch.setattr(module, "is_held_back", lambda group, share: group == "Ben")
    assert People(folder).whole.tolist() == [4, 5, 6]


def test_morphs_of_training_people_train_without_a_name(folder, monkeypatch):
    monkeypatch.setattr(module, "is_held_back", lambda group, share: group == "Ben")
    monkeypatch.setattr(module, "LEAST_FOR_MEAN", 2)
    (folder / "morphs.csv").write_text("first,second,share\n6,4,0.25\n6,7,0.5\n")
    np.save(folder / "morphs.npy", np.full((2, 112, 112, 3), 9, np.uint8))
    teacher = unit_pairs(2).astype(np.float32)
    np.save(folder / "morphs_teacher.npy", teacher)
    alone = People(folder)
    assert alone.photos == 8 and alone.crops[8][0, 0, 0] == 9
    assert alone.training.tolist() == [0, 1, 2, 3, 4, 5, 6, 8]  # the second is half of someone held back
    assert alone.labels[8] == -1 and not alone.is_copy[8] and 8 not in alone.whole
    # Heads are two, and have a mean; of one's own photos only one trains.
    expected = unit(unit(teacher.sum(1)) - np.float32(0.75) * alone.means[4])
    np.testing.assert_allclose(alone.targets[8], expected[0], atol=1e-6)
