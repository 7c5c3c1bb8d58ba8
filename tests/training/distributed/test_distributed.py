"""Several processes train as one: `torchrun` with the scripts as users call them, and the pieces alone."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from facecom.models import checkpoint
from facecom.models.initial import initial_model
from facecom.training import distributed
from facecom.training.distributed import group, parts
from facecom.training.loop import seed_everything

ROOT = Path(__file__).resolve().parents[3]
TINY = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --quiet --no-amp --device cpu"


def start(task, data, folder, processes, *more):
    """A training on that many processes."""
    script = str(ROOT / f"comsys-hackathon-task{task}" / "train.py")
    flags = ["--data_dir", data, "--run_dir", folder / "run", "--output", folder / "best.pt", *TINY.split()]
    words = [script, *map(str, [*flags, "--workers", 0, *more])]
    launch = ["-m", "torch.distributed.run", f"--nproc_per_node={processes}", "--standalone"] if processes else []
    folder.mkdir(exist_ok=True)
    with open(folder / "said", "a") as out, open(folder / "errors", "a") as err:
        env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen([sys.executable, *launch, *words], env=env, stdout=out, stderr=err)


def train(*args):
    assert start(*args).wait() == 0, (args[2] / "errors").read_text()[-3000:]
    return checkpoint.read(args[2] / "run" / "last.pt")


#: The batch normalisation behind it takes this bias off again: its gradient is rounding, which AdamW makes steps of.
WITHOUT_EFFECT = {"encoder.head.norm.bias", "backbone.head.norm.bias", "neck.0.running_mean"}


def assert_same(one, other, tolerance=1e-4):
    assert one["model"].keys() == other["model"].keys()
    for name, value in one["model"].items():
        near = tolerance * (10 if name in WITHOUT_EFFECT else 1)
        torch.testing.assert_close(value, other["model"][name], atol=near, rtol=1e-3, msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["A", "B"])
def test_two_processes_train_as_one_does(task, sample_a, sample_b, tmp_path):
    data = {"A": sample_a, "B": sample_b}[task]
    flags = ("--epochs", 2, "--batch_size", 4, "--conditions", "simulate,real", "--lr", 2e-4)
    one, two = train(task, data, tmp_path / "one", 0, *flags), train(task, data, tmp_path / "two", 2, *flags)
    seed_everything(42)
    at_first = initial_model({"A": "gender", "B": "siamese"}[task], "none", backbone="test_convnext", img_size=32)
    weight = next(name for name, value in one["model"].items() if value.ndim == 4)
    moved = (one["model"][weight] - at_first.model.state_dict()[weight]).abs().max()
    assert moved > 1e-4 and moved > 20 * (one["model"][weight] - two["model"][weight]).abs().max()
    assert_same(one, two)
    assert one["metrics"].keys() == two["metrics"].keys()
    for name, value in one["metrics"].items():
        assert value == pytest.approx(two["metrics"][name], abs=0.05, nan_ok=True), name
    assert one["data"] == two["data"]  # the same photos, though each process has read half of them
    said = [(tmp_path / name / "said").read_text() for name in ("one", "two")]
    assert said[1].count("epoch 2/2") == 1 and said[0].splitlines()[:6] == said[1].splitlines()[:6]
    assert {path.name for path in (tmp_path / "two" / "run").iterdir()} == {
        "args.yaml", "log.csv", "last.pt", "best.pt", "curves.png"
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("layers", ["top", "all"])
def test_hard_pairs_are_looked_for_in_the_whole_batch(layers, siamese_file, sample_b, tmp_path):
    """The network knows people already: batches of people, whose photos need each other."""
    flags = ("--epochs", 2, "--batch_size", 6, "--conditions", "real", "--lr", 1e-3, "--layers", layers, "--no-adapt")
    known = ["--init", siamese_file, "--pool", "avg", "--img_size", 64]
    one, two = (train("B", sample_b, tmp_path / str(count), count, *flags, *known) for count in (0, 2))
    assert_same(one, two)
    at_first = checkpoint.read(siamese_file)["model"]
    weight = "projection.0.weight"
    moved = (one["model"][weight] - at_first[weight]).abs().max()
    assert moved > 1e-4 and moved > 20 * (one["model"][weight] - two["model"][weight]).abs().max()


@pytest.mark.slow
def test_a_dead_process_ends_the_run_in_one_line_and_resume_goes_on(sample_b, tmp_path):
    flags = ("--epochs", 3, "--batch_size", 4, "--conditions", "real")
    whole = train("B", sample_b, tmp_path / "whole", 2, *flags)
    run = start("B", sample_b, tmp_path / "cut", 2, *flags)
    while not (tmp_path / "cut" / "run" / "last.pt").exists():
        assert run.poll() is None
        time.sleep(0.005)
    os.kill(worker(run.pid, 1), signal.SIGKILL)
    assert run.wait() != 0
    lines = (tmp_path / "cut" / "errors").read_text().splitlines()
    assert [line for line in lines if line.startswith(("error:", "stopped"))] == [f"error: {group.DEAD}"]
    done = checkpoint.read(tmp_path / "cut" / "run" / "last.pt")["epoch"]
    again = train("B", sample_b, tmp_path / "cut", 2, *flags, "--resume")
    assert done < 3 and again["epoch"] == 3
    assert_same(whole, again, 1e-6)
    with open(tmp_path / "cut" / "run" / "log.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3"]


def worker(launcher, rank):
    """The process of this rank among the children of `torchrun`."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            if parent == launcher and f"\0RANK={rank}\0".encode() in b"\0" + (place / "environ").read_bytes():
                return int(place.name)
        except OSError:
            continue
    raise AssertionError("no such process")


@pytest.mark.slow
def test_what_is_wrong_is_said_once(tmp_path):
    assert start("B", tmp_path / "nowhere", tmp_path / "run", 2).wait() != 0
    lines = (tmp_path / "run" / "errors").read_text().splitlines()
    told = [line for line in lines if line.startswith("error:")]
    assert len(told) == 1 and "nowhere: no such folder" in told[0]
    assert not [line for line in lines if "Traceback" in line and "torch" not in line and "rank" in line]


def pretend(monkeypatch, rank, size):
    for module in (parts, group):
        monkeypatch.setattr(module, "rank", lambda: rank)
        monkeypatch.setattr(module, "size", lambda: size)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_the_parts_of_a_batch_are_the_batch(size, monkeypatch):
    loader = DataLoader(TensorDataset(torch.arange(11)), batch_size=4)
    found = [[] for _ in loader]
    for rank in range(size):
        pretend(monkeypatch, rank, size)
        mine = distributed.Parts(loader)
        assert len(mine) == len(loader) == 3
        for number, ((batch,), counted, weight) in enumerate(mine):
            assert len(batch) >= 1 and counted in (len(batch), 0)  # nobody is without a sample
            found[number] += batch[:counted].tolist()
            assert weight == pytest.approx(counted * size / (4, 4, 3)[number])
    assert [sorted(batch) for batch in found] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]


def test_alone_nothing_changes():
    loader = DataLoader(TensorDataset(torch.arange(5)), batch_size=2)
    assert (
        distributed.Parts(loader).loader is loader
        and [part[1:] for part in distributed.Parts(loader)] == [(None, 1)] * 3
    )
    photos = np.arange(3)
    assert distributed.part_of(photos) is photos and distributed.gathered(photos, 3) is photos
    assert distributed.from_first(lambda: 7) == 7 and distributed.first()
    with distributed.joined("cpu"):
        assert not torch.distributed.is_initialized()


CHECK = """
import os, sys
import numpy as np, pandas as pd, torch
from torch import nn
from facecom.training import distributed
from facecom.training.distributed import parts
with distributed.joined("cpu"):
    rank = torch.distributed.get_rank()
    torch.manual_seed(rank)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))
    distributed.synchronise(model)
    x = torch.randn(10, 3, 6, 6, generator=torch.Generator().manual_seed(5)) + 3
    mine = x[rank::2] if rank else x[:7:2]  # of 4 and 5
    rest = x[[0, 2, 4, 6, 1, 3, 5, 7, 9]]
    for batch in (mine, mine.flip(0)):
        model.zero_grad()
        (model(batch).square().mean() * len(batch) * 2 / 9).backward()
        distributed.average(model)
    assert distributed.gathered(np.arange(11)[rank::2], 11).tolist() == list(range(11))
    assert distributed.gathered(np.ones((1, 2)) if rank else np.zeros((1, 2)), 2)[:, 0].tolist() == [0, 1]
    assert distributed.gathered(None if rank else np.arange(1), 1).tolist() == [0]
    assert distributed.together(np.array([rank]))[0].tolist() == [0, 1]
    assert distributed.from_first(rank) == 0
    own = torch.tensor([[3.0 + rank, 1.0]] * (2 - rank), requires_grad=True)
    whole, = distributed.whole_batch(own)
    assert whole[:, 0].tolist() == [3, 3, 4]
    (whole.prod() * (2 / 3 * len(own))).backward()  # 2/3 n: what a part of 3 weighs
    torch.testing.assert_close(own.grad / 2, (36.0 / own).detach())
    if rank == 0:
        torch.manual_seed(0)
        alone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 1))
        for batch in (rest, rest):
            alone.zero_grad()
            alone(batch).square().mean().backward()
        for (name, one), other in zip(alone.named_parameters(), model.parameters()):
            torch.testing.assert_close(one.grad, other.grad, atol=1e-5, rtol=1e-4, msg=name)
        for (name, one), other in zip(alone.named_buffers(), model.buffers()):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5, msg=name)
        print("the same")
"""


@pytest.mark.slow
def test_gradients_and_batch_statistics_are_those_of_the_whole_batch(tmp_path):
    (tmp_path / "check.py").write_text(CHECK)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        "--standalone",
        tmp_path / "check.py",
    ]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    told = subprocess.run(launch, env=env, capture_output=True, text=True)
    assert told.returncode == 0 and told.stdout == "the same\n", told.stderr[-3000:]
