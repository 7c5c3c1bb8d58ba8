"""Keeps a leg's averaged weights for the next one to start from: `pretraining/encoder/ema.pt`, with a JSON beside it,
and what held-back people said on the way in results/encoder_legs.csv.

    python -m pretraining.choosing.keep runs/leg10 --leg 10

They are not shipped: `pretraining.choosing.ship` does that, once they are better on held-back people than what is.
"""

import argparse
import csv
import json
from hashlib import sha256
from pathlib import Path

from facecom import cli
from facecom.evaluation.results import write_rows
from facecom.models import checkpoint
from pretraining.provenance import SOURCES

#: What taught the weights, and on what.
NAMES = ("facecom", "faces", "heads", "edgeface", "mobilefacenet")


def held_back(rows: list[dict]) -> dict[str, dict]:
    """The last figures of each condition among the rows of a run's validation.csv."""
    last = {row["condition"]: row for row in rows}
    return {c: {name: float(value) for name, value in row.items() if name != "condition"} for c, row in last.items()}


def rows_in(path: Path) -> list[dict]:
    if not path.is_file():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def main(args):
    folder, output = Path(args.run), Path(args.output)
    content = checkpoint.read(folder / "ema.pt")
    checkpoint.write(content, output)
    about = {name: content[name] for name in ("config", "args", "photos", "minutes")}
    about |= {"file": output.name, "bytes": output.stat().st_size, "sha256": sha256(output.read_bytes()).hexdigest()}
    rows = rows_in(folder / "validation.csv")
    about |= {"sources": {name: SOURCES[name] for name in NAMES}, "held_back": held_back(rows)}
    output.with_suffix(".json").write_text(json.dumps(about, indent=1, sort_keys=True) + "\n")
    others = [row for row in rows_in(Path(args.curve)) if row["leg"] != str(args.leg)]
    write_rows(args.curve, others + [{"leg": args.leg} | row for row in rows])


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="run folder of pretraining.encoder.train")
    parser.add_argument("--leg", type=int, required=True, help="its number")
    parser.add_argument("--output", default="pretraining/encoder/ema.pt")
    parser.add_argument(
        "--curve", default="results/encoder_legs.csv", help="where its figures go; a leg's are replaced"
    )
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
