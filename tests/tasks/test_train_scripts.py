"""Both train.py from end to end on drawn people, with a network of 200,000 weights."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import load, train

from facecom import cli
from facecom.errors import FacecomError
from facecom.models import checkpoint
from facecom.training import gender, recipes, siamese

ROOT = Path(__file__).resolve().parents[2]


TINY = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --quiet --no-amp"


TINY += " --epochs 2 --batch_size 2"


FILES = {"args.yaml", "log.csv", "last.pt", "best.pt", "curves.png"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def run(task, data, folder, *more):
    train(task, "--data_dir", data, "--run_dir", folder / "run", "--output", folder / "best.pt", *TINY.split(), *more)
    return checkpoint.read(folder / "run" / "last.pt")


def interrupt(monkeypatch, module, name, after):
    """Ctrl-C in the middle of a training: `module.name` raises after so many calls."""
    calls, real = [], getattr(module, name)

    def loss(*args):
        calls.append(1)
        if len(calls) > after:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(module, name, loss)
    return lambda: monkeypatch.setattr(module, name, real)


@pytest.mark.parametrize("task, name", [("B", "contrastive_loss"), ("A", "focal_loss")])
def test_interrupted_and_resumed_is_the_same_to_the_bit(task, name, sample_a, sample_b, tmp_path, monkeypatch):
    data = {"A": sample_a, "B": sample_b}[task]
    module = {"A": gender, "B": siamese}[task]
    flags = ("--conditions", "simulate")
    whole = run(task, data, tmp_path / "whole", *flags, "--workers", 0)
    steps = [int(state["step"]) for state in whole["training"]["optimizer"]["state"].values()]
    assert set(steps) == {6}  # 6 clean photos of 2 people, batches of 2, 2 epochs
    mend = interrupt(monkeypatch, module, name, after=4)  # in the second epoch
    with pytest.raises(KeyboardInterrupt):
        run(task, data, tmp_path / "cut", *flags, "--workers", 2)
    mend()
    assert checkpoint.read(tmp_path / "cut/run/last.pt")["epoch"] == 1
    train(task, "--run_dir", tmp_path / "cut" / "run", "--resume")  # all other settings come from args.yaml
    cut = checkpoint.read(tmp_path / "cut/run/last.pt")
    assert {p.name for p in (tmp_path / "cut" / "run").iterdir()} == FILES
    assert cut["epoch"] == 2 and whole["model"].keys() == cut["model"].keys()
    for weight, value in whole["model"].items():
        assert torch.equal(value, cut["model"][weight]), weight
    assert (tmp_path / "whole/run/log.csv").read_text() == (tmp_path / "cut/run/log.csv").read_text()


def test_task_b_writes_what_test_needs(sample_b, tmp_path, capsys):
    run("B", sample_b, tmp_path, "--workers", 0)
    said = capsys.readouterr().out
    assert "training photos: 2 people, 6 photos, 48 files" in said and "val photos: 4 people" in said
    loaded = checkpoint.load(tmp_path / "best.pt", "siamese")
    assert loaded.preprocessing == {
        "size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "align": "fixed", "frame": "face", "colour": "rgb",
        "mirror": True,
    }  # fmt: skip
    assert [point["far"] for point in loaded.operating_points] == [1e-3, 1e-4]
    # 2 held-back people of 3 photos: 48 probes against 2 clean photos of the own person, and 3 of the other.
    assert {point["genuine"] for point in loaded.operating_points} == {96}
    assert {point["impostor"] for point in loaded.operating_points} == {144}
    assert loaded.info["args"]["recipe"] == "facecom" and loaded.info["data"]["train"]["files"] == 48
    assert loaded.info["training"] is None
    with open(tmp_path / "run" / "log.csv") as file:
        columns = set(next(csv.reader(file)))
    for prefix in ("train", "held", "val"):
        assert {f"{prefix}_{m}" for m in ("accuracy", "precision", "recall", "f1")} <= columns
    assert {"held_tar@far=1e-3", "held_rank1", "val_tar@far=1e-3", "val_rank1", "epoch", "lr", "train_loss"} <= columns


def test_task_a_is_calibrated_on_held_back_people(sample_a, tmp_path, capsys):
    run("A", sample_a, tmp_path, "--workers", 0, "--balance", "weighted")
    said = capsys.readouterr().out
    assert "balance: " in said and "the rarer its gender" in said
    assert "held-back photos: 2 people, 6 photos, 12 files" in said  # a simulated copy of each
    loaded = checkpoint.load(tmp_path / "best.pt", "gender")
    assert loaded.temperature > 0 and loaded.temperature != 1
    (point,) = loaded.operating_points
    assert point["threshold"] == 0.5 and point["photos"] == 12 and point["identities"] == 2


@pytest.mark.parametrize(
    "flags, frame, size",
    [((), "head", 128), (("--frame", "face", "--img_size", "64"), "face", 64), (("--img_size", "48"), "head", 48)],
)
def test_gender_looks_at_the_head_unless_told_otherwise(flags, frame, size, sample_a, tmp_path):
    common = ["--data_dir", sample_a, "--align", "fixed", "--conditions", "none", "--epochs", 1]
    common += ["--quiet", "--no-amp", "--workers", 0]
    new = ["--run_dir", tmp_path / "a", "--output", tmp_path / "a.pt", "--init", "none", "--backbone", "test_convnext"]
    train("A", *common, *new, *flags)
    train("A", *common, "--run_dir", tmp_path / "b", "--output", tmp_path / "b.pt", "--init", tmp_path / "a.pt")
    for name in ("a.pt", "b.pt"):  # the second goes on with what the first knows
        told = checkpoint.load(tmp_path / name, "gender").preprocessing
        assert (told["frame"], told["size"]) == (frame, size)


def test_real_copies_of_task_b_train_and_judge_the_gender_network(sample_a, sample_b, tmp_path, capsys):
    flags = ("--workers", 0, "--epochs", 1, "--conditions_from", sample_b / "train")
    run("A", sample_a, tmp_path, *flags)
    said = capsys.readouterr().out
    assert "training photos: 2 people, 6 photos, 48 files" in said
    # Simulated copies of the 6 held-back photos, and the 42 real ones.
    assert (
        "held-back photos: 2 people, 6 photos, 54 files" in said and "val photos: 4 people, 12 photos, 12 files" in said
    )
    assert checkpoint.load(tmp_path / "best.pt", "gender").operating_points[0]["photos"] == 54
    with pytest.raises(FacecomError, match="no distorted copies of these photos: give the same split"):
        run("A", sample_a, tmp_path / "wrong", "--conditions_from", sample_b / "val")


def test_extra_people_join_training_and_strangers_the_operating_point(sample_b, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(sample_b / "train", data / "train")
    run("B", data, tmp_path, "--workers", 0, "--epochs", 1, "--extra_data", sample_b / "val")
    said = capsys.readouterr().out
    assert "training photos: 4 people, 12 photos, 96 files" in said  # 2 of each 4 people are held back
    assert "held-back strangers: 2 people, 6 photos, 48 files" in said
    point = checkpoint.load(tmp_path / "best.pt", "siamese").operating_points[0]
    assert point["impostor"] == 144 + 48 * 48 and point["genuine"] == 96 and point["identities"] == 2


def test_the_gender_network_starts_from_a_siamese_one(sample_a, sample_b, tmp_path, capsys):
    run("B", sample_b, tmp_path / "b", "--workers", 0, "--epochs", 1, "--conditions", "none")
    encoder = checkpoint.load(tmp_path / "b" / "best.pt", "siamese")
    flags = ["--data_dir", sample_a, "--run_dir", tmp_path / "a", "--output", tmp_path / "a.pt", "--align", "fixed"]
    flags += ["--init", tmp_path / "b" / "best.pt", "--lr", "0", "--head_lr", "0", "--epochs", 1, "--quiet", "--no-amp"]
    train("A", *flags, "--workers", 0, "--weight_decay", 0)
    assert "new: classifier" in capsys.readouterr().out
    gender = checkpoint.load(tmp_path / "a.pt", "gender")
    assert gender.config["backbone"] == "test_convnext" and gender.config["pool"] == encoder.config["pool"]
    assert gender.preprocessing["frame"] == "head" and gender.preprocessing["size"] == 128  # new to its task
    for name, value in encoder.model.encoder.state_dict().items():
        assert torch.equal(value, gender.model.backbone.state_dict()[name]), name


def test_training_goes_on_from_a_network_of_the_same_task(sample_b, tmp_path, capsys):
    # Without the map there is no batch norm, whose statistics learn at any rate.
    run("B", sample_b, tmp_path / "first", "--workers", 0, "--epochs", 1, "--conditions", "none", "--pool", "avg")
    flags = ["--data_dir", sample_b, "--run_dir", tmp_path / "run", "--output", tmp_path / "b.pt", "--align", "fixed"]
    train("B", *flags, "--init", tmp_path / "first/best.pt", "--epochs", 1, "--quiet", "--workers", 0, "--lr", 0)
    with open(tmp_path / "run" / "log.csv") as file:
        start, after = csv.DictReader(file)
    assert start["epoch"] == "0" and start["train_loss"] == "" and start["held_rank1"] != ""
    assert checkpoint.load(tmp_path / "b.pt").info["epoch"] == 0  # nothing was learned, so nothing was better


def test_published_recipe_restores_its_settings(sample_b, tmp_path):
    tiny = ["--init", "none", "--backbone", "test_convnext", "--img_size", 32, "--quiet", "--workers", 0, "--epochs", 1]
    places = ["--run_dir", tmp_path / "run", "--output", tmp_path / "best.pt"]
    train("B", "--recipe", "published", "--data_dir", sample_b, *tiny, *places)
    args = checkpoint.read(tmp_path / "best.pt")["args"]
    expected = {"lr": 1e-4, "weight_decay": 1e-5, "batch_size": 32, "patience": 5, "margin": 1.0, "align": "off"}
    assert {name: args[name] for name in expected} == expected
    loaded = checkpoint.load(tmp_path / "best.pt", "siamese")
    assert loaded.operating_points[0]["threshold"] == 0.5 and loaded.config["pool"] == "avg"
    assert "held" not in loaded.info["data"]  # selected on val, as published


def test_a_network_that_knows_people_is_trained_gently():
    script = load("B")

    def settings(*flags):
        args = recipes.resolve(cli.parse(script.get_args_parser(), flags, recipes.SIAMESE), "siamese")
        return args.lr, args.margin

    assert settings() == settings("--init", "mine.pt") == (3e-4, 1.4)
    assert settings("--init", "none") == settings("--init", "imagenet") == (1e-4, 1.0)
    assert settings("--lr", "0.002", "--margin", "1.2") == (0.002, 1.2)
    assert settings("--recipe", "published", "--init", "face") == (1e-4, 1.0)


def test_published_network_follows_init():
    script = load("A")
    parse = lambda *flags: cli.parse(script.get_args_parser(), flags, recipes.GENDER)  # noqa: E731
    args = recipes.resolve(parse("--recipe", "published"), "gender")
    network = (args.init, args.backbone, args.pool, args.img_size, args.align)
    assert network == ("imagenet", "convnext_tiny", "avg", 224, "off")
    assert (args.lr, args.head_lr, args.epochs, args.patience) == (1e-5, 1e-4, 50, 7)
    assert (args.gamma, args.smoothing, args.balance, args.batch_size) == (2.0, 0.1, "undersample", 32)
    args = recipes.resolve(parse("--recipe", "published", "--init", "encoder.pt"), "gender")
    assert (args.backbone, args.pool, args.img_size) == (None, None, None)
    args = recipes.resolve(parse("--recipe", "published", "--backbone", "convnext_pico", "--gamma", "1"), "gender")
    assert args.backbone == "convnext_pico" and args.gamma == 1.0 and args.img_size == 224


def test_a_second_run_does_not_overwrite_the_first(sample_a, tmp_path):
    run("A", sample_a, tmp_path, "--epochs", 1, "--workers", 0)
    with pytest.raises(FacecomError, match="holds a run already: --resume goes on with it"):
        run("A", sample_a, tmp_path, "--epochs", 1, "--workers", 0)


def test_a_run_is_not_laid_among_the_photos(sample_a):
    with pytest.raises(FacecomError, match="the photos are there; choose another folder"):
        run("A", sample_a, sample_a, "--epochs", 1, "--run_dir", sample_a)
    assert not (sample_a / "args.yaml").exists()


def test_people_in_both_splits_stop_it_with_the_list(sample_b, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(sample_b, data)
    person = sorted(p.name for p in (data / "train").iterdir())[0]
    shutil.copytree(data / "train" / person, data / "val" / person)
    with pytest.raises(FacecomError, match=r"train and val share \d+ people or files, listed above"):
        run("B", data, tmp_path)
    assert f"identity in both splits: {person} | {person}" in capsys.readouterr().out
    run("B", data, tmp_path, "--allow_overlap", "--workers", 0, "--epochs", 1)


def test_a_truncated_photo_is_left_out_and_named(sample_b, tmp_path, capsys):
    data = tmp_path / "data"
    shutil.copytree(sample_b, data)
    photo = sorted((data / "train").glob("*/*.jpg"))[0]
    photo.write_bytes(photo.read_bytes()[:300])
    run("B", data, tmp_path, "--workers", 0, "--epochs", 1)
    said = capsys.readouterr().out
    assert "1 of " in said and f"files left out: {photo}" in said


def test_one_photo_a_person_is_enough(sample_b, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(sample_b / "train", data / "train")
    for person in (data / "train").iterdir():
        for path in [*person.glob("*_000[2-9]*"), *person.glob("distortion/*_000[2-9]*")]:
            path.unlink()
    run("B", data, tmp_path, "--workers", 0, "--epochs", 1)  # and without val/
    (point, _) = checkpoint.load(tmp_path / "best.pt", "siamese").operating_points
    assert point["genuine"] == 0 and point["tar"] is None and np.isfinite(point["threshold"])


@pytest.mark.parametrize(
    "flags, message",
    [
        ("--data_dir nowhere", "nowhere: no such folder"),
        ("--init imaginary.pt", "imaginary.pt: no such weight file"),
        ("--init none --backbone resnet_none", "timm has no network of that name"),
        ("--conditions foggy", "--conditions foggy: simulate, real, simulate,real or none"),
        ("--epochs 0", "--epochs 0: there is nothing to adapt"),
        ("--epochs -1", "--epochs -1: must be at least 0"),
        ("--img_size 8", "at least 32 pixels"),
        ("--align yunet", "--align yunet needs --detector_model"),
    ],
)
def test_wrong_flags_are_one_clear_line(flags, message, sample_b, tmp_path):
    places = ["--data_dir", sample_b, "--run_dir", tmp_path / "run", "--output", tmp_path / "w.pt"]
    with pytest.raises(FacecomError, match=message) as error:
        train("B", *places, "--init", "none", "--backbone", "test_convnext", "--quiet", *flags.split())
    assert "\n" not in str(error.value)
    assert not (tmp_path / "w.pt").exists()
