"""Short encoder runs side by side: what was different, how many photos it saw, what came of it.

    python -m pretraining.choosing.experiments runs/adamw runs/muon --output results/encoder_experiments.csv
    python -m pretraining.choosing.experiments runs/fixed runs/blended --add    # rows more, below the others

A row a run folder of `pretraining.encoder.train`: its name, the settings that are not the same in all runs, and the
last figures of log.csv (training losses) and validation.csv (TAR at FAR 1e-3 and rank-1 of held-back people, averaged
weights; `tar_gender` is among strangers of the same gender, `bad` the mean of the seven distortions).
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np

from facecom import cli
from pretraining.encoder.train import NOT_RECIPE


def last_figures(folder: Path) -> dict:
    """The end of a run: photos, minutes, losses, held-back figures."""
    log = list(csv.DictReader(open(folder / "log.csv")))
    validation = list(csv.DictReader(open(folder / "validation.csv")))[-8:]
    figures = {name: log[-1][name] for name in ("photos", "minutes", "distillation")}
    clean = next(row for row in validation if row["condition"] == "clean")
    for name in ("tar", "tar_gender", "rank1", "cosine"):
        if name not in clean:  # a run of before it was measured
            continue
        figures[f"clean_{name}"] = clean[name]
        bad = [float(row[name]) for row in validation if row["condition"] != "clean"]
        figures[f"bad_{name}"] = round(float(np.mean(bad)), 4)
    return figures


def compare(folders: list[Path], columns: list[str] | None = None) -> list[dict]:
    """A row a run; a setting that a run's code did not know yet is empty. columns: those to fill (default: the settings
    that differ). Raises FileNotFoundError for a folder that is no run."""
    settings = [json.loads((folder / "args.json").read_text()) for folder in folders]
    names = dict.fromkeys(name for one in settings for name in one if name not in NOT_RECIPE)
    if columns is None:
        shown = [name for name in names if len({str(one.get(name)) for one in settings}) > 1]
    else:
        shown = [name for name in columns if name in names]
    return [
        {"run": folder.name, **{name: one.get(name) for name in shown}, **last_figures(folder)}
        for folder, one in zip(folders, settings, strict=True)
    ]


def main(args):
    folders, kept = [Path(folder) for folder in args.folders], []
    if args.add:
        kept = list(csv.DictReader(open(args.output)))
        rows = compare(folders, [*kept[0], *(compare(folders)[0] if len(folders) > 1 else ())])
        kept = [row for row in kept if row["run"] not in {new["run"] for new in rows}]
    else:
        rows = compare(folders)
    with open(args.output, "w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in kept + rows for name in row))
        writer.writeheader()
        writer.writerows(kept + rows)
    for row in rows:
        print(row)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", help="run folders of pretraining.encoder")
    parser.add_argument("--add", action="store_true", help="keep the rows of --output, whose runs may be gone")
    parser.add_argument("--output", default="results/encoder_experiments.csv")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
