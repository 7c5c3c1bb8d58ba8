"""Task A's side of training: focal loss, balance of the genders, calibration on held-back people."""

import numpy as np
import pandas as pd
import torch

from facecom.data.balance import draw_epoch, settle, sources
from facecom.evaluation import metrics
from facecom.evaluation.calibration import balanced_logit, fit_temperature
from facecom.models import mirror
from facecom.models.losses import focal_loss
from facecom.training.job import Job, cosine
from facecom.training.preparation import OWN

#: Where nothing better is known: probabilities are calibrated and both genders count the same in training.
THRESHOLD = 0.5

#: Held-back photos of either gender in --data_dir from which on the threshold is fitted there.
ENOUGH = 20

#: Published: the cosine starts again every ten epochs.
RESTART = 10


class GenderJob(Job):
    """Photos with a gender; the best epoch has the highest AUC on held-back people, mean over the sources."""

    task, data_set = "gender", "A"

    def __init__(self, args, start, preprocessing, sets, data, device):
        super().__init__(args, start, preprocessing, sets, data, device)
        head = list(self.model.classifier.parameters())
        body = [*self.model.backbone.parameters(), *self.model.neck.parameters()]
        groups = [{"params": body, "lr": args.lr}, {"params": head, "lr": args.head_lr}]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=args.weight_decay)
        if self.published:
            self.select = "val_accuracy"
        else:
            both = sets["held"][0]["gender"].nunique() == 2
            # Not at a threshold: each source would need its own.
            self.select = "held_auc" if both else "held_accuracy"
        self.temperature = 1.0
        self.balance, said = settle(args.balance, sets["train"][0])
        print(said)

    def published_lr(self, epoch):
        return cosine(epoch % RESTART / RESTART)

    def batches(self, epoch):
        table = self.sets["train"][0]
        rows, weight = draw_epoch(table, self.balance, self.draw_seed(epoch))
        female = (table["gender"] == "female").to_numpy()[rows]
        return self.shuffled(epoch, rows[:, None], np.stack([female, weight], 1))

    def loss(self, batch):
        x, female, weight = batch
        logits = self.model(x.contiguous(memory_format=torch.channels_last)).float()
        loss = focal_loss(logits, female, self.args.gamma, 1.0, self.args.smoothing, weight)
        return loss, logits.detach() > 0, female.bool()

    def evaluate(self):
        row = {}
        for name in ("held", "val"):
            if name in self.sets:
                table, crops = self.sets[name]
                logits = self.answers(lambda x: mirror.logits(self.model, x, self.mirror), crops)
                if name == "held":
                    self.settle_on(table, logits)
                figures = gender_figures(table, _sigmoid(logits / self.temperature), self.threshold)
                row |= {f"{name}_{metric}": value for metric, value in figures.items()}
        return row

    @property
    def threshold(self) -> float:
        """Probability from which on the answer is female: the operating point so far."""
        return self.operating_points[0]["threshold"] if self.operating_points else THRESHOLD

    def settle_on(self, table: pd.DataFrame, logits: np.ndarray) -> None:
        """Temperature and operating point from held-back people; every source counts the same."""
        female = (table["gender"] == "female").to_numpy()
        weight = 1 / sources(table).map(sources(table).value_counts()).to_numpy()
        self.temperature = fit_temperature(logits, female, weight)
        # Other sources teach what genders look like, but the photos to be judged are like those of --data_dir.
        own = own_photos(table)
        threshold = THRESHOLD
        if min(female[own].sum(), (~female[own]).sum()) >= ENOUGH:
            threshold = float(_sigmoid(np.asarray(balanced_logit(logits[own], female[own]) / self.temperature)))
        point = {"threshold": threshold, "far": None, "photos": int(own.sum())}
        point["identities"] = int(table["identity"][own].nunique())
        judged = metrics.classification(female[own], _sigmoid(logits[own] / self.temperature) >= threshold)
        point["balanced_accuracy"] = judged["balanced_accuracy"]
        self.operating_points = [point]


def own_photos(table: pd.DataFrame) -> np.ndarray:
    """Which rows are from --data_dir: bool [N]."""
    return np.ones(len(table), bool) if "source" not in table else (table["source"] == OWN).to_numpy()


def gender_figures(table: pd.DataFrame, p_female: np.ndarray, threshold: float = THRESHOLD) -> dict[str, float]:
    """Figures at the threshold for the log; balanced accuracy and AUC are means over sources."""
    female = (table["gender"] == "female").to_numpy()
    judged = metrics.classification(female, p_female >= threshold, p_female)
    names = ("accuracy", "precision", "recall", "f1", "balanced_accuracy", "auc", "ece")
    figures = {name: judged[name] for name in names}
    of = sources(table).to_numpy()
    both = [one for one in np.unique(of) if 0 < female[of == one].mean() < 1]
    parts = [
        metrics.classification(female[of == one], p_female[of == one] >= threshold, p_female[of == one]) for one in both
    ]
    for name in ("balanced_accuracy", "auc"):
        figures[name] = float(np.mean([part[name] for part in parts])) if parts else np.nan
    return figures


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
