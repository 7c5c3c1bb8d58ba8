import argparse
import csv

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from facecom.errors import FacecomError
from facecom.models import checkpoint
from facecom.training.loop import EarlyStopping, fit, seed_everything, train_one_epoch


class Toy:
    """A job on numbers: one linear layer, figures of held-back people by script."""

    select = "held_f1"
    amp = None
    judge_start = False

    def __init__(self, figures=(0.1, 0.2)):
        torch.manual_seed(0)
        self.model = nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.5)
        self.figures, self.resumed = list(figures), None
        x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 0.0]])
        self.data = TensorDataset(x, torch.tensor([1.0, 0.0, 1.0, 0.0]))

    def batches(self, epoch):
        return DataLoader(self.data, batch_size=2)

    def loss(self, batch):
        x, y = batch
        logits = self.model(x).squeeze(1)
        return nn.functional.mse_loss(logits, y), logits.detach() > 0.5, y.bool()

    def set_lr(self, done):
        self.optimizer.param_groups[0]["lr"] = 0.5 ** (1 + int(done))
        return self.optimizer.param_groups[0]["lr"]

    def evaluate(self):
        return {"held_f1": self.figures.pop(0)}

    def convinces(self):
        return True

    def state(self):
        return {"seen": 1}

    def finish(self):
        return ["what it did"]

    def settle(self, content):
        return None

    def content(self):
        return {"task": "toy", "config": {}, "preprocessing": {}}

    def resume(self, content):
        self.resumed = content["epoch"]


def settings(folder, **more):
    defaults = {"run_dir": folder / "run", "output": folder / "w" / "best.pt", "epochs": 2, "patience": 3, "seed": 1}
    return argparse.Namespace(**defaults | {"quiet": True} | more)


def test_one_epoch_is_plain_gradient_descent():
    job, twin = Toy(), Toy()
    figures = train_one_epoch(job, job.batches(1), torch.amp.GradScaler("cpu", enabled=False), 1, quiet=True, name="x")
    losses, answers = [], []
    weight, bias = twin.model.weight.detach().clone()[0], twin.model.bias.detach().clone()
    for x, y in twin.batches(1):
        error = x @ weight + bias - y
        losses += [float((error**2).mean())] * 2
        answers += [bool(v) for v in (x @ weight + bias > 0.5)]
        weight, bias = weight - 0.5 * (error[:, None] * x).mean(0) * 2, bias - 0.5 * error.mean() * 2
    assert torch.allclose(job.model.weight[0], weight) and torch.allclose(job.model.bias, bias)
    assert figures["train_loss"] == pytest.approx(np.mean(losses))
    truth = [True, False, True, False]
    assert figures["train_accuracy"] == np.mean([a == t for a, t in zip(answers, truth, strict=True)])


def test_a_loss_that_is_no_number_stops_the_run():
    job = Toy()
    with torch.no_grad():
        job.model.bias.fill_(float("nan"))
    with pytest.raises(FacecomError, match=r"the loss is no longer a number in batch 1"):
        train_one_epoch(job, job.batches(1), torch.amp.GradScaler("cpu", enabled=False), 3, quiet=True, name="x 3/9")


def test_early_stopping_counts_epochs_without_a_better_figure():
    stop = EarlyStopping(2)
    assert [stop.improved(f) for f in (0.5, 0.5, 0.6, float("nan"))] == [True, False, True, False]
    assert not stop.over
    assert not stop.improved(0.1) and stop.over


def test_fit_keeps_the_best_and_stops_early(tmp_path, capsys):
    job = Toy(figures=(0.3, 0.7, 0.5, 0.6, 0.9))
    best = fit(job, settings(tmp_path, epochs=5, patience=2))
    assert best["epoch"] == 2 and best["held_f1"] == 0.7
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"log.csv", "last.pt", "best.pt", "curves.png"}
    assert checkpoint.read(tmp_path / "run" / "best.pt")["epoch"] == 2
    assert checkpoint.read(tmp_path / "run" / "last.pt")["epoch"] == 4
    assert (tmp_path / "w" / "best.pt").read_bytes() == (tmp_path / "run" / "best.pt").read_bytes()
    assert checkpoint.read(tmp_path / "w" / "best.pt")["training"] is None
    with open(tmp_path / "run" / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["held_f1"] for row in rows] == ["0.3", "0.7", "0.5", "0.6"]
    assert [float(row["lr"]) for row in rows] == [0.5, 0.25, 0.125, 0.0625]
    assert "stops early: no better held_f1 in 2 epochs" in capsys.readouterr().out


def test_a_good_start_may_stay_the_best(tmp_path):
    job = Toy(figures=(0.9, 0.5, 0.6))
    job.judge_start = True
    start = job.model.weight.detach().clone()
    best = fit(job, settings(tmp_path))
    assert best["epoch"] == 0 and np.isnan(best["train_loss"])
    assert torch.equal(checkpoint.read(tmp_path / "w" / "best.pt")["model"]["weight"], start)
    last = checkpoint.read(tmp_path / "run" / "last.pt")["model"]["weight"]
    assert not torch.equal(last, start) and torch.equal(job.model.weight, start)  # it ends as the best
    with open(tmp_path / "run" / "log.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"] and rows[0]["train_loss"] == "" != rows[1]["train_loss"]
    assert [float(row["lr"]) for row in rows] == [0.5, 0.5, 0.25]


def test_what_only_seems_better_is_not_kept(tmp_path, capsys):
    job, said = Toy(figures=(0.5, 0.6, 0.7)), []
    job.judge_start = True
    job.convinces = lambda: not said and not said.append(1)  # the start alone does
    assert fit(job, settings(tmp_path))["epoch"] == 0
    assert capsys.readouterr().out.endswith("what it did\n")


def test_undefined_figures_still_leave_weights(tmp_path):
    fit(Toy(figures=(float("nan"),) * 2), settings(tmp_path))
    assert checkpoint.read(tmp_path / "w" / "best.pt")["epoch"] == 1
    assert "nan" not in (tmp_path / "run" / "log.csv").read_text()


def test_resuming_goes_on_where_it_was(tmp_path):
    whole = Toy(figures=(0.3, 0.2, 0.1))
    fit(whole, settings(tmp_path / "whole", epochs=3))
    cut = Toy(figures=(0.3,))
    with pytest.raises(IndexError):  # no figure is left for the second epoch
        fit(cut, settings(tmp_path / "cut", epochs=3))
    again = Toy(figures=(0.2, 0.1))
    best = fit(again, settings(tmp_path / "cut", epochs=3), resume=tmp_path / "cut" / "run" / "last.pt")
    assert again.resumed == 1 and best["epoch"] == 1
    assert checkpoint.read(tmp_path / "cut" / "run" / "best.pt")["epoch"] == 1
    assert torch.equal(whole.model.weight, again.model.weight)
    for name in ("log.csv", "curves.png"):
        assert (tmp_path / "whole/run" / name).read_bytes() == (tmp_path / "cut/run" / name).read_bytes()


def test_a_run_of_another_network_is_not_resumed(tmp_path):
    fit(Toy(), settings(tmp_path))
    other = Toy()
    other.model = nn.Linear(3, 1)
    with pytest.raises(FacecomError, match=r"last.pt: of another network, .* another --run_dir"):
        fit(other, settings(tmp_path), resume=tmp_path / "run" / "last.pt")


def test_seeding_covers_all_generators():
    import random

    draws = []
    for _ in range(2):
        seed_everything(5)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))
    assert draws[0] == draws[1]
