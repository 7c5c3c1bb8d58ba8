"""Task B's side of training: pairs, contrastive loss, and what held-back people say about each epoch."""

import numpy as np
import pandas as pd
import torch

from facecom.data.pairs import draw_pairs, published_pairs
from facecom.evaluation import metrics, protocols
from facecom.evaluation.comparisons import strictest_scores
from facecom.evaluation.operating_points import in_words
from facecom.inference.templates import distances
from facecom.models import mirror
from facecom.models.losses import contrastive_loss, distance
from facecom.training.job import Job, cosine

#: What decides which epoch is best: how many are recognised at this false accept rate.
HEADLINE, FAR = "held_tar@far=1e-3", 1e-3

#: Published: a cosine of ten epochs, down and up again.
TURN = 10


class SiameseJob(Job):
    """Pairs of photos; the best epoch recognises most held-back people on other photos of theirs."""

    task, data_set = "siamese", "B"

    def __init__(self, args, start, preprocessing, sets, data, device):
        super().__init__(args, start, preprocessing, sets, data, device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=args.lr, weight_decay=args.weight_decay)
        if self.published:
            self.select, rate = "val_accuracy", {"far": None, "genuine": None, "impostor": None, "identities": None}
            self.operating_points = [{"threshold": protocols.PUBLISHED_DISTANCE, **rate}]
        else:
            self.select = HEADLINE if _has_cross_photo(sets["held"][0]) else "held_accuracy"

    @property
    def threshold(self) -> float:
        """Distance up to which a pair counts as one person: the operating point so far, at first the published one."""
        return self.operating_points[0]["threshold"] if self.operating_points else protocols.PUBLISHED_DISTANCE

    def published_lr(self, epoch):
        return cosine(epoch / TURN)

    def pairs(self, table: pd.DataFrame, seed: int) -> pd.DataFrame:
        return (published_pairs if self.published else draw_pairs)(table, seed)

    def batches(self, epoch):
        pairs = self.pairs(self.sets["train"][0], self.draw_seed(epoch))
        return self.shuffled(epoch, pairs[["a", "b"]].to_numpy(), pairs[["same"]].to_numpy())

    def loss(self, batch):
        x1, x2, same = batch
        a, b = self.model(*(x.contiguous(memory_format=torch.channels_last) for x in (x1, x2)))
        loss = contrastive_loss(a, b, same, self.args.margin)
        return loss, distance(a, b).detach() <= self.threshold, same.bool()

    def evaluate(self):
        embed = lambda x: mirror.embed(self.model, x, self.mirror)[0]  # noqa: E731
        embeddings = {name: self.answers(embed, crops) for name, (_, crops) in self.sets.items() if name != "train"}
        if not self.published:
            strangers = embeddings.get("strangers")
            known = bool(self.operating_points)
            self.operating_points = protocols.fit_operating_points(self.sets["held"][0], embeddings["held"], strangers)
            if not known and self.operating_points:
                print(f"threshold: {in_words(self.operating_points[0])}")
        row = {}
        for name in ("held", "val"):
            if name in embeddings:
                figures = self.figures(self.sets[name][0], embeddings[name])
                row |= {f"{name}_{metric}": value for metric, value in figures.items()}
        return row

    def figures(self, table: pd.DataFrame, embeddings: np.ndarray) -> dict[str, float]:
        """Pairs judged at the threshold, and the cross-photo figures of all conditions pooled."""
        pairs = self.pairs(table, self.args.seed)
        close = distances(embeddings[pairs["a"]], embeddings[pairs["b"]]) <= self.threshold
        judged = metrics.classification(pairs["same"].to_numpy(), close)
        figures = {name: judged[name] for name in ("accuracy", "precision", "recall", "f1")}
        genuine, closest, count = strictest_scores(table, embeddings, "all", FAR)
        figures["tar@far=1e-3"] = metrics.tar_at_far(genuine, closest, FAR, count)[0]
        _, rank, _ = protocols.nearest_identities(table, embeddings, "all")
        figures["rank1"] = float(np.mean(rank == 1)) if len(rank) else np.nan
        return figures


def _has_cross_photo(table: pd.DataFrame) -> bool:
    """Whether any person of the table has two photos, so that cross-photo figures are defined."""
    return bool((table.groupby("identity")["photo"].nunique() > 1).any())
