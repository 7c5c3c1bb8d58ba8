"""Task B's side of training: pairs, contrastive loss, and what held-back people say about each epoch."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from facecom import cli, metrics, protocols
from facecom.comparisons import cross_photo_scores
from facecom.initial import Start, initial_model
from facecom.losses import contrastive_loss, distance
from facecom.pairs import draw_pairs, published_pairs
from facecom.preparation import kind_of, open_data, preprocessing_of, training_transforms
from facecom.runs import open_run
from facecom.samples import Samples, batches, derived_seed
from facecom.search import distances
from facecom.training import answers_for, fit, seed_everything

#: What decides which epoch is best.
HEADLINE = "held_tar@far=1e-3"


class SiameseJob:
    """See `training.Job`. sets, data: of `preparation.open_data`."""

    def __init__(self, args: argparse.Namespace, start: Start, preprocessing: dict, sets: dict, data: dict, device):
        self.args, self.sets, self.data = args, sets, data
        self.config, self.preprocessing, self.limits = start.config, preprocessing, start.limits
        self.judge_start = start.whole
        self.device, self.amp = device, cli.pick_amp(args.amp, device)
        self.model = start.model.to(device, memory_format=torch.channels_last)
        self.published = args.recipe == "published"
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
        # Published: a cosine of ten epochs, up and down again.
        length = 10 if self.published else args.epochs
        self.scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, length)
        self.transforms = training_transforms("siamese", args, preprocessing)
        chosen = "val" if self.published else "held"
        self.select = f"{chosen}_accuracy" if self.published or not _has_cross_photo(sets[chosen][0]) else HEADLINE
        self.operating_points: list[dict] = []

    def pairs(self, table: pd.DataFrame, seed: int) -> pd.DataFrame:
        return (published_pairs if self.published else draw_pairs)(table, seed)

    def batches(self, epoch: int):
        table, crops = self.sets["train"]
        # Published: drawn once, only their order changes.
        pairs = self.pairs(table, derived_seed(self.args.seed, 0 if self.published else epoch))
        pairs = pairs.sample(frac=1, random_state=derived_seed(self.args.seed, epoch, 1))
        samples = Samples(
            crops,
            self.transforms,
            kind_of(table),
            pairs[["a", "b"]].to_numpy(),
            pairs[["same"]].to_numpy(),
            derived_seed(self.args.seed, epoch, 2),
        )
        return batches(
            samples, self.args.batch_size, workers=self.args.workers, device=self.device, whole=not self.published
        )

    def loss(self, batch):
        x1, x2, same = batch
        a, b = self.model(*(x.contiguous(memory_format=torch.channels_last) for x in (x1, x2)))
        loss = contrastive_loss(a, b, same, self.args.margin)
        return loss, distance(a, b).detach() <= self.threshold, same.bool()

    @property
    def threshold(self) -> float:
        """Distance below which a pair counts as one person: the operating point so far, at first the published one."""
        return self.operating_points[0]["threshold"] if self.operating_points else protocols.PUBLISHED_DISTANCE

    def evaluate(self) -> dict[str, float]:
        embeddings = {name: self.embed(self.sets[name][1]) for name in ("held", "val") if name in self.sets}
        if not self.published:
            strangers = self.embed(self.sets["strangers"][1]) if "strangers" in self.sets else None
            self.operating_points = protocols.fit_operating_points(self.sets["held"][0], embeddings["held"], strangers)
        row = {}
        for name, found in embeddings.items():
            figures = self.figures(self.sets[name][0], found)
            row |= {f"{name}_{metric}": value for metric, value in figures.items()}
        return row

    def figures(self, table: pd.DataFrame, embeddings: np.ndarray) -> dict[str, float]:
        """Pairs judged at the threshold, and the cross-photo figures of all conditions pooled."""
        pairs = self.pairs(table, self.args.seed)
        close = distances(embeddings[pairs["a"]], embeddings[pairs["b"]]) <= self.threshold
        judged = metrics.classification(pairs["same"].to_numpy(), close)
        figures = {name: judged[name] for name in ("accuracy", "precision", "recall", "f1")}
        genuine, impostor = cross_photo_scores(table, embeddings, "all")
        figures["tar@far=1e-3"] = metrics.tar_at_far(genuine, impostor, 1e-3)[0]
        _, rank, _ = protocols.nearest_identities(table, embeddings, "all")
        figures["rank1"] = float(np.mean(rank == 1)) if len(rank) else np.nan
        return figures

    def embed(self, crops: Sequence) -> np.ndarray:
        """float32 [N, 128], unit length, of all crops as they are."""
        return answers_for(self, self.model.embed, crops, self.transforms["eval"], self.args.workers)

    def content(self) -> dict:
        points = self.operating_points
        if self.published:
            points = [{"threshold": self.threshold, "far": None, "genuine": None, "impostor": None, "identities": None}]
        return {
            "task": "siamese",
            "config": self.config,
            "preprocessing": self.preprocessing,
            "operating_points": points,
            "limits": self.limits,
            "data": self.data,
        }

    def resume(self, content: dict) -> None:
        self.operating_points = content["operating_points"]


def train(args: argparse.Namespace) -> dict[str, float]:
    """A whole training run by its settings (`recipes.training_arguments`). Returns the log row of the best epoch."""
    device = cli.pick_device(args.device)
    resume = open_run(args.run_dir, args.resume)
    seed_everything(args.seed)
    start = initial_model("siamese", args.init, backbone=args.backbone, pool=args.pool, img_size=args.img_size)
    print(start.said)
    preprocessing = preprocessing_of("siamese", args, start)
    sets, data = open_data("B", args, preprocessing, device)
    job = SiameseJob(args, start, preprocessing, sets, data, device)
    cli.save_settings(Path(args.run_dir) / cli.SETTINGS, args)
    return fit(job, args, resume)


def _has_cross_photo(table: pd.DataFrame) -> bool:
    """Whether any person of the table has two photos, so that cross-photo figures are defined."""
    return bool((table.groupby("identity")["photo"].nunique() > 1).any())
