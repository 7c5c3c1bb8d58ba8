"""Trains the encoder: a SiameseNet that sees distorted crops learns what its teachers say of the clean ones.

    python -m pretraining.encoder.train --crops crops --run_dir runs/encoder --photos 2000000 --minutes 140
    python -m pretraining.encoder.train --crops crops --run_dir runs/encoder --resume          # after a cut
    python -m pretraining.encoder.train ... --init runs/encoder/ema.pt                         # the next leg
    torchrun --nproc_per_node 2 -m pretraining.encoder.train ... --workers 0   # on a CPU (`ranks.py`)
    python -m pretraining.encoder.train ... --init other.pt --refit      # weights that learned from other teachers

Loss: 1 - cosine to the target (`targets.py`), which is of a photo and its mirror image together, so that one look is
worth two; plus a margin softmax (CosFace) over the identities, whose class weights are the targets' own centres (as in
MarginDistillation and ProxylessKD). With `--contrast_weight` each is told, too, from thousands of others that the
averaged weights have seen (`contrast.py`). With `--blended` a share of the photos are two faces laid over each other,
with what the teachers of `--match` say of that. Held-back people (`people.py`) only validate.

The learning rate follows progress = the larger of photos / --photos and minutes / --minutes, so that a leg always
ends with a complete schedule. `run_dir`: args.json, log.csv, last.pt (resume), ema.pt (fp16, the weights to
ship, with the photos and minutes of all legs).
"""

import argparse
import csv
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import timm.utils
import torch

from facecom import cli
from facecom.cli import pick_amp
from facecom.faces.alignment import FRAMES
from facecom.models import checkpoint
from facecom.models.networks import build_model
from pretraining.encoder.batches import Augmentation, Batches, Matched
from pretraining.encoder.objective import first_half, margin_softmax, memory_of, normalised, objective
from pretraining.encoder.optimizers import learning_rate, optimizer_for, set_rate
from pretraining.encoder.pace import speed_up
from pretraining.encoder.ranks import average, join
from pretraining.encoder.refit import refit
from pretraining.targets.people import People
from pretraining.validation import validate

#: Settings of the machine and its folders, not of the recipe.
NOT_RECIPE = {
    "crops",
    "run_dir",
    "init",
    "resume",
    "device",
    "threads",
    "workers",
    "log_every",
    "save_minutes",
    "match",
}


#: How far worker processes step back, so that what they prepare never holds up the step that needs both cores.
WORKER_NICE = 5


def load_weights(model, path: str) -> tuple[int, float]:
    """Weights from a checkpoint or an ema.pt; what does not fit is an error. Returns photos and minutes they took."""
    file = torch.load(path, map_location="cpu", weights_only=True)
    state = {k: v.float() if v.is_floating_point() else v for k, v in file["model"].items()}
    model.load_state_dict(state)
    seen = file.get("data") or {"photos_seen": file.get("photos", 0), "minutes": file.get("minutes", 0.0)}
    return seen.get("photos_seen", 0), seen.get("minutes") or 0.0


def freeze(encoder: torch.nn.Module, stages: int) -> None:
    """The stem and the first stages stay as they are: on a CPU the first stage, where the map is largest, takes a third
    of a step. stages: 0 (all learn) to 4."""
    if stages:
        for part in (encoder.stem, *encoder.stages[:stages]):
            part.requires_grad_(False)


class Run:
    """What a leg keeps between steps, and how it is saved and resumed."""

    def __init__(self, args):
        self.args, self.folder = args, Path(args.run_dir)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rank, self.world = join()
        torch.manual_seed(args.seed)
        self.config = {"task": "siamese", "backbone": args.backbone, "pool": args.pool, "img_size": args.size}
        self.config |= {"layer_scale": False, "quality": True}
        self.model = build_model(self.config).to(args.device, memory_format=torch.channels_last)
        if args.device == "cpu":
            speed_up(self.model)
        self.before = load_weights(self.model, args.init) if args.init else (0, 0.0)
        freeze(self.model.encoder, args.frozen)
        self.people = People(args.crops)
        self.identity_loss = margin_softmax(self.people, args, args.device)
        self.remembered = memory_of(self.people, args)
        self.optimizer = optimizer_for(self.model, args)
        self.ema = timm.utils.ModelEmaV3(self.model, decay=args.ema, use_warmup=True)
        self.step, self.photos, self.seconds = 0, 0, 0.0

    @property
    def progress(self) -> float:
        return min(1.0, max(self.photos / self.args.photos, self.seconds / 60 / self.args.minutes))

    def save(self, name="last.pt"):
        if self.rank:
            return
        state = {
            "model": self.model.state_dict(),
            "ema": self.ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "place": [self.step, self.photos, self.seconds],
        }
        checkpoint.write(state, self.folder / name)
        half = {k: v.half() if v.is_floating_point() else v for k, v in self.ema.module.state_dict().items()}
        recipe = {name: value for name, value in vars(self.args).items() if name not in NOT_RECIPE}
        photos, minutes = self.before[0] + self.photos, self.before[1] + self.seconds / 60
        content = {"model": half, "config": self.config, "photos": photos, "minutes": minutes, "args": recipe}
        checkpoint.write(content, self.folder / "ema.pt")

    def resume(self):
        state = torch.load(self.folder / "last.pt", map_location=self.args.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.ema.module.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.photos, self.seconds = state["place"]


def batches_of(run: Run, part: tuple[int, int]):
    """Batches from the present step on; part: (rank, how many there are) that share each."""
    args = run.args
    settings = Augmentation(distorted=args.distorted, frame=args.frame)
    total = args.photos // args.batch_size + 1
    matched = Matched(run.people, args.match, args.match_weights, args.blended, args.amp) if args.blended else None
    pairs = args.contrast_weight > 0
    data = Batches(run.people, args.batch_size, total, args.size, settings, args.seed, matched, part, pairs)
    return torch.utils.data.DataLoader(
        data,
        batch_size=None,
        sampler=range(run.step, total),
        num_workers=args.workers,
        prefetch_factor=4 if args.workers else None,
        worker_init_fn=step_back,
    )


def step_back(worker: int) -> None:
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # the thread that started it may be bound to one core
        os.sched_setaffinity(0, range(os.cpu_count()))
    if hasattr(os, "nice"):
        os.nice(WORKER_NICE)


def train_until(run: Run, stop, network, batches) -> None:
    """Steps until `stop(run)`; logs and checkpoints on the way."""
    args, log = run.args, []
    clock = saved = time.monotonic()
    for views, targets, labels in batches:
        rate = learning_rate(run.progress, args)
        set_rate(run.optimizer, rate)
        with torch.autocast(args.device, dtype=torch.bfloat16, enabled=args.amp):
            views = normalised(views, args.device)
            targets, labels, told_apart = targets.to(args.device), labels.to(args.device), None
            batch = views, targets, labels
            if run.remembered:
                *batch, told_apart = first_half(*batch, run.ema.module, run.remembered)
            loss, parts = objective(network, *batch, run.identity_loss, args, told_apart)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        now = time.monotonic()
        seconds, clock = run.seconds + now - clock, now
        run.seconds = average(run.model.parameters(), seconds) if run.world > 1 else seconds
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), args.clip)
        run.optimizer.step()
        run.step += 1
        run.ema.update(run.model, step=run.step)
        run.photos += len(batch[0]) * run.world
        log.append(parts)
        if run.step % args.log_every == 0 and run.rank == 0:
            means = {name: round(float(np.mean([p[name] for p in log])), 4) for name in parts}
            row = {"step": run.step, "photos": run.photos, "minutes": round(run.seconds / 60, 2), "lr": f"{rate:.2e}"}
            append(run.folder / "log.csv", row | means)
            print(row | means, flush=True)
            log = []
        if now - saved > args.save_minutes * 60:
            run.save()
            saved = now
        if stop(run):
            break


def append(path: Path, row: dict):
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)


def evaluate(run: Run):
    """Held-back TAR@FAR=1e-3 and rank-1 of the EMA weights, per condition -> validation.csv."""
    if run.rank:
        return
    rows = validate(run.ema.module, run.people, run.args.device, run.args.amp, run.args.size, run.args.frame)
    for row in rows:
        append(run.folder / "validation.csv", {"photos": run.photos, "minutes": round(run.seconds / 60, 1)} | row)
    print("validation", {r["condition"]: (r["tar"], r["rank1"], r["cosine"]) for r in rows}, flush=True)


def main(args):
    if args.threads:
        torch.set_num_threads(args.threads)
    args.amp = pick_amp(args.amp, torch.device(args.device)) is not None
    run = Run(args)
    if args.resume:
        run.resume()
    elif args.refit:
        refit(run.model, batches_of(run, (0, 1)).dataset, args.device, args.amp)
        run.ema.set(run.model)
    if run.rank == 0:
        (run.folder / "args.json").write_text(json.dumps(vars(args), indent=1))
    batches = iter(batches_of(run, (run.rank, run.world)))
    for mark in np.linspace(0, 1, args.validations + 1)[1:]:
        if run.progress >= mark:
            continue
        run.model.train()
        train_until(run, lambda r, mark=mark: r.progress >= mark, run.model, batches)
        run.save()
        evaluate(run)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = parser.add_argument_group("data")
    data.add_argument("--crops", required=True, help="folder that pretraining.targets.crops wrote")
    data.add_argument("--run_dir", default="runs/encoder")
    data.add_argument("--init", help="weights to start from (the next leg)")
    data.add_argument("--refit", action="store_true", help="fit the last layer of --init to the target first")
    data.add_argument("--match", nargs="+", default=[], help="teachers' files for --blended, the first of the crops'")
    data.add_argument("--match_weights", nargs="+", type=float, help="what each of them counts, as for the crops")
    data.add_argument("--resume", action="store_true", help="go on from run_dir/last.pt")
    network = parser.add_argument_group("network")
    network.add_argument("--backbone", default="convnext_atto")
    network.add_argument("--pool", choices=["avg", "map"], default="map")
    network.add_argument(
        "--size", type=int, default=96, help="side of the crops; 112 px costs a third more and cuts a row off the map"
    )
    network.add_argument("--frame", choices=FRAMES, default="close", help="what the crops show")
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--photos", type=int, default=2_000_000, help="photos to see")
    recipe.add_argument("--minutes", type=float, default=math.inf, help="end the schedule after so long, if earlier")
    recipe.add_argument("--batch_size", type=int, default=256)
    recipe.add_argument("--optimizer", choices=["adamw", "muon"], default="muon")
    recipe.add_argument("--lr", type=float, default=3e-3)
    recipe.add_argument("--weight_decay", type=float, default=0.05)
    recipe.add_argument("--clip", type=float, default=5.0)
    recipe.add_argument("--frozen", type=int, default=0, help="stages that stay as --init has them, with the stem")
    recipe.add_argument("--ema", type=float, default=0.999)
    recipe.add_argument("--distillation_weight", type=float, default=1.0)
    recipe.add_argument("--identity", choices=["centres", "none"], default="centres")
    recipe.add_argument("--identity_weight", type=float, default=0.05)
    recipe.add_argument("--margin", type=float, default=0.1)
    recipe.add_argument("--scale", type=float, default=24.0)
    recipe.add_argument(
        "--contrast_weight", type=float, default=0.0, help="of telling apart pairs among remembered strangers"
    )
    recipe.add_argument("--temperature", type=float, default=0.04, help="of --contrast_weight's softmax")
    recipe.add_argument("--memory", type=int, default=4096, help="views that each process remembers for it")
    recipe.add_argument("--distorted", type=float, default=0.6, help="share of distorted crops")
    recipe.add_argument("--blended", type=float, default=0.0, help="share of photos that are two faces, with --match")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    machine.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 where it is fast")
    machine.add_argument("--threads", type=int, default=0)
    machine.add_argument("--workers", type=int, default=2)
    machine.add_argument("--seed", type=int, default=0)
    machine.add_argument("--log_every", type=int, default=50)
    machine.add_argument("--save_minutes", type=float, default=4)
    machine.add_argument("--validations", type=int, default=6, help="how often a leg is validated")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
