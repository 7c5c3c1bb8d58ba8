"""From a data folder to what a training run works on: audited tables, held-back people, crops, transforms."""

import argparse
import hashlib
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pandas as pd
import torch
from torch.utils.data import Subset

from facecom.cli import pick_amp
from facecom.data.audit import audit, contradictions
from facecom.data.augmentation import eval_transform, train_transform
from facecom.data.folders import GENDERS, labelled_copies, split_folders, task_a_table, task_b_table
from facecom.data.holdback import USUAL_SHARE, enough_share, hold_back
from facecom.data.images import CROP_SIZE
from facecom.errors import FacecomError, FacecomWarning
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import FRAMES
from facecom.faces.crops import with_copies
from facecom.models import published
from facecom.models.initial import Start
from facecom.training.distributed import load_crops
from facecom.training.recipes import condition_sources, first_look
from facecom.training.tables import joined, open_extra, parted

#: Pixels from -1 to 1, unless a checkpoint that training starts from has others.
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

#: What the sets are called before the user.
TITLES = {
    "guard": "guard photos",
    "train": "training photos",
    "held": "held-back photos",
    "val": "val photos",
    "strangers": "held-back strangers",
}

#: The source of the photos in --data_dir, beside those of --extra_data.
OWN = "data_dir"


def preprocessing_of(task: str, args: argparse.Namespace, start: Start) -> dict:
    """How photos are prepared, as a checkpoint stores it."""
    if start.preprocessing is not None:
        mean, std = start.preprocessing["mean"], start.preprocessing["std"]
    elif args.recipe == "published" and task == "gender":
        mean, std = published.IMAGENET_MEAN, published.IMAGENET_STD
    else:
        mean, std = MEAN, STD
    before = (start.preprocessing or {}) if start.whole else {}
    kept = before.get("frame", "face") if start.whole else None
    return {
        "size": start.config["img_size"],
        "mean": mean,
        "std": std,
        "align": args.align,
        "frame": args.frame or kept or first_look(args, task)[0],
        "colour": "rgb",
        "mirror": args.recipe != "published" and before.get("mirror", not start.whole),
    }


def training_transforms(task: str, args: argparse.Namespace, preprocessing: dict) -> dict[str, A.Compose]:
    """Transforms by name: those of `kind_of` for training photos of that kind, `eval` for all others."""
    size, mean, std = (preprocessing[name] for name in ("size", "mean", "std"))
    options = {"recipe": args.recipe, "task": task, "scale": scale_of(preprocessing)}
    simulate = "simulate" in condition_sources(args.conditions)
    return {
        "clean": train_transform(size, mean, std, simulate=simulate, **options),
        "distorted": train_transform(size, mean, std, simulate=False, **options),
        "eval": eval_transform(size, mean, std),
    }


def kind_of(table: pd.DataFrame) -> list[str]:
    """`clean` or `distorted` for each row: the name of its training transform."""
    return table["condition"].where(table["condition"] == "clean", "distorted").tolist()


def open_data(
    task: str, args: argparse.Namespace, preprocessing: dict, device: torch.device
) -> tuple[dict[str, tuple[pd.DataFrame, Any]], dict]:
    """({name: (table, crops)}, the data's fingerprint for the checkpoint).

    task: `A` or `B`. Sets: `train`; `held` (back), which the published recipe has none of, since it selects on val;
    `val` where there is one; `strangers` (held-back people of `--extra_data`, task `B`). Where held-back photos have
    no distorted copies, simulated ones join them. Raises FacecomError for folders that cannot be used, and for people
    or files in both splits.
    """
    tables = open_tables(task, args.data_dir, args.allow_overlap)
    sources = condition_sources(args.conditions)
    if args.recipe == "published":
        if "val" not in tables:
            raise FacecomError(f"{args.data_dir}: --recipe published selects on val/, and there is none")
    else:
        # The same people whatever --seed: those that the shipped encoder has not seen either.
        share = enough_share(tables["train"]["identity"].nunique())
        tables["train"], tables["held"] = hold_back(tables["train"], share, seed=0, exact=share != USUAL_SHARE)
    if "real" not in sources:
        tables["train"] = tables["train"][tables["train"]["condition"] == "clean"].reset_index(drop=True)
    size, amp = preprocessing["size"], pick_amp(args.amp, device)
    aligner = Aligner(args.align, size, args.detector_model, device, amp, preprocessing["frame"])
    sets: dict[str, tuple[pd.DataFrame, Any]] = {
        name: load_crops(table, aligner, workers=args.workers, quiet=args.quiet, name=TITLES[name])
        for name, table in tables.items()
    }
    if getattr(args, "guard", None):
        guard = task_b_table(args.guard)
        sets["guard"] = load_crops(guard, aligner, workers=args.workers, quiet=args.quiet, name=TITLES["guard"])
    for path in args.extra_data:
        extra = open_extra(path, task, aligner, workers=args.workers, quiet=args.quiet)
        add_extra(sets, task, *without_known(*extra, sets, path))
    if "held" in sets and "simulate" in sources and (sets["held"][0]["condition"] == "clean").all():
        sets["held"] = with_copies(*sets["held"], scale_of(preprocessing))
    if task == "A" and args.conditions_from is not None and "real" in sources:
        add_real_copies(sets, tables, args, aligner)
    for name, (table, _) in sets.items():
        print(f"{TITLES[name]}: {counts(table)}")
    check_sets(task, sets, args.recipe == "published")
    prints = {name: fingerprint(table) for name, (table, _) in sets.items()}
    return sets, prints


def check_sets(task: str, sets: dict[str, tuple[pd.DataFrame, Any]], published: bool) -> None:
    """Whether the photos that could be read are enough. Raises FacecomError where there is nothing to learn from or to
    choose by; where only figures will be missing, says so. A `val` that says nothing is taken out."""
    train = sets["train"][0]
    people, wanted = (
        train["identity"].nunique(),
        ("photos of two people", "photos in male/ and in female/")[task == "A"],
    )
    if (people < 2) if task == "B" else (train["gender"].nunique() < 2):
        what = (
            f"of {people} {'person' if people == 1 else 'people'}" if task == "B" else f"in {train['gender'].iloc[0]}/"
        )
        raise FacecomError(
            f"{TITLES['train']}: only {what} that can be read and are not held back; training needs {wanted}"
        )
    if task == "B" and "val" in sets and sets["val"][0]["identity"].nunique() < 2:
        if published:
            raise FacecomError("val photos: of one person only: --recipe published selects on pairs of two people")
        warn("val photos: of one person only: pairs need two, so nothing is reported on them")
        del sets["val"]
    for name in ("held", "val"):
        table = sets[name][0] if name in sets else None
        if table is None:
            continue
        decides = "the best epoch is chosen by accuracy alone" if name == "held" else "those figures stay empty"
        if task == "A" and table["gender"].nunique() < 2:
            only = table["gender"].iloc[0]
            warn(f"{TITLES[name]}: in {only}/ only: AUC and balanced accuracy are undefined; {decides}")
        if task == "B" and table.groupby("identity")["photo"].nunique().max() < 2:
            warn(f"{TITLES[name]}: one photo a person, so no two photos of one person can be compared; {decides}")


def check_labels(folder: Path, table: pd.DataFrame, label: str) -> None:
    """Says where files of the same content have two labels. label: the column, `gender` or `identity`."""
    found = contradictions(table, label)
    if found:
        (one, other), count = found[0], f"{len(found)} {'file has' if len(found) == 1 else 'files have'}"
        warn(f"{folder}: {count} the same content as another with another {label}, such as {one} and {other}: "
             "one label of each is wrong; remove that file")  # fmt: skip


def warn(text: str) -> None:
    warnings.warn(text, FacecomWarning, stacklevel=2)


def without_known(table: pd.DataFrame, crops: Any, sets: dict, path: str) -> tuple[pd.DataFrame, Any]:
    """A source of extra photos without the people whom its own photos are to be judged on: names that are held back
    from --data_dir or are in its val/. Says how many photos that leaves out."""
    judged = [sets[name][0] for name in ("held", "val") if name in sets]
    judged = pd.concat([one[one["source"] == OWN] if "source" in one else one for one in judged], ignore_index=True)
    keep = ~table["name"].isin(set(judged["identity"])).to_numpy()
    if not keep.all():
        print(f"{path}: {(~keep).sum()} photos left out, of people who are held back or in val/")
    table = table.drop(columns="name")
    return table[keep].reset_index(drop=True), Subset(crops, np.flatnonzero(keep).tolist())


def add_extra(sets: dict, task: str, table: pd.DataFrame, crops: Sequence) -> None:
    """Add a source of extra photos to the sets: most to `train`, the held-back people to `held` or `strangers`."""
    for name, (own, own_crops) in list(sets.items()):
        if "source" not in own:
            sets[name] = own.assign(source=OWN), own_crops
    if "held" not in sets:
        sets["train"] = joined([sets["train"], (table, crops)])
        return
    train, held = parted(table, crops)
    sets["train"] = joined([sets["train"], train])
    # Strangers need no photos of the other sides: one distance to each held-back person's photos is enough.
    name = "held" if task == "A" else "strangers"
    sets[name] = joined([sets[name], held]) if name in sets else held


def add_real_copies(sets: dict, tables: dict[str, pd.DataFrame], args: argparse.Namespace, aligner: Aligner) -> None:
    """Add Task B's distorted copies (`--conditions_from`) of Task A's training and held-back photos to their sets.

    Raises FacecomError when the folder holds none of them.
    """
    for name in [name for name in ("train", "held") if name in sets]:  # in one order, whatever the process
        copies = labelled_copies(tables[name], args.conditions_from)
        title = f"distorted copies of {TITLES[name]}"
        copies, crops = load_crops(copies, aligner, workers=args.workers, quiet=args.quiet, name=title)
        own = sets[name][0]
        if "source" in own:
            copies = copies.assign(source=OWN)
        sets[name] = joined([sets[name], (copies, crops)])


def scale_of(preprocessing: dict) -> float | None:
    """Pixels of the network's input a FACECOM pixel (`conditions.distort`): an aligned 112 px crop has about one."""
    share = FRAMES[preprocessing["frame"]]
    return None if preprocessing["align"] == "off" else preprocessing["size"] / CROP_SIZE * share


def open_tables(task: str, data_dir: Path, allow_overlap: bool) -> dict[str, pd.DataFrame]:
    """The audited tables `train` and, where there is one, `val`. Raises FacecomError."""
    train_folder, val_folder = split_folders(data_dir, task)
    read = {"A": task_a_table, "B": task_b_table}[task]
    tables = {"train": read(train_folder)}
    people = tables["train"]["identity"].nunique()
    if task == "B" and people < 3:
        found_people = "1 person" if people == 1 else f"{people} people"
        raise FacecomError(f"{train_folder}: photos of {found_people}; training needs three, one of whom is held back")
    if task == "A":
        found = [gender for gender in GENDERS if (tables["train"]["gender"] == gender).any()]
        if len(found) < 2:
            holds = f"holds photos of {found[0]}/ only" if found else "holds no folders male/ and female/"
            raise FacecomError(f"{train_folder}: {holds}; training needs photos in male/ and in female/")
    check_labels(train_folder, tables["train"], "gender" if task == "A" else "identity")
    if val_folder is None:
        return tables
    tables["val"] = read(val_folder)
    check_labels(val_folder, tables["val"], "gender" if task == "A" else "identity")
    found = audit(tables["train"], tables["val"])
    for row in found.itertuples():
        print(f"{row.kind}: {row.train} | {row.val} ({row.detail})")
    if len(found) and not allow_overlap:
        raise FacecomError(
            f"{data_dir}: train and val share {len(found)} people or files, listed above: scores on val would flatter; "
            "remove them from one side, or pass --allow_overlap"
        )
    return tables


def counts(table: pd.DataFrame) -> str:
    """`788 people, 1837 photos, 14696 files`, for the user."""
    photos = table.groupby(["identity", "photo"]).ngroups
    return f"{table['identity'].nunique()} people, {photos} photos, {len(table)} files"


def _bytes_of(path: str | os.PathLike) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def fingerprint(table: pd.DataFrame) -> dict:
    """What tells one set of photos from another: counts, and a hash of the sorted file names and sizes."""
    lines = sorted(f"{file}\t{_bytes_of(path)}" for file, path in zip(table["file"], table["path"], strict=True))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return {"files": len(table), "identities": int(table["identity"].nunique()), "sha256": digest}
