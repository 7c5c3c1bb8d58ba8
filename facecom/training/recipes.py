"""The flags and recipes of training. A recipe is a set of defaults; flags stand over it."""

import argparse
import math
import os
from pathlib import Path
from typing import Any

from facecom.cli import DEFAULT_ALIGN, refuse_less
from facecom.data.listing import is_photo
from facecom.errors import FacecomError
from facecom.faces.alignment import FRAMES
from facecom.files import check_folder, check_writable, refuse_to_replace
from facecom.models.published import BACKBONE

#: Where the training photos' conditions come from: simulated on clean ones, or the data set's own distorted copies.
CONDITION_SOURCES = ("simulate", "real")

#: Task A: what is done about more men than women (`balance.py`).
BALANCES = ("auto", "undersample", "weighted", "none")

#: Defaults of the tasks, by recipe. `published` is how the published solution was trained.
SIAMESE: dict[str, dict[str, Any]] = {
    "facecom": {"weight_decay": 1e-5, "batch_size": 32},
    "published": {
        "lr": 1e-4,
        "weight_decay": 1e-5,
        "epochs": 50,
        "batch_size": 32,
        "patience": 5,
        "margin": 1.0,
        "conditions": "real",
    },
}
GENDER: dict[str, dict[str, Any]] = {
    "facecom": {"lr": 1e-5, "head_lr": 1e-4, "weight_decay": 1e-2, "epochs": 50, "batch_size": 32, "patience": 7},
    "published": {
        "lr": 1e-5,
        "head_lr": 1e-4,
        "weight_decay": 1e-2,
        "epochs": 50,
        "batch_size": 32,
        "patience": 7,
        "gamma": 2.0,
        "smoothing": 0.1,
        "conditions": "none",
        "balance": "undersample",
    },
}

#: Task B, recipe `facecom`: what depends on whether the network knows people already. One that does has strangers at
#: distance 1.4 (right angles), and a margin of 1 would draw them nearer. It is trained on as `finetuning` says, and not
#: for long: what a few people can teach is learned soon.
FROM_NOTHING = {"lr": 1e-4, "margin": 1.0, "epochs": 50, "patience": 5}
FROM_ENCODER = {"lr": 3e-4, "margin": 1.4, "epochs": 10, "patience": 10}

#: The published networks. They follow `--init`: one that starts from a checkpoint is what the checkpoint is.
PUBLISHED_NETWORK = {
    task: {"backbone": backbone, "pool": "avg", "img_size": 224, "align": "off"} for task, backbone in BACKBONE.items()
}

#: The least that these flags may say.
LEAST = {"epochs": 0, "batch_size": 1, "patience": 1, "workers": 0}

#: Flags that may be any number from 0 on.
RATES = ("lr", "head_lr", "weight_decay", "margin", "gamma", "smoothing")

#: Side of crops of the whole head, in pixels: beside hair and collar, the face keeps most of its own.
HEAD_SIZE = 128


def training_arguments(task: str, data_dir: Path, best_name: str) -> argparse.ArgumentParser:
    """Parent parser with the flags that both `train.py` share. task: `siamese` or `gender`."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data_dir", type=Path, default=data_dir, help="folder of train/ and val/ (default: %(default)s)"
    )
    group.add_argument(
        "--conditions",
        default="simulate,real",
        help="bad conditions in training: simulate (on clean photos), real (the data set's own copies), both, or none",
    )
    group.add_argument(
        "--extra_data", nargs="*", default=[], help="more to train on: folders laid out like train/, or parquet tables"
    )
    group.add_argument("--allow_overlap", action="store_true", help="train although people are in both splits")
    group = parser.add_argument_group("network")
    first = "shipped (the shipped gender network, the default), " if task == "gender" else ""
    encoder = "shipped encoder" if task == "gender" else "shipped encoder, the default"
    group.add_argument("--init", help=f"{first}face ({encoder}), imagenet (download), none, or a checkpoint's path")
    group.add_argument("--backbone", help="any timm name (default: that of --init, or convnext_atto)")
    group.add_argument(
        "--pool", choices=("avg", "map"), help="avg as published; map keeps where things are in the crop"
    )
    group.add_argument(
        "--img_size", type=int, help="side of the crops in pixels (default: that of --init, or 112; gender 128)"
    )
    group.add_argument("--frame", choices=FRAMES, help="what the crops show (default: the face; for gender the head)")
    group = parser.add_argument_group("training")
    group.add_argument("--recipe", choices=("facecom", "published"), default="facecom", help="a set of defaults")
    most, wait = "%(default)s", "%(default)s"
    if task == "siamese":
        either = "{} from the shipped encoder or a checkpoint, {} from imagenet or none"
        most, wait = (either.format(FROM_ENCODER[name], FROM_NOTHING[name]) for name in ("epochs", "patience"))
    group.add_argument("--epochs", type=int, help=f"at most (default: {most})")
    group.add_argument("--batch_size", type=int, help="photos, pairs or people a step (default: %(default)s)")
    group.add_argument("--weight_decay", type=float, help="of AdamW (default: %(default)s)")
    group.add_argument("--patience", type=int, help=f"epochs without a better one before it stops (default: {wait})")
    group = parser.add_argument_group("results")
    group.add_argument("--run_dir", type=Path, default=Path("runs") / task, help="settings, log, curves, checkpoints")
    group.add_argument(
        "--output", type=Path, default=Path("weights") / best_name, help="the best weights (default: %(default)s)"
    )
    group.add_argument("--resume", action="store_true", help="go on with the run in --run_dir, exactly")
    group.add_argument("--config", type=Path, help="settings from a YAML file such as a run's args.yaml")
    return parser


def resolve(args: argparse.Namespace, task: str) -> argparse.Namespace:
    """Fill in what depends on `--init` and on what is shipped, and check the numbers. Raises FacecomError."""
    from facecom.models.checkpoint import SHIPPED  # imports torch

    if args.init is None and args.recipe == "published":
        args.init = "imagenet"
    elif args.init is None:
        # Another look than the shipped gender network's is for its head to learn anew.
        new_look = any(getattr(args, name) for name in ("backbone", "pool", "img_size", "frame"))
        whole = task == "gender" and not new_look and (SHIPPED / "gender.pt").exists()
        args.init = "shipped" if whole else "face" if (SHIPPED / "siamese.pt").exists() else "none"
    if args.recipe == "published" and args.init in ("imagenet", "none"):
        for name, value in PUBLISHED_NETWORK[task].items():
            setattr(args, name, getattr(args, name) or value)
    if task == "siamese":
        start = FROM_NOTHING if args.init in ("imagenet", "none") else FROM_ENCODER
        for name, value in start.items():
            setattr(args, name, value if getattr(args, name) is None else getattr(args, name))
    args.align = args.align or DEFAULT_ALIGN
    refuse_less(args, LEAST)
    for name in RATES:
        value = getattr(args, name, None)
        if value is not None and not 0 <= value < math.inf:
            raise FacecomError(f"--{name} {value}: must be a number from 0 on")
    if args.img_size is not None and args.img_size < 32:
        raise FacecomError(f"--img_size {args.img_size}: must be at least 32 pixels")
    if args.output.is_dir():
        raise FacecomError(f"--output {args.output}: that is a folder: name the weight file to write")
    if args.output.is_file() and is_photo(args.output.resolve()):
        raise FacecomError(f"cannot write {args.output}: a photo is there; choose another name")
    read = {name: value for name, value in vars(args).items() if name not in ("output", "init", "run_dir")}
    refuse_to_replace(args.output, read)
    if os.path.realpath(args.run_dir) == os.path.realpath(args.data_dir):
        raise FacecomError(f"--run_dir {args.run_dir}: the photos are there; choose another folder")
    check_folder(args.run_dir)
    for path in (args.output, args.run_dir / "last.pt"):
        check_writable(path)
    condition_sources(args.conditions)
    return args


def first_look(args: argparse.Namespace, task: str) -> tuple[str, int | None]:
    """(frame, side of the crops or None) of a network that is new to its task; one that is not keeps its own."""
    frame = args.frame or ("head" if task == "gender" and args.recipe != "published" else "face")
    return frame, args.img_size or (HEAD_SIZE if frame == "head" else None)


def condition_sources(text: str) -> set[str]:
    """`simulate,real` as a set; `none` is empty. Raises FacecomError for anything else."""
    names = {name.strip() for name in text.split(",")} - {"", "none"}
    if names - set(CONDITION_SOURCES):
        raise FacecomError(f"--conditions {text}: simulate, real, simulate,real or none")
    return names
