"""The training loop of both tasks: an epoch, early stopping, half precision, and resuming to the bit.

Everything random in an epoch follows from (seed, epoch): an interrupted run that is resumed repeats the epoch it was
cut in and ends with the weights of a run that was not.
"""

import argparse
import contextlib
import math
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from facecom import cli
from facecom.data.augmentation import derived_seed
from facecom.errors import FacecomError
from facecom.evaluation import metrics
from facecom.models import checkpoint
from facecom.models.initial import initial_model
from facecom.training import distributed
from facecom.training.job import Diverged, Job, autocast
from facecom.training.preparation import open_data, preprocessing_of
from facecom.training.recipes import first_look
from facecom.training.run_folder import draw_curves, epoch_line, open_run, write_log

#: What is logged about the training photos, as they are seen.
TRAIN_FIGURES = ("train_loss", "train_accuracy", "train_precision", "train_recall", "train_f1")


class EarlyStopping:
    """Counts epochs without a better figure; higher is better, and an undefined figure is never better."""

    def __init__(self, patience: int):
        self.patience, self.best, self.waited = patience, -np.inf, 0

    def improved(self, figure: float) -> bool:
        """Whether this epoch is the best so far."""
        better = bool(figure > self.best)
        self.best, self.waited = (float(figure), 0) if better else (self.best, self.waited + 1)
        return better

    @property
    def over(self) -> bool:
        """Whether `patience` epochs in a row were no better."""
        return self.waited >= self.patience


def run(job_type: type[Job], args: argparse.Namespace) -> dict[str, float]:
    """A whole training run by its settings (`recipes.training_arguments`). Returns the log row of the best epoch."""
    device = cli.pick_device(args.device)
    args = distributed.from_first(args)
    resume = distributed.from_first(lambda: open_run(args.run_dir, args.resume))
    seed_everything(args.seed)
    asked = {name: getattr(args, name) for name in ("backbone", "pool", "img_size")}
    published = args.recipe == "published"
    asked |= {"new_size": first_look(args, job_type.task)[1], "layer_scale": published or None}
    start = initial_model(job_type.task, args.init, **asked)
    print(start.said)
    preprocessing = preprocessing_of(job_type.task, args, start)
    sets, data = open_data(job_type.data_set, args, preprocessing, device)
    job = job_type(args, start, preprocessing, sets, data, device)
    if args.epochs == 0 and not job.judge_start:
        raise FacecomError("--epochs 0: there is nothing to adapt: a network that starts anew must train")
    if distributed.first():
        cli.save_settings(Path(args.run_dir) / cli.SETTINGS, args)
    if resume is None:
        job.prepare()
    return fit(job, args, resume)


def fit(job: Job, args: argparse.Namespace, resume: Path | None = None) -> dict[str, float]:
    """Train and keep the books: `last.pt`, `best.pt`, `log.csv` and `curves.png` in run_dir, the best also as `output`.

    args: run_dir, output, epochs, patience, seed, quiet, and more that is stored with the weights; resume: the
    `last.pt` to go on from. Returns the log row of the best epoch.
    """
    run_dir, stop, rows = Path(args.run_dir), EarlyStopping(args.patience), []
    device = next(job.model.parameters()).device
    scaler = torch.amp.GradScaler(device.type, enabled=job.amp == torch.float16)
    if resume:
        rows = restore(resume, job, scaler, stop)
        print(f"resumes after epoch {rows[-1]['epoch']}")
    distributed.synchronise(job.model)
    first = rows[-1]["epoch"] + 1 if rows else 0 if job.judge_start else 1
    for epoch in range(first, args.epochs + 1):
        if stop.over:
            print(f"stops early: no better {job.select} in {args.patience} epochs")
            break
        seed_everything(derived_seed(args.seed, epoch))
        row, name = {"epoch": epoch, "lr": job.set_lr(max(0, epoch - 1))}, f"epoch {epoch}/{args.epochs}"
        try:
            if epoch:
                quiet = args.quiet or not distributed.first()
                row |= train_one_epoch(job, job.batches(epoch), scaler, epoch, quiet=quiet, name=name)
            else:
                row |= dict.fromkeys(TRAIN_FIGURES, np.nan)
            row |= job.evaluate()
        except Diverged as error:
            advice = f"start again with a lower --lr{kept_weights(run_dir, args.output, rows)}"
            raise FacecomError(f"{name}: {error}: {advice}") from error
        row, convinces = distributed.from_first((row, job.convinces()))
        rows.append(row)
        better = stop.improved(row[job.select] if convinces else np.nan)
        if distributed.first():
            content = {"model": job.model, "args": vars(args), "epoch": epoch, "metrics": row, **job.content()}
            if better or len(rows) == 1:
                checkpoint.save(run_dir / "best.pt", **content)
                checkpoint.save(args.output, **content)
            # The last: from here on this epoch counts as done.
            checkpoint.save(run_dir / "last.pt", **content, training=training_state(job, scaler, stop, rows))
            write_log(run_dir / "log.csv", rows)
        print(epoch_line(row, args.epochs) + ("  (best)" if better else ""))
    if distributed.first():
        write_log(run_dir / "log.csv", rows)  # again: a run may have been cut after its last epoch's `last.pt`
        draw_curves(run_dir / "curves.png", rows)
    best = distributed.from_first(lambda: checkpoint.read(run_dir / "best.pt"))
    job.model.load_state_dict(best["model"])
    for line in job.finish():
        print(line)
    names = ("epoch", "metrics", "args", "adaptation", "model", *job.content())
    if (settled := job.settle({name: best[name] for name in names})) and distributed.first():
        checkpoint.save(args.output, **settled)
    return next(row for row in rows if row["epoch"] == best["epoch"])


def gradients_are_numbers(model: torch.nn.Module) -> bool:
    """Whether no gradient is NaN or infinite, nor so large that their norm is."""
    norms = [part.grad.norm() for part in model.parameters() if part.grad is not None]
    return bool(torch.stack(norms).norm().isfinite()) if norms else True


@contextlib.contextmanager
def said_of_small_batches(size: int) -> Iterator[None]:
    """Batch normalisation cannot work on one value; torch says so in its own words."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        few = f"a batch of {size} is too few for this --backbone, which normalises over the batch"
        raise FacecomError(f"{few}: give a larger --batch_size, or more photos") from error


def kept_weights(run_dir: Path, output: str | Path, rows: list[dict]) -> str:
    """What a run that breaks off leaves to the user, in words."""
    if not rows or not (run_dir / "best.pt").exists():  # of several processes the first has them
        return ""
    return f"; the best weights so far (epoch {checkpoint.read(run_dir / 'best.pt')['epoch']}) are kept in {output}"


def train_one_epoch(
    job: Job, batches: DataLoader, scaler: torch.amp.GradScaler, epoch: int, *, quiet: bool, name: str
) -> dict[str, float]:
    """One pass over the batches. Returns the mean of loss, and accuracy, precision, recall and F1, with `train_`."""
    job.model.train()
    device = next(job.model.parameters()).device
    total, answers, truths = 0.0, [], []
    with tqdm(distributed.Parts(batches), desc=name, unit="batch", disable=quiet or None, leave=False) as bar:
        for number, (batch, counted, weight) in enumerate(bar):
            job.set_lr(epoch - 1 + number / len(batches))
            batch = tuple(part.to(device, non_blocking=True) for part in batch)
            with autocast(device, job.amp), said_of_small_batches(len(batch[0])):
                loss, answer, truth = job.loss(batch)
            if not math.isfinite(loss.item()):
                raise Diverged(f"the loss is no longer a number in batch {number + 1}")
            job.optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss * weight).backward()
            distributed.average(job.model)
            if not scaler.is_enabled() and not gradients_are_numbers(job.model):  # else the scaler leaves out the step
                raise Diverged(f"the gradients are no longer numbers in batch {number + 1}")
            truth = truth[:counted]
            scaler.step(job.optimizer)
            scaler.update()
            total += loss.item() * len(truth)
            answers.append(answer[:counted].cpu().numpy())
            truths.append(truth.cpu().numpy())
            bar.set_postfix(loss=f"{loss.item():.4f}")
    said, true, totals = distributed.together(np.concatenate(answers), np.concatenate(truths), np.array([total]))
    figures = metrics.classification(true, said)
    figures["loss"] = totals.sum() / len(true)
    return {name: figures[name.removeprefix("train_")] for name in TRAIN_FIGURES}


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def training_state(job: Job, scaler, stop: EarlyStopping, rows: list[dict]) -> dict:
    """What `restore` needs to go on as if nothing had happened."""
    return {
        "optimizer": job.optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "early_stopping": {"best": stop.best, "waited": stop.waited},
        "rng": {"torch": torch.get_rng_state()},
        "log": rows,
        "job": job.state(),
    }


def restore(path: str | Path, job: Job, scaler, stop: EarlyStopping) -> list[dict]:
    """Put network, optimizer and counters back to where `path` was written; returns the log until then.
    Raises FacecomError where that was another network's, another version's, or no run's at all."""
    content = distributed.from_first(lambda: checkpoint.read(path))
    try:
        state = content["training"]
        job.model.load_state_dict(content["model"])
        job.resume(content)
        job.optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        stop.best, stop.waited = state["early_stopping"]["best"], state["early_stopping"]["waited"]
        torch.set_rng_state(state["rng"]["torch"])
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise FacecomError(
            f"{path}: of another network, or by another version of facecom: start anew with another --run_dir"
        ) from error
    return state["log"]
