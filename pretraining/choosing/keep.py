"""Keeps a leg's averaged weights for the next one to start from: `pretraining/encoder/ema.pt`, with a JSON beside it.

    python -m pretraining.choosing.keep runs/leg10

They are not shipped: `pretraining.choosing.ship` does that, once they are better on held-back people than what is.
"""

import argparse
import csv
import json
from hashlib import sha256
from pathlib import Path

from facecom import cli
from facecom.models import checkpoint
from pretraining.encoder.train import write
from pretraining.provenance import SOURCES

#: What taught the weights, and on what.
NAMES = ("facecom", "faces", "heads", "edgeface", "mobilefacenet")


def held_back(folder: Path) -> dict[str, dict]:
    """The last figures of each condition in a run's validation.csv."""
    with open(folder / "validation.csv", newline="") as file:
        rows = {row.pop("condition"): row for row in csv.DictReader(file)}
    return {condition: {name: float(value) for name, value in row.items()} for condition, row in rows.items()}


def main(args):
    folder, output = Path(args.run), Path(args.output)
    content = checkpoint.read(folder / "ema.pt")
    write(content, output)
    about = {name: content[name] for name in ("config", "args", "photos", "minutes")}
    about |= {"file": output.name, "bytes": output.stat().st_size, "sha256": sha256(output.read_bytes()).hexdigest()}
    about |= {"sources": {name: SOURCES[name] for name in NAMES}, "held_back": held_back(folder)}
    output.with_suffix(".json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="run folder of pretraining.encoder.train")
    parser.add_argument("--output", default="pretraining/encoder/ema.pt")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
