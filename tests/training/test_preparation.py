"""From a data folder to tables that training can use."""

import argparse
import os
import shutil
import subprocess
import sys

import pytest

from facecom.errors import FacecomError
from facecom.models.initial import Start
from facecom.training.preparation import open_tables, preprocessing_of


@pytest.mark.parametrize(
    ("recipe", "before", "whole", "expected"),
    [
        ("facecom", {"mirror": False}, True, False),
        ("facecom", {"mirror": True}, True, True),
        ("facecom", {}, True, False),  # weights that do not say it look once
        ("facecom", {"mirror": False}, False, True),  # another task's network
        ("published", {"mirror": True}, True, False),
    ],
)
def test_a_network_that_goes_on_looks_as_often_as_before(recipe, before, whole, expected):
    args = argparse.Namespace(recipe=recipe, align="fixed", frame=None, img_size=None)
    start = Start(None, {"img_size": 32}, "", {"mean": (0.5,) * 3, "std": (0.5,) * 3} | before, whole=whole)
    assert preprocessing_of("siamese", args, start)["mirror"] is expected


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


COPIES = """
from pathlib import Path
from types import SimpleNamespace
from facecom.training import preparation
asked = []
preparation.labelled_copies = lambda table, folder: table
preparation.joined = lambda parts: parts
def load_crops(table, aligner, **options):
    asked.append(options["name"])
    return table, []
preparation.load_crops = load_crops
sets = {name: ({}, []) for name in ("held", "val", "train")}
args = SimpleNamespace(conditions_from=Path("copies"), workers=0, quiet=True)
preparation.add_real_copies(sets, dict.fromkeys(sets), args, None)
print(*asked, sep="; ")
"""


def test_all_processes_of_a_training_look_at_copies_in_one_order():
    """They share the work out set by set, and each process orders a set of words otherwise."""
    expected = "distorted copies of training photos; distorted copies of held-back photos\n"
    for seed in "012":
        environment = os.environ | {"PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "-c", COPIES], env=environment, capture_output=True, text=True)
        assert (done.stdout, done.stderr) == (expected, "")
