"""The last layer learns to tell thousands of people apart at once, which an encoder's batches of 256 photos cannot.

    python -m pretraining.last_layer facecom/weights/siamese.pt --crops crops --output runs/last_layer.pt

The encoder says of a photo what its teachers say (`pretraining.encoder`), as near to each other or as far apart as they
have people. Here all of it stays as it is but the layer behind its hidden one. That learns, of some thousand people at
a time, which two photos are of the same person (InfoNCE: van den Oord et al., 2018; both ways as in CLIP, Radford et
al., ICML 2021), held near its start by a spring (L2-SP: Li et al., ICML 2018). Strangers are of one's own source: from
others they are told by how their photos were taken. And what all embeddings of a source have in common is held at
nothing, for `train.py` tells by it photos of another camera from those that the network knows. The hidden layer is
asked once for distorted views of every photo of people of several photos: four minutes on two cores, and one for the
rest.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from facecom import cli
from facecom.inference.pipeline import default_workers
from facecom.models import checkpoint
from facecom.models.backbones.channels_last import made_fast
from facecom.threads import side_by_side
from pretraining.choosing.candidates import open_candidate
from pretraining.contrast import contrast, in_common
from pretraining.encoder.batches import Augmentation, augment
from pretraining.encoder.objective import normalised
from pretraining.targets.people import People

#: Views that the network sees at once.
BATCH = 64


class Pairs:
    """Two views of each of some people, of different photos. photos, people: int [N], whose view each row is; everybody
    has several photos."""

    def __init__(self, photos: np.ndarray, people: np.ndarray, seed: int):
        self.rows = np.argsort(people, kind="stable")
        _, self.start, self.count = np.unique(people[self.rows], return_index=True, return_counts=True)
        self.photos, self.rng = photos, np.random.default_rng(seed)

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(first, second) rows int [C] of the two views, at most `count` people, each once."""
        who = self.rng.permutation(len(self.start))[:count]
        one, other = self._of(who), self._of(who)
        while (same := self.photos[one] == self.photos[other]).any():
            other[same] = self._of(who[same])
        return one, other

    def _of(self, who: np.ndarray) -> np.ndarray:
        place = (self.rng.random(len(who)) * self.count[who]).astype(int)
        return self.rows[self.start[who] + place]


def fit(hidden: torch.Tensor, pairs: Pairs, sources: np.ndarray, weight: torch.Tensor, bias: torch.Tensor, args):
    """(weight [D, H], bias [D]) after training from these on hidden, float [N, H]. sources: int [N]."""
    start, weight, bias = weight, weight.clone().requires_grad_(), bias.clone().requires_grad_()
    optimizer = torch.optim.Adam([weight, bias], lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    for step in range(args.steps):
        drawn = pairs.draw(args.people)
        source = torch.from_numpy(sources[drawn[0]])
        one, other = (F.normalize(F.linear(hidden[torch.from_numpy(d)].float(), weight, bias), dim=1) for d in drawn)
        loss = contrast(one, other, args.temperature, source)
        common = in_common(torch.cat([one, other]), source.repeat(2))
        stretch = ((weight - start) ** 2).sum() / (start**2).sum()
        (loss + args.spring * stretch + args.centring * common).backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if step % 50 == 0 or step == args.steps - 1:
            print(f"step {step}: {float(loss.detach()):.3f}, in common {float(common.detach()):.4f}", flush=True)
    return weight.detach(), bias.detach()


def hidden_of(model, size: int, people: People, rows: np.ndarray, frame: str, views: int, amp) -> torch.Tensor:
    """float16 [N * views, 512], view after view: what the hidden layer says of distorted views of these crops. size:
    of a view, pixels."""
    settings = Augmentation(frame=frame)
    model = made_fast(model.eval()).to(memory_format=torch.channels_last)

    def look(part: list[tuple[int, int]]) -> torch.Tensor:
        drawn = [augment(people.crops[i], size, settings, np.random.default_rng([i, view])) for i, view in part]
        with torch.inference_mode(), torch.autocast("cpu", amp, enabled=amp is not None):
            return model.hidden(normalised(torch.from_numpy(np.stack(drawn)), "cpu")).half()

    wanted = [(int(i), view) for view in range(views) for i in rows]
    parts = [wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH)]
    return torch.cat(list(side_by_side(look, parts, default_workers())))


def main(args):
    torch.manual_seed(args.seed)
    people, amp = People(args.crops), cli.pick_amp(args.amp, torch.device("cpu"))
    model, config, about = open_candidate(Path(args.weights))
    named = people.training[people.labels[people.training] >= 0]
    several = np.bincount(people.labels[named])[people.labels[named]] > 1
    rows = named[several]
    print(f"{len(rows)} photos of {len(np.unique(people.labels[rows]))} people, {args.views} views of each", flush=True)
    hidden = hidden_of(model, config["img_size"], people, rows, about["frame"], args.views, amp)
    photos = np.tile(rows, args.views)
    pairs = Pairs(photos, people.labels[photos], args.seed)
    sources = np.unique(people.table["source"].to_numpy(str), return_inverse=True)[1][photos]
    last = model.projection[2]
    weight, bias = fit(hidden, pairs, sources, last.weight.detach().float(), last.bias.detach().float(), args)
    with torch.no_grad():
        last.weight.copy_(weight)
        last.bias.copy_(bias)
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    recipe = {name: value for name, value in vars(args).items() if name not in ("weights", "crops", "output")}
    content = {"config": config, "model": state, "args": (about["args"] or {}) | {"last_layer": recipe}}
    data = about["data"] or {}
    content |= {"photos": data.get("photos_seen", 0), "minutes": data.get("minutes")}
    checkpoint.write(content, args.output)
    print(f"wrote {args.output}")


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0], formatter_class=cli.HelpFormatter)
    parser.add_argument("weights", help="Siamese checkpoint, or ema.pt of pretraining.encoder.train")
    parser.add_argument("--crops", required=True, help="folder that pretraining.targets.crops wrote")
    parser.add_argument("--output", required=True)
    parser.add_argument("--views", type=int, default=2, help="distorted views of each photo")
    parser.add_argument("--people", type=int, default=2048, help="who are told apart at a time")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--temperature", type=float, default=0.04)
    parser.add_argument("--spring", type=float, default=3.0, help="weight of the squared way from the start, relative")
    parser.add_argument(
        "--centring", type=float, default=3.0, help="weight of what a source's embeddings have in common"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 where it is fast")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
