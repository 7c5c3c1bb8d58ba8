"""Adaptation to photos without names: they are sorted into people by their looks, and those count as people.

Nobody is held back, so what it gains cannot be said, and the threshold stays that of the network.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from facecom import cli
from facecom.data.augmentation import eval_transform
from facecom.data.folders import flat_table, layout, within
from facecom.data.listing import photos_in
from facecom.errors import FacecomError
from facecom.evaluation.protocols import PUBLISHED_DISTANCE
from facecom.faces.aligner import Aligner
from facecom.faces.crops import load_crops
from facecom.inference.people.grouping import group
from facecom.models import checkpoint
from facecom.models.networks import SiameseNet
from facecom.training import adaptation, distributed
from facecom.training.job import autocast
from facecom.training.preparation import fingerprint
from facecom.training.run_folder import open_run
from facecom.training.samples import evaluation_batches


def folder_of(data_dir: Path) -> Path | None:
    """The folder of photos without names that `--data_dir` is, or `train/` in it; None for everything else."""
    folder = within(data_dir, "train") or data_dir
    return folder if folder.is_dir() and layout(folder) == "flat" and any(photos_in(folder)) else None


def run(args: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Adapt the network of `--init` to the photos of a folder, and write the weights. args: as of `train.py`, resolved.

    Returns {"epoch": 0}. Raises FacecomError where there are epochs to train, and for a network that knows nobody.
    """
    if args.epochs or args.init in ("imagenet", "none"):
        what = "--epochs 0 adapts a network to them" if args.epochs else f"--init {args.init} has nothing to adapt"
        raise FacecomError(f"{folder}: photos without names: {what}; training needs a folder a person, train/<name>/")
    open_run(args.run_dir, args.resume)
    loaded = checkpoint.load(None if args.init in ("shipped", "face") else args.init, "siamese")
    print(f"starts from {loaded.path.name}")
    table = flat_table(folder)
    if len(table) > adaptation.MOST_FITTED:
        print(f"{folder}: {len(table)} photos, of which {adaptation.MOST_FITTED} are drawn")
        table = table.sample(adaptation.MOST_FITTED, random_state=args.seed).sort_index()
    table, outputs = seen(loaded, table, args)
    threshold = loaded.operating_points[0]["threshold"] if loaded.operating_points else PUBLISHED_DISTANCE
    people = group(adaptation.embeddings_of(outputs).astype(np.float32), threshold)
    print(f"photos without names: {len(table)} with a face, of {len(np.unique(people))} people by their looks")
    made = adaptation.adapt(outputs, people)
    adaptation.fold(loaded.model, made)
    print(adaptation.said_of(made))
    if not made.nothing:
        print(f"the threshold stays {threshold:.3f}: photos with names (a folder a person) would settle it anew")
    if distributed.first():
        cli.save_settings(Path(args.run_dir) / cli.SETTINGS, args)
        checkpoint.save(
            args.output, task="siamese", model=loaded.model, preprocessing=loaded.preprocessing, epoch=0,
            config={name: value for name, value in loaded.config.items() if name != "task"},
            operating_points=loaded.operating_points, limits=loaded.info.get("limits"), args=vars(args),
            data={"unlabelled": fingerprint(table.assign(identity=people))}, adaptation=made.about(),
        )  # fmt: skip
    return {"epoch": 0}


def seen(loaded: checkpoint.Loaded, table: pd.DataFrame, args: argparse.Namespace) -> tuple[pd.DataFrame, np.ndarray]:
    """(the photos with a face that the network can tell, what its last layer gives for them and their mirror images:
    float32 [N, V, D]). Raises FacecomError where none is left."""
    look = {"frame": "face", "mirror": False} | loaded.preprocessing
    size, mean, std, align, frame = (look[name] for name in ("size", "mean", "std", "align", "frame"))
    device = cli.pick_device(args.device)
    amp = cli.pick_amp(args.amp, device)
    aligner = Aligner(align, size, args.detector_model, device, amp, frame)
    table, crops = load_crops(table, aligner, workers=args.workers, quiet=args.quiet)
    model: SiameseNet = loaded.model.to(device).eval()  # type: ignore[assignment]
    outputs, quality = [], []
    loader = evaluation_batches(crops, eval_transform(size, mean, std), workers=args.workers, device=device)
    with torch.inference_mode(), autocast(device, amp):
        for (x,) in loader:
            x = x.to(device, memory_format=torch.channels_last)
            hidden = [model.hidden(view) for view in ([x, x.flip(3)] if look["mirror"] else [x])]
            outputs.append(torch.stack([model.projection[2](view) for view in hidden], 1).float().cpu().numpy())
            quality.append(torch.stack([model.quality_of(view) for view in hidden], 1).mean(1).cpu().numpy())
    least = (loaded.info.get("limits") or {}).get("quality", 0)
    told = ~(np.concatenate(quality) < least)  # NaN: a network that does not say
    if not told.any():
        raise FacecomError(f"{args.data_dir}: no photo with a face that can be told")
    return table[told].reset_index(drop=True), np.concatenate(outputs)[told]
