"""Train the face finder: five landmarks and a confidence, in every condition.

    python -m pretraining.finder.train --data_dir data/Task_B/train --heads heads.parquet --detector_model yunet.onnx

Targets are YuNet's landmarks on the CLEAN photo, the mean over sizes and mirror images; the network sees a distorted,
randomly framed copy. Writes `run_dir/{last.pt,log.csv}` and the averaged weights to `--output`, again at every
evaluation. `--resume` goes on from `last.pt`; `--init` starts a new schedule from weights.
"""

import argparse
import csv
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from facecom import cli
from facecom.conditions import CONDITIONS, DISTORTIONS
from facecom.conditions.impulses import without_impulses
from facecom.faces.alignment import landmark_errors
from facecom.faces.finder import find
from facecom.models import checkpoint
from facecom.models.networks import LandmarkNet
from pretraining.finder.framings import Looks
from pretraining.photos import drawn_photos, drawn_scenes, facecom_photos, head_photos
from pretraining.provenance import write_provenance

PREPROCESSING = {"size": 112, "mean": [0.5] * 3, "std": [0.5] * 3, "align": "off", "colour": "RGB"}

#: Settings that say where things lie and run, not how the network was made.
OF_THE_MACHINE = ("data_dir", "heads", "detector_model", "run_dir", "output", "init", "resume", "threads", "workers")


def landmark_loss(
    landmarks: torch.Tensor, log_error: torch.Tensor, target: torch.Tensor, beta: float = 0.5
) -> tuple[torch.Tensor, torch.Tensor]:
    """(loss, mean error), scalars, of the examples that have a face.

    landmarks, target: [B, 5, 2] pixels; log_error: [B, 5]. Distances count as shares of the distance between the eyes.
    Negative log likelihood of a Laplace distribution in the plane, `r / b + 2 log b`, weighted by `b ** beta`, the
    weight taken as constant: without it the hard photos would teach next to nothing (Seitzer et al., ICLR 2022).
    """
    eyes = (target[:, 1] - target[:, 0]).norm(dim=1)
    distance = (landmarks - target).norm(dim=2) / eyes[:, None]
    scale = log_error.exp()
    return ((distance / scale + 2 * log_error) * scale.detach() ** beta).mean(), distance.mean().detach()


def running_mean(decay: float):
    """Exponential running mean for `AveragedModel`, quicker at first, so that it soon forgets the random start."""
    return lambda mean, value, count: mean + (value - mean) * max(1 - decay, 10 / (10 + int(count)))


def train_one_epoch(model, averaged, loader, optimizer, scheduler, amp: torch.dtype | None) -> dict[str, float]:
    """One pass over the loader; mean loss and error. Raises FloatingPointError when the loss is no number."""
    model.train()
    totals = []
    for pictures, targets, face in loader:
        x = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
        face = face.repeat_interleave(2)
        with torch.autocast("cpu", amp, enabled=amp is not None):
            landmarks, log_error, logit = model(x)
        loss, error = landmark_loss(landmarks[face], log_error[face], targets.flatten(0, 1)[face])
        loss = loss + 0.3 * F.binary_cross_entropy_with_logits(logit, face.float())
        if not torch.isfinite(loss):
            raise FloatingPointError("the loss is no number any more: lower --lr")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimizer.step()
        scheduler.step()
        averaged.update_parameters(model)
        totals.append((loss.item(), error.item()))
    loss, error = np.mean(totals, 0)
    return {"loss": loss, "train_error": error}


def evaluate(model, photos, amp: torch.dtype | None) -> dict[str, float]:
    """Mean error (share of the eye distance) and share of failures (above a tenth) by condition, in two looks."""
    model.eval()
    figures = {}
    for number, condition in enumerate(CONDITIONS):
        images = [photo.image if number == 0 else photo.copies[number - 1] for photo in photos]
        images = [without_impulses(image) for image in images]
        truth = np.stack([photo.landmarks for photo in photos])
        landmarks, _ = find(images, amp=amp, model=model)
        errors = landmark_errors(landmarks, truth)
        figures[condition], figures[f"{condition}_failed"] = errors.mean(), (errors > 0.1).mean()
    return figures


def load_photos(args) -> tuple[dict, list, list]:
    """(sources, scenes, held-back photos): every tenth identity of FACECOM train is held back."""
    people = facecom_photos(Path(args.data_dir), args.detector_model)
    held = [photo for name in list(people)[::10] for photo in people[name] if len(photo.copies) == len(DISTORTIONS)]
    sources = {"facecom": [photo for name in people if name not in list(people)[::10] for photo in people[name]]}
    sources["heads"] = [photo for table in args.heads for photo in head_photos(Path(table))]
    sources["drawn"] = drawn_photos(args.drawn)
    return sources, drawn_scenes(args.drawn), held


def optimizer_of(model, args, steps: int):
    """AdamW without decay on norms and biases; cosine after a short warm-up."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": args.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=args.lr)
    warm = min(500, steps // 10 + 1)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / warm) * (0.5 + 0.5 * math.cos(math.pi * min(1, step / steps)))
    )
    return optimizer, schedule


def main(args):
    torch.set_num_threads(args.threads)
    amp = torch.bfloat16 if args.amp else None
    torch.manual_seed(args.seed)
    run_dir = Path(args.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    config = {
        "backbone": args.backbone,
        "channels": args.channels,
        "layer_scale": False,
        "backbone_arguments": json.loads(args.backbone_arguments),
    }
    model = LandmarkNet(**config).to(memory_format=torch.channels_last)
    if args.init:
        model.load_state_dict(checkpoint.load(args.init, "landmarks").model.state_dict())
    averaged = AveragedModel(model, avg_fn=running_mean(args.average), use_buffers=True)
    optimizer, schedule = optimizer_of(model, args, args.epochs * args.epoch_steps)
    parts = {"model": model, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}
    # Not read again on --resume: by then --output may have taken the place of --init.
    epoch, seconds, history = 0, 0.0, history_of(args.init) if args.init else None
    if args.resume:
        saved = torch.load(run_dir / "last.pt", weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        epoch, seconds, history = saved["epoch"], saved["seconds"], saved.get("history")
    sources, scenes, held = load_photos(args)
    counts = {name: len(photos) for name, photos in sources.items()} | {"held": len(held)}
    print(", ".join(f"{count} {name}" for name, count in counts.items()), flush=True)
    size = args.epoch_steps * args.batch_size
    looks = Looks(sources, scenes, args.epochs * size, args.seed)
    while epoch < args.epochs:
        start = time.perf_counter()
        part_of_it = torch.utils.data.Subset(looks, range(epoch * size, (epoch + 1) * size))
        loader = torch.utils.data.DataLoader(part_of_it, args.batch_size, num_workers=args.workers)
        row = train_one_epoch(model, averaged, loader, optimizer, schedule, amp)
        epoch, seconds = epoch + 1, seconds + time.perf_counter() - start
        row = {"epoch": epoch, "seconds": round(seconds)} | row | evaluate(averaged.module, held, amp)
        row = {name: round(float(value), 4) for name, value in row.items()}
        state = {name: part.state_dict() for name, part in parts.items()}
        checkpoint.write(state | {"epoch": epoch, "seconds": seconds, "history": history}, run_dir / "last.pt")
        write_log(run_dir / "log.csv", row)
        recipe = {name: value for name, value in vars(args).items() if name not in OF_THE_MACHINE}
        checkpoint.save(
            args.output, task="landmarks", model=averaged.module, config=config, preprocessing=PREPROCESSING,
            args=recipe, epoch=epoch, metrics=row, data=counts, half=True,
        )  # fmt: skip
        sources = ("facecom", "heads", "landmarks", "drawings")
        write_provenance(Path(args.output), sources, "python -m pretraining.finder.train", {"history": history})


def history_of(path: str) -> str:
    """What the weights that a training starts from have behind them, from the JSON beside them or the file itself."""
    told, epochs = None, checkpoint.load(path, "landmarks").info["epoch"]
    if Path(path).with_suffix(".json").is_file():
        told = json.loads(Path(path).with_suffix(".json").read_text()).get("history")
    return f"starts from weights of {epochs} epochs" + (f" ({told})" if told else "")


def write_log(path: Path, row: dict) -> None:
    """Append a row, with a header in a new file, and print it."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if new:
            writer.writeheader()
        writer.writerow(row)
    print(" ".join(f"{name}={value:g}" for name, value in row.items()), flush=True)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    data = parser.add_argument_group("data")
    data.add_argument("--data_dir", required=True, help="folder of identity folders, distorted copies in `distortion/`")
    data.add_argument("--heads", nargs="*", default=[], help="parquet tables of head photos with landmarks")
    data.add_argument("--detector_model", required=True, help="YuNet ONNX file: gives the targets")
    data.add_argument("--drawn", type=int, default=300, help="drawn people, and as many drawn scenes")
    network = parser.add_argument_group("network")
    network.add_argument("--backbone", default="test_byobnet", help="timm name")
    network.add_argument("--backbone_arguments", default="{}", help="JSON, for timm: `dims`, `depths`")
    network.add_argument("--channels", type=int, default=64)
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--epochs", type=int, default=20)
    recipe.add_argument("--epoch_steps", type=int, default=500)
    recipe.add_argument("--batch_size", type=int, default=32, help="photos, two looks each")
    recipe.add_argument("--lr", type=float, default=2e-3)
    recipe.add_argument("--weight_decay", type=float, default=0.05)
    recipe.add_argument("--average", type=float, default=0.998, help="decay of the running mean of the weights")
    recipe.add_argument("--seed", type=int, default=0)
    run = parser.add_argument_group("run")
    run.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16")
    run.add_argument("--threads", type=int, default=torch.get_num_threads())
    run.add_argument("--workers", type=int, default=1)
    run.add_argument("--run_dir", default="runs/landmarks")
    run.add_argument("--output", default=str(checkpoint.SHIPPED / "landmarks.pt"))
    run.add_argument("--init", help="landmark weights to start from (same network)")
    run.add_argument("--resume", action="store_true", help="go on from run_dir/last.pt")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
