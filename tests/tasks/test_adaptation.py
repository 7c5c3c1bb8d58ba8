"""Both `train.py` on one's own photos: adaptation, calibration, and what is kept."""

import csv
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import load, train

from facecom import cli
from facecom.errors import FacecomError
from facecom.models import checkpoint
from facecom.models.initial import initial_model
from facecom.training import adaptation, recipes, siamese
from facecom.training.finetuning import unlabelled

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def adapt(data, folder, *more):
    """`train.py --epochs 0`; returns what it wrote."""
    places = ("--data_dir", data, "--run_dir", folder / "run", "--output", folder / "best.pt")
    train("B", *places, "--epochs", 0, "--workers", 0, "--quiet", "--no-amp", *more)
    return checkpoint.read(folder / "best.pt")


def test_epochs_0_adapts_the_network_in_its_last_layer(sample_b, siamese_file, tmp_path, capsys, monkeypatch):
    """Two drawn people are too few to go by, so how much is done is settled here; the rest is as in use."""
    monkeypatch.setattr(adaptation, "adapt", lambda outputs, people: adaptation.fit(outputs, people, 1.0, 0.5))
    monkeypatch.setattr(adaptation, "LEAST_PEOPLE", 2)
    flags = ("--init", siamese_file, "--guard", sample_b / "val")
    content = adapt(sample_b, tmp_path, *flags)
    said = capsys.readouterr().out
    assert "adaptation to 2 people, 48 photos: 2 people's mean lies at " in said
    assert "100% of it off, whitened within people (shrinkage 0.50)" in said
    for name in ("held back", "val", "guard"):
        for stage in ("shipped", "adapted"):
            assert re.search(rf"{name} +{stage} +[01.]", said)
    assert "fine-tuned" not in said and content["epoch"] == 0
    about = content["adaptation"]
    assert about.pop("shift") > 0
    assert about == {"mean_share": 1.0, "shrinkage": 0.5, "people": 4, "photos": 54}, "in the end of everybody"
    assert "with the held-back people, whose threshold stays: adaptation to 4 people, 54 photos" in said
    chosen = checkpoint.read(tmp_path / "run" / "best.pt")
    assert chosen["adaptation"]["people"] == 2 and chosen["operating_points"] == content["operating_points"]
    before, after = checkpoint.load(siamese_file).model.state_dict(), content["model"]
    changed = [name for name in after if not torch.equal(before[name], after[name])]
    assert changed == ["projection.2.weight", "projection.2.bias"]
    assert (tmp_path / "run" / "curves.png").is_file()


def test_what_held_back_people_refuse_is_undone(sample_b, siamese_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(adaptation, "adapt", lambda outputs, people: adaptation.fit(outputs, people, 1.0, 0.5))
    monkeypatch.setattr(adaptation, "gain", lambda new, old, seed, sure: adaptation.Gain(0.1, 0.05, 0.15, sure == 0.99))
    content = adapt(sample_b, tmp_path, "--init", siamese_file)
    said = capsys.readouterr().out
    assert "held-back people are told apart better without it" in said and "adapted" not in said
    start = checkpoint.load(siamese_file).model.state_dict()
    assert content["adaptation"] is None and all(torch.equal(start[name], content["model"][name]) for name in start)


def test_no_adapt_and_too_few_people_leave_the_start_as_it_is(sample_b, siamese_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(adaptation, "LEAST_PEOPLE", 5)
    for name, flags, said in (("off", ["--no-adapt"], ""), ("few", [], "adaptation: 2 people are too few")):
        content = adapt(sample_b, tmp_path / name, "--init", siamese_file, *flags)
        assert said in capsys.readouterr().out
        assert content["adaptation"] is None
        assert torch.equal(
            content["model"]["projection.2.weight"], checkpoint.read(siamese_file)["model"]["projection.2.weight"]
        )


@pytest.mark.parametrize("layers", ["top", "all"])
def test_what_training_did_not_better_beyond_chance_is_not_kept(layers, sample_b, siamese_file, tmp_path, capsys):
    """Two held-back people cannot tell; interrupted and resumed it is the same to the bit."""
    flags = ["--data_dir", sample_b, "--init", siamese_file, "--conditions", "none", "--layers", layers, "--no-amp"]
    flags += ["--workers", 0, "--quiet", "--batch_size", 2]
    places = lambda name: ["--run_dir", tmp_path / name, "--output", tmp_path / f"{name}.pt"]  # noqa: E731
    train("B", *flags, *places("whole"), "--epochs", 2)
    said = capsys.readouterr().out
    assert "no epoch is better than the network as it was beyond chance, so that is what is kept" in said
    assert re.search(r"threshold, fixed again on held-back people: \d\.\d{3}, fixed on \d+ pairs of strangers", said)
    kept = checkpoint.read(tmp_path / "whole.pt")
    assert kept["epoch"] == 0 and kept["metrics"]["held_gain"] == 0
    with open(tmp_path / "whole" / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"] and float(rows[1]["train_loss"]) > 0
    whole, start = checkpoint.read(tmp_path / "whole/last.pt")["model"], checkpoint.read(siamese_file)["model"]
    changed = {name.split(".")[0] for name in whole if not torch.equal(whole[name].float(), start[name].float())}
    assert changed == ({"projection"} if layers == "top" else {"encoder", "projection"})

    real = siamese.SiameseJob.batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(siamese.SiameseJob, "batches", lambda job, epoch: real(job, epoch) if epoch < 2 else 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train("B", *flags, *places("cut"), "--epochs", 2)
    train("B", "--run_dir", tmp_path / "cut", "--resume")
    cut = checkpoint.read(tmp_path / "cut/last.pt")["model"]
    assert all(torch.equal(value, cut[name]) for name, value in whole.items())


def test_gender_is_calibrated_first_and_kept_unless_training_is_better(sample_a, gender_file, tmp_path, capsys):
    for folder, name in (("male", "MEN"), ("female", "Woman")):
        shutil.copytree(sample_a / "train" / folder, tmp_path / "mine" / "train" / name)
    flags = ["--data_dir", tmp_path / "mine", "--init", gender_file, "--run_dir", tmp_path / "run", "--no-amp"]
    flags += ["--output", tmp_path / "best.pt", "--conditions", "none", "--workers", 0, "--quiet"]
    train("A", *flags, "--epochs", 1, "--lr", 0, "--head_lr", 0, "--weight_decay", 0)
    said = capsys.readouterr().out
    for stage in ("shipped", "calibrated"):
        assert re.search(rf"held back +{stage} +[01]\.\d{{3}} \(", said)
    assert "fine-tuned" not in said
    assert "no epoch is better than the calibrated start beyond chance, so that is what is kept" in said
    kept = checkpoint.load(tmp_path / "best.pt", "gender")
    assert kept.info["epoch"] == 0 and kept.temperature != 2
    assert torch.equal(kept.model.classifier.weight, checkpoint.load(gender_file).model.classifier.weight)
    # Few photos: the cut stays at the logit where it was, 2 log(.45 / .55).
    (point,) = kept.operating_points
    logit = kept.temperature * math.log(point["threshold"] / (1 - point["threshold"]))
    assert logit == pytest.approx(2 * math.log(0.45 / 0.55), abs=1e-4)


def test_gender_starts_from_the_shipped_network_of_its_task():
    def init(*flags):
        return recipes.resolve(cli.parse(load("A").get_args_parser(), flags, recipes.GENDER), "gender").init

    assert (
        init() == "shipped" and init("--init", "face") == init("--frame", "face") == init("--img_size", "64") == "face"
    )
    assert init("--recipe", "published") == "imagenet"
    assert initial_model("gender", "shipped").whole and initial_model("siamese", "shipped").whole
    assert not initial_model("gender", "face").whole


@pytest.fixture(scope="module")
def loose(sample_b, tmp_path_factory):
    """The same photos in one folder, without names."""
    folder = tmp_path_factory.mktemp("loose")
    for number, path in enumerate(sorted((sample_b / "train").glob("*/*.jpg"))):
        shutil.copy(path, folder / f"{number}.jpg")
    return folder


def test_photos_without_names_adapt_by_people_of_their_looks(loose, siamese_file, tmp_path, capsys, monkeypatch):
    found = []
    halves = lambda rows: 1 + (np.arange(len(rows)) >= len(rows) // 2)  # noqa: E731
    monkeypatch.setattr(unlabelled, "group", lambda rows, threshold: found.append(threshold) or halves(rows))
    monkeypatch.setattr(adaptation, "adapt", lambda outputs, people: adaptation.fit(outputs, people, 0.8, 0.7))
    content, count = adapt(loose, tmp_path, "--init", siamese_file), len(list(loose.iterdir()))
    said = capsys.readouterr().out
    assert f"photos without names: {count} with a face, of 2 people by their looks" in said
    start = checkpoint.load(siamese_file)
    assert found == [0.8] and "the threshold stays 0.800" in said
    assert content["operating_points"] == start.operating_points and content["epoch"] == 0
    assert content["adaptation"]["people"] == 2 and content["adaptation"]["photos"] == count
    changed = [name for name, one in start.model.state_dict().items() if not torch.equal(one, content["model"][name])]
    assert changed == ["projection.2.weight", "projection.2.bias"]
    assert (tmp_path / "run" / "args.yaml").is_file()


def test_photos_without_names_train_nothing_more(loose, siamese_file, tmp_path):
    places = ("--data_dir", loose, "--run_dir", tmp_path / "run", "--output", tmp_path / "best.pt", "--quiet")
    for flags, line in (
        (("--init", siamese_file, "--epochs", 3), "photos without names: --epochs 0 adapts a network to them"),
        (("--init", "none", "--epochs", 0), "photos without names: --init none has nothing to adapt"),
    ):
        with pytest.raises(FacecomError, match=line):
            train("B", *places, *flags)
    assert not (tmp_path / "best.pt").exists()


def test_where_photos_have_no_names(loose, sample_b, tmp_path):
    assert unlabelled.folder_of(loose) == loose
    assert unlabelled.folder_of(sample_b) is None and unlabelled.folder_of(tmp_path) is None
    (tmp_path / "train").mkdir()
    shutil.copy(loose / "0.jpg", tmp_path / "train")
    assert unlabelled.folder_of(tmp_path) == tmp_path / "train"
    assert unlabelled.folder_of(tmp_path / "nowhere") is None
