"""From a data folder to tables that training can use."""

import shutil

import pytest

from facecom.errors import FacecomError
from facecom.training.preparation import open_tables


def test_gender_needs_photos_of_both(sample_a, tmp_path):
    shutil.copytree(sample_a, tmp_path / "data")
    tables = open_tables("A", tmp_path / "data", False)
    assert set(tables) == {"train", "val"} and set(tables["train"]["gender"]) == {"male", "female"}
    train = tmp_path / "data" / "train"
    shutil.rmtree(train / "female")
    with pytest.raises(FacecomError, match="train: holds photos of male/ only; training needs photos in male/ and in"):
        open_tables("A", tmp_path / "data", False)
    for photo in list((train / "male").iterdir()):
        photo.rename(train / photo.name)
    (train / "male").rmdir()
    with pytest.raises(FacecomError, match="holds no folders male/ and female/; training needs"):
        open_tables("A", tmp_path / "data", False)
