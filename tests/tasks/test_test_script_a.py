"""Task A's `test.py`, as a user runs it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scripts import rows_of, run

import facecom

torch.set_num_threads(1)


def test_a_flat_folder_gives_a_row_a_photo(here, flat, gender_file, capsys):
    assert run("A", "--weights", gender_file, "--img_dir", flat, "--no-amp") == 0
    rows = rows_of("submission.csv")
    names = sorted(path.name for path in flat.glob("*.jpg"))
    assert list(rows[0]) == ["filename", "gender", "p_female", "face_confidence"]
    assert [row["filename"] for row in rows] == names
    expected = facecom.GenderPredictor(gender_file, device="cpu", amp=False).predict([flat / name for name in names])
    assert [row["gender"] for row in rows] == expected.gender.tolist()
    np.testing.assert_allclose([float(row["p_female"]) for row in rows], expected.p_female, atol=1e-4)
    assert "accuracy" not in capsys.readouterr().out


def test_gender_folders_are_scored(here, sample_a, gender_file, capsys):
    assert run("A", "--weights", gender_file, "--img_dir", sample_a / "val", "--report", "r") == 0
    assert "Reliability" in Path("r/report.html").read_text()
    rows = rows_of("submission.csv")
    right = np.mean([row["filename"].startswith(row["gender"] + "/") for row in rows])
    found = pd.read_csv("r/metrics.csv").set_index("metric")
    assert set(found.protocol) == {"gender"} and set(found.condition) == {"clean"}
    assert found.value["accuracy"] == pytest.approx(right, abs=1e-5)
    assert found["count"]["accuracy"] == len(rows) == 12
    assert {"precision", "recall", "f1", "macro_f1", "balanced_accuracy", "auc", "ece", "always_male"} <= set(
        found.index
    )
    assert "labelled" in capsys.readouterr().out  # the confusion matrix


def test_the_distorted_copies_of_task_b_are_judged_per_condition(here, sample_a, sample_b, gender_file):
    arguments = ("--img_dir", sample_a / "val", "--conditions_from", sample_b / "val", "--report", "r")
    assert run("A", "--weights", gender_file, *arguments) == 0
    assert len(rows_of("submission.csv")) == 12
    accuracy = pd.read_csv("r/metrics.csv").query("metric == 'accuracy'").set_index("condition")
    assert accuracy["count"].drop("all").tolist() == [12] * 8 and accuracy["count"]["all"] == 96


def test_the_report_says_what_training_and_test_share_and_which_labels_differ(here, sample_a, gender_file, tmp_path):
    train = tmp_path / "train"
    shutil.copytree(sample_a / "train", train)
    shown = next((sample_a / "val" / "female").glob("*.jpg"))
    shutil.copy(shown, train / "female" / "Somebody_0001.jpg")
    labels = tmp_path / "labels.csv"
    labels.write_text("split,file,gender,second_opinion\ntrain,x.jpg,male,male\nval,y.jpg,male,female\n")
    flags = ("--img_dir", sample_a / "val", "--report", "r", "--train_dir", train, "--labels", labels)
    assert run("A", "--weights", gender_file, *flags) == 0
    page = Path("r/report.html").read_text()
    assert "What is wrong with the data" in page and "identical file: 1" in page and "gender labels differ: 1" in page
    # The shipped weights compare the faces: the same photo twice is the nearest of near-duplicates.
    assert "near-duplicate" in page and "similarity 1.000" in page
    labels.write_text("file,gender\n")
    assert run("A", "--weights", gender_file, *flags) == 2


def test_the_audits_paths_are_looked_at_before_the_network_runs(here, sample_a, gender_file, capsys):
    flags = ("--img_dir", sample_a / "val", "--report", "r", "--train_dir")
    assert run("A", "--weights", gender_file, *flags, "nowhere") == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert run("A", "--weights", gender_file, *flags, sample_a / "train", "--labels", "no.csv") == 2
    assert "no.csv: no CSV file" in capsys.readouterr().err
    assert not Path("submission.csv").exists()


@pytest.mark.parametrize("flag", ["--report", "--conditions_from"])
def test_scores_of_photos_without_a_gender_are_refused(flag, here, flat, gender_file, capsys):
    assert run("A", "--weights", gender_file, "--img_dir", flat, flag, "x") == 2
    assert f"error: {flag}: scores need to know the gender" in capsys.readouterr().err


@pytest.mark.parametrize("flag, other", [("--train_dir", "--report"), ("--labels", "--train_dir")])
def test_a_flag_that_would_do_nothing_is_refused(flag, other, here, flat, gender_file, capsys):
    assert run("A", "--weights", gender_file, "--img_dir", flat, flag, "x") == 2
    assert f"{flag}: " in (said := capsys.readouterr().err) and f"{other} DIR" in said


def test_copies_of_other_photos_are_refused(here, sample_a, sample_b, gender_file, capsys):
    arguments = ("--img_dir", sample_a / "val", "--conditions_from", sample_b / "train")
    assert run("A", "--weights", gender_file, *arguments) == 2
    assert "no distorted copies of these photos: give the same split of Task B" in capsys.readouterr().err


def test_normalising_changes_the_answers_of_published_weights(here, flat, tmp_path):
    from facecom.models.networks import build_model

    torch.manual_seed(0)
    model = build_model({"task": "gender", "backbone": "convnext_atto", "img_size": 224})
    torch.save(model.state_dict(), tmp_path / "published.pth")
    arguments = ("--weights", tmp_path / "published.pth", "--img_dir", flat)
    assert run("A", *arguments, "--output", "a.csv") == run("A", *arguments, "--normalize", "--output", "b.csv") == 0
    a, b = ([row["p_female"] for row in rows_of(name)] for name in ("a.csv", "b.csv"))
    assert a != b


def test_the_sample_of_task_a(here, gender_file, capsys):
    assert run("A", "--weights", gender_file, "--sample") == 0
    assert len(rows_of("submission.csv")) == 72
    assert "this checks the installation, not accuracy" in capsys.readouterr().out
