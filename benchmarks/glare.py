"""How much of a face FACECOM's glare leaves, and what the shipped networks make of it.

    python benchmarks/glare.py --data_dir data/Task_B --gender_labels gender.csv           # results/glare.csv

On the sunny copies of `val/`, a third of the photos a row, from the most hidden face to the least. The face is an
ellipse about the landmarks of the clean photo. `visible`: median share of its pixels that are not saturated in any
channel; `traces`: not in all of them. What is saturated is 255 whatever was there: no network can tell. Then, as
`benchmarks/accuracy.py` and `benchmarks/landmarks.py` measure them, by faces alone: TAR@FAR=1e-3 and rank-1 without the
own photo, the distance of the landmarks from those of the clean photo, gender balanced accuracy.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.accuracy import labelled  # noqa: E402
from facecom import FaceVerifier, GenderPredictor, cli  # noqa: E402
from facecom.data import folders, images  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import protocols  # noqa: E402
from facecom.evaluation.comparisons import photo_keys  # noqa: E402
from facecom.evaluation.results import write_rows  # noqa: E402
from facecom.faces.alignment import landmark_errors  # noqa: E402
from facecom.faces.finder import find  # noqa: E402

#: Half axes of the face in eye distances, from the forehead to the chin.
FACE = (1.0, 1.4)

#: From this value on a channel of a JPEG of quality 75 is taken for saturated.
SATURATED = 250

THIRDS = ("most hidden", "in between", "least hidden")


def left_of_the_face(photo: np.ndarray, landmarks: np.ndarray) -> tuple[float, float]:
    """Shares of the face's pixels that are saturated in no channel, and not in all three.

    photo: RGB uint8 [H, W, 3]; landmarks: [5, 2] pixels of it.
    """
    across = landmarks[1] - landmarks[0]
    eyes, middle = float(np.linalg.norm(across)), landmarks.mean(0)
    mask = np.zeros(photo.shape[:2], np.uint8)
    box = (
        middle.astype(float).tolist(),
        (2 * FACE[0] * eyes, 2 * FACE[1] * eyes),
        np.degrees(np.arctan2(*across[::-1])),
    )
    cv2.ellipse(mask, box, 1, -1)
    face = photo[mask > 0]
    return float((face.max(1) < SATURATED).mean()), float((face.min(1) < SATURATED).mean())


def measured(table: pd.DataFrame, embeddings: np.ndarray, errors: np.ndarray, p_female: np.ndarray) -> dict:
    """The networks' figures. table: clean photos and probes of condition `sunny`; the others: a row each."""
    settings = {"conditions": ["sunny"], "resamples": 0}
    rows = protocols.cross_photo(table, embeddings, **settings)
    rows += protocols.identification(table, embeddings, **settings)
    probes = (table["condition"] == "sunny").to_numpy()
    rows += protocols.gender(table[probes], p_female[probes], resamples=0)
    figures = {row["metric"]: row["value"] for row in rows}
    names = {"tar@far=1e-3": "TAR@FAR=1e-3", "rank1": "rank-1", "balanced_accuracy": "gender"}
    return {"landmark error": errors[probes].mean()} | {name: figures[metric] for metric, name in names.items()}


def main(args: argparse.Namespace) -> None:
    _, val = folders.split_folders(args.data_dir, "B")
    if val is None:
        raise FacecomError(f"{args.data_dir}: no folder `val` in it")
    table = folders.task_b_table(val).query("condition in ('clean', 'sunny')").reset_index(drop=True)
    table = labelled(table, "val", args.gender_labels)
    pictures = [images.read_photo(path) for path in table["path"]]
    landmarks, _ = find(pictures)
    clean = (table["condition"] == "clean").to_numpy()
    keys = photo_keys(table)
    place = dict(zip(keys[clean], np.flatnonzero(clean), strict=True))
    truth = landmarks[[place[key] for key in keys]]
    left = np.array([left_of_the_face(*pair) for pair in zip(pictures, truth, strict=True)])
    embeddings = FaceVerifier(amp=args.amp).embed(table["path"].tolist())
    p_female = GenderPredictor(amp=args.amp).predict(table["path"].tolist())["p_female"].to_numpy()
    errors = landmark_errors(landmarks, truth)
    sunny = np.flatnonzero(~clean)
    order = sunny[np.argsort(left[sunny, 0], kind="stable")]
    rows = []
    for name, probes in zip((*THIRDS, "all"), (*np.array_split(order, len(THIRDS)), order), strict=True):
        kept = np.concatenate([np.flatnonzero(clean), probes])
        visible, traces = np.median(left[probes], 0)
        row = {"face": name, "photos": len(probes), "visible": visible, "traces": traces}
        part = table.iloc[kept].reset_index(drop=True)
        row |= measured(part, embeddings[kept], errors[kept], p_female[kept])
        rows.append(
            {key: value if isinstance(value, (str, int)) else round(float(value), 4) for key, value in row.items()}
        )
    write_rows(args.output, rows)
    print(pd.DataFrame(rows).to_string(index=False))


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="Task B: the folder with val/")
    parser.add_argument("--gender_labels", required=True, help="CSV split,file,gender,second_opinion")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="half precision")
    parser.add_argument("--output", default="results/glare.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
