"""What each ingredient of training on one's own people gives -> results/ingredients.csv.

    python benchmarks/ingredients.py --data_dir data/Task_B --faces faces.parquet

The domains and judges are those of `adaptation.py`, with 60 people to train on. Each way changes one thing of what
`train.py` does by itself (`as it is`); `adaptation alone` is `--epochs 0`. A row a figure:
`domain,way,network,metric,value,low,high,count`; network: `kept`, what the user gets, or `last`, that of the last
epoch, whatever the held-back people said of it.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import adaptation as domains  # noqa: E402
from facecom import cli  # noqa: E402
from facecom.commands import training  # noqa: E402
from facecom.evaluation.results import write_rows  # noqa: E402
from facecom.faces.alignment import align, template_of  # noqa: E402
from facecom.models.losses import hard_pairs, relation_loss  # noqa: E402
from facecom.synthetic import draw_person  # noqa: E402
from facecom.training import preparation, recipes  # noqa: E402
from facecom.training import siamese as job  # noqa: E402
from facecom.training.finetuning import anchored, layers  # noqa: E402
from facecom.training.siamese import SiameseJob  # noqa: E402

#: The average of weights forgets half of a step in so many steps (EMA: Polyak and Juditsky, 1992).
HALF_LIFE = 30

#: Between the network before the first epoch (0) and after the present one (1): WiSE-FT (Wortsman et al., CVPR 2022).
BETWEEN = (0.25, 0.5, 0.75, 1.0)

#: CosFace on classes that start from the means of their people (Qi, Brown and Lowe, CVPR 2018; Wang et al., CVPR 2018).
SCALE, CLASS_MARGIN = 32.0, 0.2

#: Rank of an update, and how many times the rate of the whole weight its factors learn at, which start at nothing.
RANK, RANK_FASTER = 8, 10.0

#: Drawn people, and the side of their photos in pixels.
DRAWN, DRAWN_SIDE = 300, 224


class Put(SiameseJob):
    """Judged, and kept, with other weights than those that training goes on with."""

    trained: dict | None = None

    def others(self) -> list[dict]:
        """The weights to choose from, after an epoch."""
        raise NotImplementedError

    def batches(self, epoch):
        if self.trained is None:
            self.before = deepcopy(self.model.state_dict())
        else:
            self.model.load_state_dict(self.trained)
        return super().batches(epoch)

    def evaluate(self):
        if not hasattr(self, "before"):
            return super().evaluate()
        self.trained = deepcopy(self.model.state_dict())
        gains = []
        candidates = self.others()
        for weights in candidates:
            self.model.load_state_dict(weights)
            gains.append(self.against_start(self.embeddings(("held",))["held"])[job.GAIN])
        self.model.load_state_dict(candidates[int(np.nanargmax(gains))])
        return super().evaluate()


class Between(Put):
    """The best, by held-back people, between the start and the present weights."""

    def others(self):
        pairs = [(before, self.trained[name]) for name, before in self.before.items()]
        mixed = [[a if not a.is_floating_point() else torch.lerp(a, b, share) for a, b in pairs] for share in BETWEEN]
        return [dict(zip(self.before, weights, strict=True)) for weights in mixed]


class Averaged(Put):
    """The moving average of the weights over the steps."""

    average: dict | None = None

    def loss(self, batch):
        now = self.model.state_dict()
        if self.average is None:
            self.average = deepcopy(now)
        for name, weight in self.average.items():
            if weight.is_floating_point():
                weight.lerp_(now[name], 1 - 0.5 ** (1 / HALF_LIFE))
        return super().loss(batch)

    def others(self):
        return [self.average]


class Imprinted(SiameseJob):
    """A classifier of the training people beside the pairs, its weights imprinted from their means."""

    def prepare(self):
        super().prepare()
        people = job.identity_keys(self.sets["train"][0])
        embeddings = torch.from_numpy(self.embeddings(("train",))["train"])
        self.classes, owner = np.unique(people, return_inverse=True)
        means = torch.zeros(len(self.classes), embeddings.shape[1])
        means.index_add_(0, torch.from_numpy(owner), embeddings)
        self.weight = torch.nn.Parameter(F.normalize(means, dim=1).to(self.device))
        self.optimizer.add_param_group({"params": [self.weight], "lr": self.args.lr})

    def loss_of_people(self, batch):
        kept = []
        whole = self.anchored.looks
        with mock.patch.object(self.anchored, "looks", lambda x: kept.append(whole(x)) or kept[0]):
            loss, said, truth = super().loss_of_people(batch)
        people = batch[anchored.PHOTOS].repeat(anchored.PHOTOS).cpu().numpy()
        target = torch.from_numpy(np.searchsorted(self.classes, people)).to(self.device)
        cosines = kept[0][0].float() @ F.normalize(self.weight, dim=1).T
        cosines = cosines - CLASS_MARGIN * F.one_hot(target, len(self.classes))
        return loss + F.cross_entropy(SCALE * cosines, target), said, truth


class LowRank(SiameseJob):
    """The encoder's 1 x 1 convolutions learn updates of low rank (Hu et al., ICLR 2022; for faces: Narayan et al.,
    PETALface, arXiv 2412.07771), the projection learns whole, the rest stays."""

    def __init__(self, *args):
        super().__init__(*args)
        rates = {id(own): group["lr"] for group in self.optimizer.param_groups for own in group["params"]}
        whole = [module for module in self.model.encoder.modules() if isinstance(module, torch.nn.Conv2d)]
        self.updates = [Update(conv.weight, rates[id(conv.weight)]) for conv in whole if conv.kernel_size == (1, 1)]
        for parameter in {*self.model.encoder.parameters()} - {one.weight for one in self.updates}:
            parameter.requires_grad_(False)
        learning = [{"params": list(self.model.projection.parameters()), "lr": self.args.lr}]
        learning = [{"params": [one.up, one.down], "lr": one.lr} for one in self.updates] + learning
        self.optimizer = torch.optim.AdamW(learning, weight_decay=self.args.weight_decay)
        self.optimizer.register_step_pre_hook(self.take)
        self.optimizer.register_step_post_hook(self.put)

    def take(self, *_):
        for one in self.updates:
            one.take()

    def put(self, *_):
        for one in self.updates:
            one.put()


class Update:
    """weight = what it was + up @ down, of `RANK`; gradients come by the chain rule, so the network stays as built."""

    def __init__(self, weight: torch.nn.Parameter, lr: float):
        self.weight, self.lr, self.before = weight, lr * RANK_FASTER, weight.detach().clone()
        outputs, inputs = weight.shape[:2]
        self.up = torch.nn.Parameter(torch.zeros(outputs, RANK, device=weight.device))
        self.down = torch.nn.Parameter(torch.randn(RANK, inputs, device=weight.device) / inputs**0.5)

    def take(self) -> None:
        gradient = self.weight.grad.flatten(1)
        self.up.grad, self.down.grad = gradient @ self.down.detach().T, self.up.detach().T @ gradient
        self.weight.grad = None

    def put(self) -> None:
        with torch.no_grad():
            self.weight.copy_(self.before + (self.up @ self.down).view_as(self.before))


class Drawn(SiameseJob):
    """What was like what before is asked of drawn people, too (`facecom.synthetic`), a batch of them each step."""

    def prepare(self):
        super().prepare()
        template, size = template_of(self.preprocessing["frame"]), self.preprocessing["size"]
        drawn = (draw_person(number, 0, DRAWN_SIDE) for number in range(DRAWN))
        look = self.transforms["eval"]
        crops = [look(image=align(image, points, size, template))["image"] for image, points in drawn]
        self.crops, self.rng = torch.stack(crops), np.random.default_rng(self.args.seed)

    def loss_of_people(self, batch):
        loss, said, truth = super().loss_of_people(batch)
        x = self.crops[self.rng.choice(len(self.crops), len(batch[0]), replace=False)]
        found, before = self.anchored.looks(x.to(self.device, memory_format=torch.channels_last))
        with torch.autocast(x.device.type, enabled=False):
            return loss + anchored.ANCHOR * relation_loss(found.float(), before.float()), said, truth


def every_pair(embeddings, people, photos):
    """All pairs of a batch in place of the hard ones."""
    return hard_pairs(embeddings, people, photos, share=1.0, strangers=len(people))


def patched(place, name: str, value) -> Callable:
    return lambda: mock.patch.object(place, name, value)


#: way: (flags of `train.py`, what is another in the program).
WAYS: dict[str, tuple[list[str], list[Callable]]] = {
    "as it is": ([], []),
    "adaptation alone": (["--epochs", "0"], []),
    "no adaptation before": (["--no-adapt"], []),
    "no anchor": ([], [patched(anchored.Anchored.__init__, "__defaults__", (0.0,))]),
    "every pair, not the hard ones": ([], [patched(anchored, "hard_pairs", every_pair)]),
    "projection alone": (["--layers", "top"], []),
    "all layers at one rate": ([], [patched(layers, "SLOWER", 1.0)]),
    "classifier with imprinted weights": ([], [patched(job, "SiameseJob", Imprinted)]),
    "average of the weights": ([], [patched(job, "SiameseJob", Averaged)]),
    "between start and end": ([], [patched(job, "SiameseJob", Between)]),
    "updates of low rank": ([], [patched(job, "SiameseJob", LowRank)]),
    "drawn people in the anchor": ([], [patched(job, "SiameseJob", Drawn)]),
}


@contextmanager
def changed(way: str) -> Iterator[list[str]]:
    """The program with one thing changed; gives the flags."""
    flags, changes = WAYS[way]
    with ExitStack() as stack:
        for change in [*changes, patched(preparation, "load_crops", domains.crops_once)]:
            stack.enter_context(change())
        yield flags


def trained(way: str, folder: Path, epochs: int | None) -> dict[str, Path]:
    """The weights that training on a folder makes: of `kept` and, where there were epochs, of `last`."""
    place = folder / way.replace(" ", "_").replace(",", "")
    flags = ["--data_dir", folder, "--run_dir", place, "--output", f"{place}.pt", "--quiet", "--workers", "0"]
    flags += [] if epochs is None else ["--epochs", epochs]
    with changed(way) as own:
        parser = training.arguments("siamese", domains.ROOT, "")
        training.train(cli.parse(parser, [str(flag) for flag in [*flags, *own]], recipes.SIAMESE), "siamese")
    kept = {"kept": Path(f"{place}.pt")}
    return kept if "--epochs" in own else kept | {"last": place / "last.pt"}


def main(args: argparse.Namespace) -> None:
    domains.remember(args.crops)
    rows = []
    for domain in args.domains:
        with tempfile.TemporaryDirectory() as place:
            table, people, judges = domains.parted(domain, args, Path(place))
            domains.training_folder(table, people[: args.people], domains.MOST_PHOTOS, Path(place) / "own")
            shipped = {"domain": domain, "way": "shipped", "network": "kept"}
            rows += [shipped | row for row in domains.judged(None, judges)]
            for way in args.ways:
                for network, weights in trained(way, Path(place) / "own", args.epochs).items():
                    about = {"domain": domain, "way": way, "network": network}
                    rows += [about | row for row in domains.judged(weights, judges)]
                shown = pd.DataFrame(rows).query("way == @way and domain == @domain and metric == 'tar@far=1e-3'")
                print(way, dict(zip(shown["network"], shown["value"].round(3), strict=True)), flush=True)
    domains.keep(args.crops)
    write_rows(args.output, [{k: v for k, v in row.items() if k not in ("protocol", "condition")} for row in rows])
    print(f"wrote {args.output}")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    domains.add_data_flags(parser)
    parser.add_argument("--people", type=int, default=max(domains.PEOPLE), help="how many to train on")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="which ways to train")
    parser.add_argument("--output", default="results/ingredients.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
