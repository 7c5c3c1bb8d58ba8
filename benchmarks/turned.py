"""Photos that lie on their side or stand on their head: is what is right upright still right? -> results/turned.csv

python benchmarks/turned.py --data_dir data/Task_B --gender_labels gender.csv

A row a turn (degrees clockwise) and question, on FACECOM val's clean photos without an EXIF note: `gender` (the right
one) and `who` (the nearest of all other photos, upright, is of the same person; of people with several). right: share
of all photos; kept: share of those right upright that are right turned, with its interval over people; told: share that
is answered at all; seconds: for one photo, on average, embedding alone.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.images import read_photo  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import metrics, results  # noqa: E402
from facecom.inference import ensemble, pipeline  # noqa: E402
from facecom.inference.gender import threshold_of, verdicts  # noqa: E402

TURNS = (0, 90, 180, 270)


def kept(right: np.ndarray, upright: np.ndarray, people: np.ndarray) -> dict:
    """`kept` and its interval. right, upright: bool [N]; people: int [N]."""
    both, all_ = (np.bincount(people, part, people.max() + 1) for part in (right & upright, upright))
    found = metrics.bootstrap(len(all_), lambda w: {"": metrics.share(w @ both, w @ all_)})[""]
    return dict(zip(("kept", "low", "high"), found, strict=True))


def main(args: argparse.Namespace) -> None:
    device = cli.pick_device("auto")
    amp = cli.pick_amp(True, device)
    siamese, gender = (ensemble.load([], task, device=device, amp=amp) for task in ("siamese", "gender"))
    _, val = split_folders(args.data_dir, "B")
    if val is None:
        raise FacecomError(f"{args.data_dir}: holds no val/, which is what is measured")
    table = task_b_table(val)
    table = table[table.condition == "clean"].reset_index(drop=True)
    labels = pd.read_csv(args.gender_labels)
    labels = labels[labels["split"] == "val"].assign(photo=lambda t: t["file"].map(lambda file: Path(file).stem))
    female = (table.merge(labels, on="photo", how="left").gender == "female").to_numpy()
    people = pd.factorize(table.identity)[0]
    several = np.bincount(people)[people] > 1
    photos = [read_photo(path) for path in table.path]
    rows, upright, known = [], {}, None
    for turn in TURNS:
        turned = [np.ascontiguousarray(np.rot90(photo, -turn // 90)) for photo in photos]
        start = time.perf_counter()
        answers, _ = pipeline.collect(turned, siamese)
        seconds = (time.perf_counter() - start) / len(photos)
        known = answers.outputs if known is None else known
        alike = answers.outputs @ known.T
        np.fill_diagonal(alike, -2)
        sexes, _ = pipeline.collect(turned, gender)
        said = verdicts(sexes, gender, threshold_of(gender))
        who_told = siamese.can_tell(answers.confidence, answers.quality)
        found = {
            "gender": (said == female, ~np.isnan(said), np.ones(len(said), bool)),
            "who": ((people[alike.argmax(1)] == people) & who_told, who_told, several),
        }
        for question, (right, told, asked) in found.items():
            upright.setdefault(question, right)
            row = {"turn": turn, "question": question, "photos": int(asked.sum()), "right": float(right[asked].mean())}
            row |= kept(right[asked], upright[question][asked], people[asked]) | {"told": float(told[asked].mean())}
            rows.append(row | {"seconds": seconds})
            print(*(f"{value:.4f}" if isinstance(value, float) else value for value in rows[-1].values()), flush=True)
    results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--gender_labels", required=True, help="CSV: split,file,gender")
    parser.add_argument("--output", default="results/turned.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
