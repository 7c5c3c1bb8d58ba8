"""FACECOM's own distorted copies, beside the packed crops: its rain, noise and glare, cut as the finder sees them.

    python -m pretraining.encoder.copies --data_dir data/Task_B/train --crops crops

Simulation teaches the encoder the seven conditions; these teach it what the camera and the finder make of them. Writes
into the folder of `pretraining.encoder.crops`: `copies.npy` (RGB uint8 [M, 112, 112, 3]) and `copies.csv`
(`row,condition`: the
row of the clean photo in `people.csv`, whose teacher embedding is the copy's target too).
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from facecom import cli
from facecom.data.folders import task_b_table
from facecom.faces.aligner import Aligner
from facecom.faces.crops import load_crops


def main(args):
    folder = Path(args.crops)
    packed = pd.read_csv(folder / "people.csv", dtype=str, keep_default_na=False)
    row_of = {key: row for row, key in enumerate(packed["source"] + "/" + packed["file"])}
    crops, rows, conditions = [], [], []
    for data_dir in args.data_dir:
        table = task_b_table(data_dir)
        clean = table[table["condition"] == "clean"]
        names = dict(zip(clean["identity"] + "/" + clean["photo"], clean["path"], strict=True))
        copies = table[table["condition"] != "clean"]
        originals = [names.get(key) for key in copies["identity"] + "/" + copies["photo"]]
        own = [None if path is None else key_of(data_dir, path) for path in originals]
        copies = copies.assign(row=[row_of.get(key, -1) for key in own])
        copies, found = load_crops(copies[copies["row"] >= 0], Aligner("finder", 112), name="copies")
        crops += [found[i] for i in range(len(found))]
        rows += copies["row"].tolist()
        conditions += copies["condition"].tolist()
    np.save(folder / "copies.npy", np.stack(crops))
    pd.DataFrame({"row": rows, "condition": conditions}).to_csv(folder / "copies.csv", index=False)
    print(f"{len(rows)} copies of {len(set(rows))} photos")


def key_of(data_dir: str, path: str) -> str:
    """How `pretraining.encoder.crops` names a clean photo: the folder, the identity, the file."""
    return "/".join([Path(data_dir).name, *Path(path).parts[-2:]])


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", nargs="+", required=True, help="the folders given to pretraining.crops")
    parser.add_argument("--crops", required=True, help="folder that pretraining.crops wrote")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
