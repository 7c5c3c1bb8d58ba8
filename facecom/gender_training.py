"""Task A's side of training: focal loss, balance of the genders, calibration on held-back people."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from facecom import cli, metrics
from facecom.balance import draw_epoch, settle
from facecom.calibration import fit_temperature
from facecom.initial import Start, initial_model
from facecom.losses import focal_loss
from facecom.preparation import kind_of, open_data, preprocessing_of, training_transforms
from facecom.runs import open_run
from facecom.samples import Samples, batches, derived_seed
from facecom.training import answers_for, fit, seed_everything

#: Probabilities are calibrated and both genders count the same in training, so this is where a balanced error is
#: least; a threshold fitted on a few hundred held-back photos would follow their noise.
THRESHOLD = 0.5


class GenderJob:
    """See `training.Job`. sets, data: of `preparation.open_data`."""

    def __init__(self, args: argparse.Namespace, start: Start, preprocessing: dict, sets: dict, data: dict, device):
        self.args, self.sets, self.data = args, sets, data
        self.config, self.preprocessing, self.limits = start.config, preprocessing, start.limits
        self.judge_start = start.whole
        self.device, self.amp = device, cli.pick_amp(args.amp, device)
        self.model = start.model.to(device, memory_format=torch.channels_last)
        self.published = args.recipe == "published"
        head = list(self.model.classifier.parameters())
        body = [*self.model.backbone.parameters(), *self.model.neck.parameters()]
        groups = [{"params": body, "lr": args.lr}, {"params": head, "lr": args.head_lr}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=args.weight_decay)
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(self.optimizer, T_0=10, eta_min=1e-6)
        self.transforms = training_transforms("gender", args, preprocessing)
        figure = "accuracy" if sets.get("held", sets["train"])[0]["gender"].nunique() < 2 else "balanced_accuracy"
        self.select = "val_accuracy" if self.published else f"held_{figure}"
        self.balance, said = settle(args.balance, sets["train"][0])
        print(said)
        self.temperature = 1.0
        self.operating_points: list[dict] = []

    def batches(self, epoch: int):
        table, crops = self.sets["train"]
        # Published: drawn once, only the order changes.
        rows, weight = draw_epoch(table, self.balance, derived_seed(self.args.seed, 0 if self.published else epoch))
        order = np.random.default_rng(derived_seed(self.args.seed, epoch, 1)).permutation(len(rows))
        rows, weight = rows[order], weight[order]
        numbers = np.stack([(table["gender"].to_numpy()[rows] == "female"), weight], 1)
        samples = Samples(
            crops, self.transforms, kind_of(table), rows[:, None], numbers, derived_seed(self.args.seed, epoch, 2)
        )
        return batches(
            samples, self.args.batch_size, workers=self.args.workers, device=self.device, whole=not self.published
        )

    def loss(self, batch):
        x, female, weight = batch
        logits = self.model(x.contiguous(memory_format=torch.channels_last)).float()
        loss = focal_loss(logits, female, self.args.gamma, 1.0, self.args.smoothing, weight)
        return loss, logits.detach() > 0, female.bool()

    def evaluate(self) -> dict[str, float]:
        row = {}
        for name in ("held", "val"):
            if name not in self.sets:
                continue
            table, crops = self.sets[name]
            logits = answers_for(self, self.model, crops, self.transforms["eval"], self.args.workers)
            if name == "held":
                self.settle_on(table, logits)
            figures = gender_figures(table, 1 / (1 + np.exp(-logits / self.temperature)))
            row |= {f"{name}_{metric}": value for metric, value in figures.items()}
        return row

    def settle_on(self, table: pd.DataFrame, logits: np.ndarray) -> None:
        """Temperature and operating point from held-back people; every source counts the same."""
        female = (table["gender"] == "female").to_numpy()
        weight = 1 / sources(table).map(sources(table).value_counts()).to_numpy()
        self.temperature = fit_temperature(logits, female, weight)
        point = {"threshold": THRESHOLD, "far": None, "photos": len(table)}
        point["identities"] = int(table["identity"].nunique())
        point["balanced_accuracy"] = gender_figures(table, 1 / (1 + np.exp(-logits)))["balanced_accuracy"]
        self.operating_points = [point]

    def content(self) -> dict[str, Any]:
        return {
            "task": "gender",
            "config": self.config,
            "preprocessing": self.preprocessing,
            "operating_points": self.operating_points,
            "temperature": self.temperature,
            "limits": self.limits,
            "data": self.data,
        }

    def resume(self, content: dict) -> None:
        self.operating_points, self.temperature = content["operating_points"], content["temperature"]


def gender_figures(table: pd.DataFrame, p_female: np.ndarray) -> dict[str, float]:
    """Figures at `THRESHOLD` for the log; balanced accuracy is the mean over sources, so that each counts the same."""
    female = (table["gender"] == "female").to_numpy()
    judged = metrics.classification(female, p_female >= THRESHOLD, p_female)
    names = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "auc", "ece")
    figures = {name: judged[name] for name in names}
    of = sources(table).to_numpy()
    both = [one for one in np.unique(of) if 0 < female[of == one].mean() < 1]
    parts = [metrics.classification(female[of == one], p_female[of == one] >= THRESHOLD) for one in both]
    figures["balanced_accuracy"] = float(np.mean([p["balanced_accuracy"] for p in parts])) if parts else np.nan
    return figures


def sources(table: pd.DataFrame) -> pd.Series:
    """Where each row comes from; one source where the table does not say."""
    return table["source"] if "source" in table else pd.Series("", index=table.index)


def train(args: argparse.Namespace) -> dict[str, float]:
    """A whole training run by its settings (`recipes.training_arguments`). Returns the log row of the best epoch."""
    device = cli.pick_device(args.device)
    resume = open_run(args.run_dir, args.resume)
    seed_everything(args.seed)
    start = initial_model("gender", args.init, backbone=args.backbone, pool=args.pool, img_size=args.img_size)
    print(start.said)
    preprocessing = preprocessing_of("gender", args, start)
    sets, data = open_data("A", args, preprocessing, device)
    job = GenderJob(args, start, preprocessing, sets, data, device)
    cli.save_settings(Path(args.run_dir) / cli.SETTINGS, args)
    return fit(job, args, resume)
