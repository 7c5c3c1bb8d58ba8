"""Task A's side of training: focal loss, balance of the genders, calibration on held-back people."""

import numpy as np
import pandas as pd
import torch

from facecom.data.balance import draw_epoch, settle, sources
from facecom.evaluation import metrics, scoring
from facecom.evaluation.calibration import balanced_logit, fit_platt, fit_temperature
from facecom.models import mirror
from facecom.models.losses import focal_loss
from facecom.training import adaptation
from facecom.training.job import Job, cosine
from facecom.training.preparation import OWN

#: Where nothing better is known: probabilities are calibrated and both genders count the same in training.
THRESHOLD = 0.5

#: Held-back photos of either gender in --data_dir from which on the threshold is fitted there, and the shift.
ENOUGH = 20

#: A smaller shift of the logits is none.
LEAST_SHIFT = 1e-3

#: The sets of photos that training is shown on.
SHOWN = ("held", "val")

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
        elif self.judge_start:
            self.select = "held_gain"
        else:
            both = sets["held"][0]["gender"].nunique() == 2
            # Not at a threshold: each source would need its own.
            self.select = "held_auc" if both else "held_accuracy"
        #: Temperature and threshold that the network came with; None where it is new to its task.
        self.known: tuple[float, float] | None = None
        if self.judge_start and not self.published:
            threshold = THRESHOLD if start.threshold is None else start.threshold
            self.known = start.temperature or 1.0, threshold
        self.stages: dict[str, dict[str, tuple[np.ndarray, float]]] = {}
        self.start_figures: dict[str, list[float]] = {}
        self.gain: adaptation.Gain | None = None
        self.temperature, self.centred = 1.0, False
        #: The last layer's bias that the network came with: by how much it moves, so does where it was cut.
        self.start_bias = self.model.classifier.bias.detach().clone()
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

    def logits(self) -> dict[str, np.ndarray]:
        """Logits of held-back people and val, float32 [N] each."""
        judge = lambda x: mirror.logits(self.model, x, self.mirror)  # noqa: E731
        return {name: self.answers(judge, self.sets[name][1]) for name in SHOWN if name in self.sets}

    def evaluate(self):
        row, found = {}, self.logits()
        if self.known and not self.start_figures:
            temperature, threshold = self.known
            self.stages["shipped"] = {name: (_sigmoid(one / temperature), threshold) for name, one in found.items()}
        if "held" in found:
            table = self.sets["held"][0]
            shift = self.settle_on(table, found["held"])
            found = {name: logits + shift for name, logits in found.items()}
            row |= self.against_start(table, found["held"]) if self.known else {}
        for name, logits in found.items():
            figures = gender_figures(self.sets[name][0], _sigmoid(logits / self.temperature), self.threshold)
            row |= {f"{name}_{metric}": value for metric, value in figures.items()}
        if "shipped" in self.stages and len(self.stages) == 1:
            self.stages["calibrated"] = self.answered(found)
        return row

    def answered(self, logits: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, float]]:
        """Probabilities and the threshold to cut them at."""
        return {name: (_sigmoid(one / self.temperature), self.threshold) for name, one in logits.items()}

    def against_start(self, table: pd.DataFrame, logits: np.ndarray) -> dict[str, float]:
        """How much less wrong than the start, calibrated anew, held-back people find it (nats a photo); settles
        `gain`."""
        middle = 0.0 if self.centred else self.middle
        signed = np.where(table["gender"] == "female", 1, -1) * (logits - middle) / self.temperature
        right = pd.Series(-np.logaddexp(0, -signed)).groupby(table["identity"].to_numpy()).mean()
        figures = {str(name): [float(figure)] for name, figure in right.items()}
        if not self.start_figures:
            self.start_figures = figures
            return {"held_gain": 0.0, "held_gain_low": 0.0, "held_gain_high": 0.0}
        sure = adaptation.sure_of_one_in(self.args.epochs)
        self.gain = adaptation.gain(figures, self.start_figures, self.args.seed, sure)
        return {"held_gain": self.gain.mean, "held_gain_low": self.gain.low, "held_gain_high": self.gain.high}

    def convinces(self):
        return self.gain is None or self.gain.sure

    def state(self):
        return {"start_figures": self.start_figures}

    def resume(self, content):
        super().resume(content)
        self.start_figures = content.get("training", {}).get("job", {}).get("start_figures", {})

    def finish(self):
        if not self.stages:
            return []
        if self.gain is not None:
            found = self.logits()
            shift = self.settle_on(self.sets["held"][0], found["held"])
            found = {name: logits + shift for name, logits in found.items()}
            self.stages["fine-tuned"] = self.answered(found)
            if all(
                np.allclose(one[0], self.stages["calibrated"][name][0], atol=1e-3)
                for name, one in self.stages["fine-tuned"].items()
            ):
                del self.stages["fine-tuned"]
        lines = scoring.gender_summary({name: self.sets[name][0] for name in SHOWN if name in self.sets}, self.stages)
        if self.args.epochs and "fine-tuned" not in self.stages:
            lines.append("no epoch is better than the calibrated start beyond chance, so that is what is kept")
        return lines

    @property
    def middle(self) -> float:
        """The logit that the network came to be cut at, as its logits are now; 0 for one that is new to its task."""
        if not self.known:
            return 0.0
        temperature, threshold = self.known
        threshold = min(max(threshold, 1e-6), 1 - 1e-6)
        moved = float(self.model.classifier.bias.detach() - self.start_bias)
        return moved + temperature * float(np.log(threshold / (1 - threshold)))

    @property
    def threshold(self) -> float:
        """Probability from which on the answer is female: the operating point so far."""
        return self.operating_points[0]["threshold"] if self.operating_points else THRESHOLD

    def settle_on(self, table: pd.DataFrame, logits: np.ndarray) -> float:
        """Temperature and operating point from held-back people; every source counts the same. A network that knows its
        task is also taken off the side that it leans to on photos like those of --data_dir, where there are enough: the
        shift goes into its last layer. Returns what it adds to the logits."""
        female = (table["gender"] == "female").to_numpy()
        # Other sources teach what genders look like, but the photos to be judged are like those of --data_dir.
        own = own_photos(table)
        enough = min(female[own].sum(), (~female[own]).sum()) >= ENOUGH
        platt = fit_platt(logits[own], female[own]) if enough and self.known else None
        self.centred = platt is not None
        if platt:
            self.temperature, shift = platt
            shift = self.shift_by(shift)
            logits = logits + shift
        else:
            weight = 1 / sources(table).map(sources(table).value_counts()).to_numpy()
            self.temperature, shift = fit_temperature(logits, female, weight), 0.0
        p = _sigmoid(logits[own] / self.temperature)
        good = lambda at: metrics.classification(female[own], p >= at)["balanced_accuracy"]  # noqa: E731
        threshold = float(_sigmoid(np.asarray(self.middle / self.temperature))) if self.known else THRESHOLD
        if enough:
            new = float(_sigmoid(np.asarray(balanced_logit(logits[own], female[own]) / self.temperature)))
            # What the network came with stays where the new one is no better.
            threshold = new if not self.known or good(new) > good(threshold) else threshold
        point = {"threshold": threshold, "far": None, "photos": int(own.sum())}
        point["identities"] = int(table["identity"][own].nunique())
        self.operating_points = [point | {"balanced_accuracy": good(threshold)}]
        return shift

    def shift_by(self, shift: float) -> float:
        """Add to the logits, in the last layer; next to nothing is left out. Returns what was added."""
        if abs(shift) < LEAST_SHIFT:
            return 0.0
        with torch.no_grad():
            self.model.classifier.bias += shift
        return shift


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
