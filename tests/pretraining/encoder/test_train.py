"""The encoder's training, on a few drawn people: what it writes, that it learns, and that it resumes."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("pytorch_metric_learning", reason='needs pip install -e ".[pretraining]"')

from facecom.errors import FacecomError  # noqa: E402
from pretraining.choosing import (
    candidates,  # noqa: E402
    experiments,  # noqa: E402
    soup,  # noqa: E402
)
from pretraining.choosing.experiments import compare  # noqa: E402
from pretraining.contrast import Remembered  # noqa: E402
from pretraining.encoder import batches  # noqa: E402
from pretraining.encoder import train as encoder  # noqa: E402
from pretraining.encoder.batches import Augmentation, Batches  # noqa: E402
from pretraining.encoder.objective import first_half, objective  # noqa: E402
from pretraining.targets.people import People  # noqa: E402
from tests.packed import pack  # noqa: E402


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return pack(tmp_path_factory.mktemp("crops"))


def arguments(crops, run_dir, *more):
    torch.set_num_threads(1)
    words = f"--crops {crops} --run_dir {run_dir} --batch_size 4 --photos 16 --size 64 --workers 0"
    words += " --backbone test_convnext --no-amp --log_every 2 --validations 1"
    return encoder.get_args_parser().parse_args([*words.split(), *more])


def test_people_are_parted_by_whole_groups(crops):
    people = People(crops)
    assert len(people.training) == 18 and len(people.held_back) == 6
    assert not set(people.identity[people.training]) & set(people.identity[people.held_back])
    assert (people.labels[people.held_back] == -1).all() and people.labels.max() == 8
    np.testing.assert_allclose(np.linalg.norm(people.centres(), axis=1), 1, rtol=1e-5)


def test_batches_follow_from_seed_and_step(crops):
    people = People(crops)
    make = lambda seed: Batches(people, 6, 6, 64, Augmentation(), seed)  # noqa: E731
    views, targets, labels = make(0)[4]
    assert views.shape == (6, 64, 64, 3) and views.dtype == torch.uint8
    assert targets.shape == (6, people.targets.shape[1]) and labels.tolist()[0] in people.labels[people.training]
    assert torch.equal(views, make(0)[4][0]) and not torch.equal(views, make(1)[4][0])
    # Three batches of six are the eighteen training photos, each once.
    seen = np.concatenate([make(0)[step][1] for step in range(3)])
    np.testing.assert_array_equal(np.unique(seen, axis=0), np.unique(people.targets[people.training], axis=0))


def test_blends_take_the_place_of_photos_and_nobody_knows_who_they_are(crops, tmp_path, monkeypatch):
    size = np.load(crops / "teacher.npy").shape[1]
    monkeypatch.setattr(
        batches, "open_teacher", lambda path, amp: lambda found: np.ones((len(found), size)) / size**0.5
    )
    encoder.main(arguments(crops, tmp_path, "--blended", "0.5", "--match", "a.pt"))
    people = People(crops)
    matched = batches.Matched(people, ["a.pt"], None, 0.5, False)
    data = Batches(people, 6, 6, 64, Augmentation(), 0, matched)
    plain = Batches(people, 6, 6, 64, Augmentation(), 0)
    targets, labels = data[0][1:]
    assert labels[:3].tolist() == [-1] * 3 and (labels[3:] >= 0).all()
    assert torch.equal(targets[3:], plain[0][1][3:]) and not torch.equal(targets[:3], plain[0][1][:3])


def test_a_face_is_seen_in_the_surroundings_of_a_whole_photo(crops, tmp_path):
    folder = tmp_path / "crops"
    shutil.copytree(crops, folder)
    rows = (folder / "people.csv").read_text().splitlines()
    white = int(People(crops).training[0])
    rows[1 + white] += "photo.jpg"  # the only one cut from a whole photo
    (folder / "people.csv").write_text("\n".join(rows) + "\n")
    pictures = np.zeros((24, 112, 112, 3), np.uint8)
    pictures[white] = 255
    np.save(folder / "crops.npy", pictures)
    people = People(folder)
    assert people.whole.tolist() == [white]
    settings = Augmentation(distorted=0.0, border=0.0, surroundings=1.0)
    views, targets, _ = Batches(people, 18, 1, 64, settings, 0)[0]
    for view, target in zip(views.numpy(), targets.numpy(), strict=True):
        own = np.array_equal(target, people.targets[white])
        assert (view[30:45, 25:39].mean() > 70) == own  # the face is its own
        assert (view > 70).mean() > 0.01  # round a black face, too, it is white


def test_a_photo_of_nobody_knows_whom_has_no_identity_loss(crops, tmp_path):
    args = arguments(crops, tmp_path)
    run = encoder.Run(args)
    views = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    targets = torch.from_numpy(run.people.targets[run.people.training[:4]])
    labels = torch.tensor([-1, 2, -1, 5])
    run.model.eval()
    _, parts = objective(run.model, views, targets, labels, run.identity_loss, args)
    expected = run.identity_loss(run.model.embed(views[[1, 3]]), labels[[1, 3]])
    assert parts["identity"] == pytest.approx(float(expected.detach()), rel=1e-5)
    _, parts = objective(run.model, views, targets, torch.full((4,), -1), run.identity_loss, args)
    assert parts["identity"] == 0  # still there: a log is a mean over batches


def test_pairs_are_told_apart_by_what_the_averaged_network_says(crops, tmp_path):
    args = arguments(crops, tmp_path, "--contrast_weight", "0.1", "--memory", "5")
    run = encoder.Run(args)
    run.model.eval()
    averaged = run.ema.module.eval()
    with torch.no_grad():
        averaged.projection[2].bias.add_(0.5)  # it is another one
    views = torch.rand(6, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    targets, labels = torch.from_numpy(run.people.targets[:6]), torch.tensor([4, 2, -1, 4, 2, -1])
    *batch, told_apart = first_half(views, targets, labels, averaged, run.remembered)
    assert [len(part) for part in batch] == [3, 3, 3] and torch.equal(batch[2], labels[:3])
    loss, parts = objective(run.model, *batch, run.identity_loss, args, told_apart)
    torch.testing.assert_close(run.remembered.keys, averaged.embed(views[3:5]))
    again = Remembered(run.remembered.source, 5, args.temperature)
    expected = float(again(run.model.embed(views[:3]), averaged.embed(views[3:]), labels[:3]).detach())
    assert parts["contrast"] == pytest.approx(expected, rel=1e-5) and expected > 0
    without = objective(run.model, *batch, run.identity_loss, args)[0]
    assert float((loss - without).detach()) == pytest.approx(0.1 * expected, rel=1e-3)
    loss.backward()
    assert all(parameter.grad is None for parameter in averaged.parameters())


def test_a_run_of_pairs_counts_the_photos_that_it_learns_from(crops, tmp_path):
    encoder.main(arguments(crops, tmp_path, "--contrast_weight", "0.1"))
    rows = list(csv.DictReader(open(tmp_path / "log.csv")))
    assert [row["photos"] for row in rows] == ["8", "16"] and all(float(row["contrast"]) > 0 for row in rows)


def test_optimizers_move_the_weights_and_files_are_written(crops, tmp_path):
    for optimizer in ("adamw", "muon"):
        run_dir = tmp_path / optimizer
        encoder.main(arguments(crops, run_dir, "--optimizer", optimizer))
        assert {p.name for p in run_dir.iterdir()} == {"args.json", "log.csv", "validation.csv", "last.pt", "ema.pt"}
        rows = list(csv.DictReader(open(run_dir / "validation.csv")))
        assert [row["condition"] for row in rows][:2] == ["clean", "blurred"] and rows[0]["photos"] == "16"
        model, config, about = candidates.open_candidate(run_dir / "ema.pt")
        assert config["backbone"] == "test_convnext" and about["data"]["photos_seen"] == 16
        assert about["args"]["optimizer"] == optimizer and "run_dir" not in about["args"]
        assert model.embed(torch.zeros(1, 3, 64, 64)).shape == (1, 128)
    rows = compare([tmp_path / "adamw", tmp_path / "muon"])
    assert [(row["run"], row["optimizer"], row["photos"]) for row in rows] == [
        ("adamw", "adamw", "16"),
        ("muon", "muon", "16"),
    ]
    assert "seed" not in rows[0]  # only what differs
    # A row more, when the folders of the others are gone.
    output = tmp_path / "experiments.csv"
    experiments.main(experiments.get_args_parser().parse_args([str(tmp_path / "adamw"), "--output", str(output)]))
    for _ in range(2):
        words = [str(tmp_path / "muon"), "--output", str(output), "--add"]
        experiments.main(experiments.get_args_parser().parse_args(words))
    listed = list(csv.DictReader(open(output)))
    assert [row["run"] for row in listed] == ["adamw", "muon"] and listed[1]["photos"] == "16"
    # A run of before there was a setting has none.
    old = json.loads((tmp_path / "adamw" / "args.json").read_text())
    (tmp_path / "adamw" / "args.json").write_text(json.dumps({k: v for k, v in old.items() if k != "blended"}))
    assert [row["blended"] for row in compare([tmp_path / "adamw", tmp_path / "muon"])] == [None, 0.0]


def test_frozen_stages_stay_as_they_are(crops, tmp_path):
    encoder.main(arguments(crops, tmp_path / "first"))
    words = ["--init", str(tmp_path / "first" / "ema.pt"), "--frozen", "1"]
    encoder.main(arguments(crops, tmp_path / "next", *words))
    before, after = (candidates.open_candidate(tmp_path / n / "ema.pt")[0].state_dict() for n in ("first", "next"))
    frozen = {name for name in after if name.startswith(("encoder.stem", "encoder.stages.0"))}
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen)
    moved = [name for name in after if name.startswith("encoder.stages.1") and after[name].ndim > 1]
    assert moved and not any(torch.equal(before[name], after[name]) for name in moved)


def test_a_resumed_run_ends_with_the_same_weights(crops, tmp_path, monkeypatch):
    encoder.main(arguments(crops, tmp_path / "whole"))
    stop = encoder.train_until

    def cut(run, until, network, batches):
        stop(run, lambda r: r.step >= 2, network, batches)
        run.save()
        raise KeyboardInterrupt

    monkeypatch.setattr(encoder, "train_until", cut)
    with pytest.raises(KeyboardInterrupt):
        encoder.main(arguments(crops, tmp_path / "cut"))
    monkeypatch.setattr(encoder, "train_until", stop)
    encoder.main(arguments(crops, tmp_path / "cut", "--resume"))
    whole, cut = (torch.load(tmp_path / name / "last.pt", weights_only=True) for name in ("whole", "cut"))
    assert whole["place"][:2] == cut["place"][:2] == [4, 16]
    assert all(torch.equal(whole["model"][name], cut["model"][name]) for name in whole["model"])


def test_two_processes_train_as_one(crops, tmp_path):
    words = f"--crops {crops} --run_dir {tmp_path / 'run'} --batch_size 8 --photos 16 --size 64 --workers 0 --seed 3"
    words += " --backbone test_convnext --no-amp --log_every 1 --validations 1 --identity none"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    run = subprocess.run(
        [*command, "-m", "pretraining.encoder.train", *words.split()],
        cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = list(csv.DictReader(open(tmp_path / "run" / "log.csv")))
    assert [row["photos"] for row in rows] == ["8", "16"]  # written once, counted for both
    assert torch.load(tmp_path / "run" / "last.pt", weights_only=True)["place"][:2] == [2, 16]


def test_the_processes_share_a_batch(crops):
    people = People(crops)
    whole = Batches(people, 6, 6, 64, Augmentation(), 0)[2][1]
    parts = [Batches(people, 6, 6, 64, Augmentation(), 0, part=(rank, 2))[2] for rank in range(2)]
    assert torch.equal(torch.stack([parts[0][1], parts[1][1]], 1).flatten(0, 1), whole)
    assert not torch.equal(parts[0][0], parts[1][0])


def test_the_next_leg_counts_the_photos_of_the_one_before(crops, tmp_path):
    encoder.main(arguments(crops, tmp_path / "one"))
    encoder.main(arguments(crops, tmp_path / "two", "--init", str(tmp_path / "one" / "ema.pt")))
    assert candidates.open_candidate(tmp_path / "two" / "ema.pt")[2]["data"]["photos_seen"] == 32


def test_weights_that_learned_from_others_are_fitted_first(crops, tmp_path, capsys):
    encoder.main(arguments(crops, tmp_path / "one"))
    words = ("--init", str(tmp_path / "one" / "ema.pt"), "--refit")
    encoder.main(arguments(crops, tmp_path / "two", *words))
    assert "last layer fitted" in capsys.readouterr().out


def test_the_mean_of_two_legs_is_a_candidate(crops, tmp_path):
    first, second = (tmp_path / name / "ema.pt" for name in ("one", "two"))
    encoder.main(arguments(crops, first.parent))
    encoder.main(arguments(crops, second.parent, "--init", str(first)))
    soup.main(soup.get_args_parser().parse_args([str(first), str(second), "--output", str(tmp_path / "soup.pt")]))
    model, config, about = candidates.open_candidate(tmp_path / "soup.pt")
    ends = [candidates.open_candidate(path)[0].state_dict() for path in (first, second)]
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, (ends[0][name] + ends[1][name]) / 2, rtol=1e-3, atol=1e-4)
    assert about["data"]["photos_seen"] == 32 and about["args"]["mean_of_legs"] == 2
    other = torch.load(first, weights_only=True)
    with pytest.raises(FacecomError, match="different networks"):
        soup.soup([other, other | {"config": config | {"img_size": 32}}])


def test_links_in_the_run_folder_are_followed(crops, tmp_path):
    """The files may lie on another disk."""
    (tmp_path / "run").mkdir()
    for name in ("last.pt", "ema.pt"):
        (tmp_path / "run" / name).symlink_to(tmp_path / name)
    encoder.Run(arguments(crops, tmp_path / "run")).save()
    for name, part in (("last.pt", "place"), ("ema.pt", "photos")):
        assert (tmp_path / "run" / name).is_symlink()
        assert part in torch.load(tmp_path / name, weights_only=True)
