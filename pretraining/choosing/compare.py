"""Encoders side by side on held-back people, with one look at a photo and with a second one at its mirror image.

    python -m pretraining.choosing.compare --crops crops facecom/weights/siamese.pt runs/leg10/ema.pt

Rows `weights,looks,photos,condition` and `validation.figures` in results/encoder_candidates.csv; rows of weights of the
same name are replaced. `mean` is that of clean and six conditions: under glare (`sunny`) nothing is left to compare.
Besides, photos of one camera against each other, of cameras that no encoder has learned from (`cameras.py`).
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from facecom import cli
from facecom.cli import pick_amp
from facecom.evaluation import results
from pretraining.choosing.cameras import CAMERAS
from pretraining.choosing.candidates import Candidate, variants
from pretraining.targets.people import People
from pretraining.validation import CONDITIONS, copies, embed_with_quality, figures, framed, judged

FIGURES = ("tar", "tar_gender", "rank1")


def rows_of(candidate: Candidate, name: str, people: People, probes: dict[str, np.ndarray], chosen, amp: bool):
    """Rows of one encoder. probes: RGB uint8 [N, 112, 112, 3] a condition or camera, of the crops `chosen`."""
    size, who, gender = candidate.config["img_size"], people.identity[chosen], people.gender[chosen]
    rows = []
    for looks in (1, 2):
        found = {
            condition: embed_with_quality(
                candidate.model, framed(crops, size, candidate.frame), "cpu", amp, 256, looks == 2
            )[0]
            for condition, crops in probes.items()
        }
        told = {
            c: figures(found[c], found[c if c in CAMERAS else "clean"], who, gender, found["clean"]) for c in probes
        }
        counted = [told[c] for c in CONDITIONS if c != "sunny"]
        told["mean"] = {n: round(float(np.mean([one[n] for one in counted])), 4) for n in FIGURES}
        start = {"weights": name, "looks": looks, "photos": len(chosen)}
        rows += [start | {"condition": c} | {n: told[c][n] for n in FIGURES} for c in told]
    return rows


def main(args):
    torch.set_num_threads(args.threads or torch.get_num_threads())
    amp = pick_amp(args.amp, torch.device("cpu")) is not None
    people = People(args.crops)
    chosen = judged(people, args.limit)
    crops = np.stack([people.crops[i] for i in chosen])
    probes = {condition: copies(crops, chosen, condition) for condition in CONDITIONS}
    for name, camera in CAMERAS.items():
        seeds = map(np.random.default_rng, chosen)
        probes[name] = np.stack([camera(crop, rng) for crop, rng in zip(crops, seeds, strict=True)])
    names = args.names or [f"{Path(path).parent.name}/{Path(path).stem}" for path in args.weights]
    rows = []
    for path, name in zip(args.weights, names, strict=True):
        new = rows_of(next(variants(Path(path), None)), name, people, probes, chosen, amp)
        print(name, [row for row in new if row["condition"] in ("clean", "mean", *CAMERAS)], flush=True)
        rows += new
    if Path(args.output).is_file():
        with open(args.output, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["weights"] not in names] + rows
    results.write_rows(args.output, rows)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", nargs="+", help="ema.pt of pretraining.encoder.train, or Siamese checkpoints")
    parser.add_argument("--names", nargs="+", help="what to call them")
    parser.add_argument("--crops", required=True, help="folder that pretraining.targets.crops wrote")
    parser.add_argument("--limit", type=int, default=1500, help="held-back photos")
    parser.add_argument("--output", default="results/encoder_candidates.csv")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 where it is fast")
    parser.add_argument("--threads", type=int, default=0)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
