"""Who trains and who is held back among packed crops, and what the teacher says of each."""

import numpy as np
import pytest

from pretraining.targets import people as module
from pretraining.targets.people import People
from pretraining.targets.projection import unit


@pytest.fixture
def folder(tmp_path):
    """Four people of a table, two heads of nobody knows whom, two photos out of a folder."""
    rows = ["identity,group,gender,source,file"]
    rows += [f"p{n},p{n},,table," for n in range(4)] + [",,,heads,0", ",,,heads,1"]
    rows += ["Ann,Ann,,mine,Ann/1.jpg", "Ben,Ben,,mine,Ben/1.jpg"]
    (tmp_path / "people.csv").write_text("\n".join(rows) + "\n")
    np.save(tmp_path / "crops.npy", np.zeros((8, 112, 112, 3), np.uint8))
    np.save(tmp_path / "teacher.npy", unit(np.random.default_rng(0).standard_normal((8, 16))).astype(np.float16))
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
