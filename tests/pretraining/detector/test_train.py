"""The detector's training goes on after a cut as if there had been none."""

import csv

import numpy as np
import pytest
import torch

from facecom.models import checkpoint
from facecom.synthetic import draw_person, draw_scene
from pretraining.detector import train
from pretraining.detector.scenes import Source


@pytest.fixture
def few(monkeypatch):
    """Photos of three drawn people, and a network that learns in moments."""
    drawn = [draw_person(number, 0) for number in range(3)]
    photos = [Source(image, landmarks[None], np.ones(1, bool)) for image, landmarks in drawn]
    monkeypatch.setattr(train, "load_photos", lambda args: (photos, [draw_scene("wall", 1)]))
    monkeypatch.setattr(train, "CONFIG", {"turns": 4, "widths": (4, 4, 8, 8, 8), "depth": 1, "channels": 8})


def run(folder, *more):
    flags = ["--data_dir", ".", "--detector_model", "none", "--batch_size", "2", "--every", "1", "--no-amp"]
    flags += ["--workers", "0", "--threads", "1", "--run_dir", str(folder), "--output", str(folder / "detector.pt")]
    train.main(train.get_args_parser().parse_args([*flags, *more]))


def test_a_run_that_was_cut_ends_as_one_that_was_not(few, tmp_path, monkeypatch):
    run(tmp_path / "whole", "--steps", "3")
    keep = train.keep

    def cut(args, run_dir, parts, model, row, photos):
        keep(args, run_dir, parts, model, row, photos)
        if row["step"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train, "keep", cut)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", "--steps", "3")
    monkeypatch.setattr(train, "keep", keep)
    run(tmp_path / "cut", "--steps", "3", "--resume")
    whole, resumed = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "cut"))
    assert whole["step"] == resumed["step"] == 3
    for part in ("model", "averaged"):
        assert all(torch.equal(whole[part][name], resumed[part][name]) for name in whole[part])
    with open(tmp_path / "cut" / "log.csv") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert checkpoint.load(tmp_path / "cut" / "detector.pt", "detector").model.turns == 4


def test_a_link_in_the_run_folder_is_followed(few, tmp_path):
    """Last.pt may lie on another disk."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").symlink_to(tmp_path / "elsewhere.pt")
    run(tmp_path / "run", "--steps", "1")
    assert (tmp_path / "run" / "last.pt").is_symlink()
    assert torch.load(tmp_path / "elsewhere.pt", weights_only=True)["step"] == 1
