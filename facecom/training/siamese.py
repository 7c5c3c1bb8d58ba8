"""Task B's side of training: pairs, contrastive loss, and what held-back people say about each epoch."""

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import pandas as pd
import torch

from facecom.data.pairs import draw_pairs, draw_people, published_pairs
from facecom.evaluation import metrics, protocols, scoring
from facecom.evaluation.comparisons import identity_keys, photo_keys, strictest_scores
from facecom.evaluation.operating_points import in_words
from facecom.inference.templates import distances
from facecom.models import mirror
from facecom.models.losses import contrastive_loss, distance
from facecom.training import adaptation
from facecom.training.finetuning import layers
from facecom.training.finetuning.anchored import PHOTOS, Anchored
from facecom.training.job import Job, cosine

#: The sets of photos that training is shown on.
SHOWN = ("held", "val", "guard")

#: What decides which epoch is best: how many are recognised at this false accept rate.
HEADLINE, FAR = "held_tar@far=1e-3", 1e-3

#: Where the start is judged too: how much better than it, by what few people can tell (`adaptation.Compared`).
GAIN = "held_gain"

#: Published: a cosine of ten epochs, down and up again.
TURN = 10


class SiameseJob(Job):
    """Pairs of photos; the best epoch recognises most held-back people on other photos of theirs."""

    task, data_set = "siamese", "B"

    #: False: as before version 0.2.0, to compare with.
    REMEMBERS = True

    def __init__(self, args, start, preprocessing, sets, data, device):
        super().__init__(args, start, preprocessing, sets, data, device)
        #: Whether the network knows people already, whom it must not forget.
        self.gentle = self.REMEMBERS and self.judge_start and not self.published
        learning = self.model.parameters()
        if self.gentle:
            learning = layers.learning(self.model, args.layers, args.lr)
            self.anchored = Anchored(self.model, args.layers, args.margin)
        self.optimizer = torch.optim.AdamW(learning, lr=args.lr, weight_decay=args.weight_decay)
        if self.published:
            self.select, rate = "val_accuracy", {"far": None, "genuine": None, "impostor": None, "identities": None}
            self.operating_points = [{"threshold": protocols.PUBLISHED_DISTANCE, **rate}]
        else:
            self.select = HEADLINE if _has_cross_photo(sets["held"][0]) else "held_accuracy"
            self.select = GAIN if self.gentle else self.select
        #: Of the network that training goes on from: a dozen held-back people know no better than these.
        self.points_before = start.operating_points if self.gentle else ()
        self.stages: dict[str, dict[str, np.ndarray]] = {}
        self.start_figures: dict[str, list[float]] = {}
        self.gain: adaptation.Gain | None = None
        self.adaptation: adaptation.Adaptation | None = None
        #: The last layer before it was adapted; None where it never is to be.
        self.plain: dict[str, torch.Tensor] | None = None

    def prepare(self):
        """Closed-form adaptation to the training people (`adaptation.py`), where the network knows people already."""
        if not self.gentle or not self.args.adapt:
            return
        self.stages["shipped"] = self.embeddings(SHOWN)
        made, last = self.adaptation_to(("train",)), self.model.get_submodule(adaptation.LAST)
        self.plain = deepcopy(last.state_dict())
        if not made.nothing:
            adaptation.fold(self.model, made)
            adapted = self.embeddings(SHOWN)
            if self.compare(self.stages["shipped"]["held"], adapted["held"], adaptation.SURE_TO_UNDO).sure:
                last.load_state_dict(self.plain)
                self.plain = None
                print("adaptation: held-back people are told apart better without it, so the network stays as it is")
                return
            self.adaptation, self.stages["adapted"] = made, adapted
            self.anchored = Anchored(self.model, self.args.layers, self.args.margin)
        print(adaptation.said_of(made))

    def adaptation_to(self, names: Sequence[str]) -> adaptation.Adaptation:
        """The adaptation of the network as it is to the people of these sets; of held-back ones their clean photos."""
        crops: list[np.ndarray] = []
        people: list[str] = []
        for name in names:
            table, own = self.sets[name]
            kept = adaptation.some_people(table["identity"].to_numpy(), adaptation.MOST_FITTED, self.args.seed)
            kept &= (table["condition"] == "clean").to_numpy() | (name == "train")
            crops += [own[row] for row in np.flatnonzero(kept)]
            people += table["identity"][kept].tolist()
        return adaptation.adapt(self.answers(self.outputs, crops), np.array(people))

    def settle(self, content):
        """Where the start is what is kept, the adaptation is fitted once more, to the held-back people too: they have
        said what they had to say, and it helps the more the more people it knows."""
        if self.plain is None or content["epoch"]:
            return None
        last = self.model.get_submodule(adaptation.LAST)
        last.load_state_dict(self.plain)
        made = self.adaptation_to(("train", "held"))
        if made.nothing:
            self.model.load_state_dict(content["model"])
            return None
        adaptation.fold(self.model, made)
        print(f"with the held-back people, whose threshold stays: {adaptation.said_of(made)}")
        return content | {"model": self.model, "adaptation": made.about()}

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """What the last layer gives for photos and, where the network looks at them, their mirror images: [B, V, D]."""
        views = [x, x.flip(3)] if self.mirror else [x]
        return torch.stack([self.model.projection(self.model.neck(self.model.encoder(view))) for view in views], 1)

    def embeddings(self, names) -> dict[str, np.ndarray]:
        """Embeddings of the sets of these names that there are, float32 [N, 128] each."""
        embed = lambda x: mirror.embed(self.model, x, self.mirror)[0]  # noqa: E731
        return {name: self.answers(embed, self.sets[name][1]) for name in names if name in self.sets}

    def convinces(self):
        """What only seems better is not kept: few people are held back, and the best of many epochs flatters."""
        return self.gain is None or self.gain.sure

    def figures_of(self, embeddings: np.ndarray) -> dict[str, list[float]]:
        """What each held-back person's comparisons say (`adaptation.Compared`)."""
        table = self.sets["held"][0]
        compared = adaptation.Compared(identity_keys(table), photo_keys(table))
        return {name: [figure] for name, figure in compared.accepted(embeddings).items()}

    def compare(self, new: np.ndarray, old: np.ndarray, sure: float = adaptation.SURE) -> adaptation.Gain:
        """How much better the new embeddings of the held-back photos are than the old ones."""
        return adaptation.gain(self.figures_of(new), self.figures_of(old), self.args.seed, sure)

    def against_start(self, embeddings: np.ndarray) -> dict[str, float]:
        """How much better than the start held-back people say it is, for the log; settles `gain`."""
        figures = self.figures_of(embeddings)
        if not self.start_figures:
            self.start_figures = figures
            return {GAIN: 0.0, f"{GAIN}_low": 0.0, f"{GAIN}_high": 0.0}
        sure = adaptation.sure_of_one_in(self.args.epochs)
        self.gain = adaptation.gain(figures, self.start_figures, self.args.seed, sure)
        return {GAIN: self.gain.mean, f"{GAIN}_low": self.gain.low, f"{GAIN}_high": self.gain.high}

    def state(self):
        state = {"start_figures": self.start_figures, "plain": self.plain}
        return state | ({"start": self.anchored.state()} if self.gentle else {})

    def resume(self, content):
        super().resume(content)
        state = content["training"]["job"]
        self.start_figures, self.plain = state["start_figures"], state["plain"]
        if self.gentle:
            self.anchored.resume(state["start"])

    def content(self):
        made = self.adaptation
        return super().content() | {"adaptation": made.about() if made else None}

    def strangers(self) -> np.ndarray | None:
        """Embeddings of the held-back people of `--extra_data`."""
        return self.embeddings(("strangers",)).get("strangers")

    def finish(self):
        if not self.stages:
            return []
        stages = dict(self.stages)
        final = self.embeddings(SHOWN)
        kept = stages.get("adapted", stages["shipped"])
        if not np.array_equal(final["held"], kept["held"]):
            stages["fine-tuned"] = final
        lines = scoring.summary({name: self.sets[name][0] for name in SHOWN if name in self.sets}, stages)
        for one in self.points_of(final["held"], self.strangers())[:1]:
            words = "as before: too few held-back people for another" if self.stays(one) else in_words(one)
            lines.append(f"threshold, fixed again on held-back people: {one['threshold']:.3f}, {words}")
        if self.args.epochs and "fine-tuned" not in stages:
            start = "adaptation alone" if "adapted" in stages else "the network as it was"
            lines.append(f"no epoch is better than {start} beyond chance, so that is what is kept")
        return lines

    def points_of(self, held: np.ndarray, strangers: np.ndarray | None) -> list[dict]:
        """Operating points by the held-back people's embeddings."""
        return protocols.fit_operating_points(self.sets["held"][0], held, strangers, before=self.points_before)

    def stays(self, point: dict) -> bool:
        """Whether an operating point's threshold is the one that the network had before."""
        return any(np.isclose(point["threshold"], one["threshold"]) for one in self.points_before)

    @property
    def threshold(self) -> float:
        """Distance up to which a pair counts as one person: the operating point so far, at first the published one."""
        return self.operating_points[0]["threshold"] if self.operating_points else protocols.PUBLISHED_DISTANCE

    def published_lr(self, epoch):
        return cosine(epoch / TURN)

    def pairs(self, table: pd.DataFrame, seed: int) -> pd.DataFrame:
        return (published_pairs if self.published else draw_pairs)(table, seed)

    def batches(self, epoch):
        if self.gentle:
            table = self.sets["train"][0]
            rows = draw_people(table, PHOTOS, self.draw_seed(epoch))
            return self.shuffled(epoch, rows, np.c_[identity_keys(table)[rows[:, 0]], photo_keys(table)[rows]])
        pairs = self.pairs(self.sets["train"][0], self.draw_seed(epoch))
        return self.shuffled(epoch, pairs[["a", "b"]].to_numpy(), pairs[["same"]].to_numpy())

    def loss(self, batch):
        if self.gentle:
            return self.loss_of_people(batch)
        x1, x2, same = batch
        a, b = self.model(*(x.contiguous(memory_format=torch.channels_last) for x in (x1, x2)))
        loss = contrastive_loss(a, b, same, self.args.margin)
        return loss, distance(a, b).detach() <= self.threshold, same.bool()

    def loss_of_people(self, batch):
        """As `loss`, of batches of people, `PHOTOS` of each; every second one's answer is about the next person."""
        views, people, photos = batch[:PHOTOS], batch[PHOTOS], batch[PHOTOS + 1 :]
        x = torch.cat(views).contiguous(memory_format=torch.channels_last)
        loss, embeddings = self.anchored(x, people.repeat(PHOTOS), torch.cat(photos))
        first, second = embeddings.detach().view(PHOTOS, len(people), -1)[:2]
        odd = torch.arange(len(people), device=people.device) % 2 == 1
        other = torch.where(odd[:, None], first.roll(-1, 0), second)
        return loss, distance(first, other) <= self.threshold, ~odd | (people == people.roll(-1, 0))

    def evaluate(self):
        embeddings = self.embeddings(("held", "val", "strangers"))
        if not self.published:
            strangers = embeddings.get("strangers")
            known = bool(self.operating_points)
            self.operating_points = self.points_of(embeddings["held"], strangers)
            if not known and self.operating_points:
                print(f"threshold: {in_words(self.operating_points[0])}")
        row = self.against_start(embeddings["held"]) if self.gentle else {}
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
