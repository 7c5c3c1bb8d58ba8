"""What counts as one photograph twice: copies, other photos, and photos into which another face was put.

    python benchmarks/same_photo.py --data_dir data/Task_B           # results/same_photo.csv

On `val/`. A row a kind of pairs: `files,alike,one_photograph,count`. `alike`: share that the descriptor of the whole
picture takes for one photograph; `one_photograph`: the share that remains so when readable faces decide, as they do
in use. A face is put in by a similarity of the landmarks, within a soft-edged ellipse: the face alone, or the head.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.conditions import DISTORTIONS  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.images import read_photo  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation.comparisons import identity_keys, photo_keys  # noqa: E402
from facecom.faces.alignment import similarity  # noqa: E402
from facecom.faces.finder import find  # noqa: E402
from facecom.files import write_whole  # noqa: E402
from facecom.inference import ensemble, pipeline  # noqa: E402
from facecom.inference.same_photo import least_likeness  # noqa: E402
from facecom.inference.templates import Templates, distances  # noqa: E402

#: Half axes of the ellipse that is exchanged, in eye distances.
FACE, HEAD = (1.0, 1.35), (2.6, 3.5)

#: Pairs compared at once.
BLOCK = 1 << 18


def put_in(photo: np.ndarray, landmarks: np.ndarray, other: np.ndarray, theirs: np.ndarray, axes) -> np.ndarray:
    """The photo with the other's face in place of its own. photo, other: RGB uint8 [H, W, 3]; landmarks, theirs: of
    them, [5, 2] pixels; axes: of the exchanged ellipse, in eye distances."""
    height, width = photo.shape[:2]
    moved = cv2.warpAffine(other, similarity(theirs, landmarks), (width, height), borderMode=cv2.BORDER_REPLICATE)
    eyes = np.linalg.norm(landmarks[1] - landmarks[0])
    middle = landmarks.mean(0) - (0, 0.1 * eyes)
    mask = np.zeros((height, width), np.float32)
    cv2.ellipse(mask, (middle.round().astype(int).tolist()), [round(float(eyes * a)) for a in axes], 0, 0, 360, 1, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), max(1.0, eyes / 9))[..., None]
    return (moved * mask + photo * (1 - mask)).astype(np.uint8)


def judged(a: Templates, b: Templates, what: str) -> dict:
    """The row of pairs, row by row."""
    alike = one = 0
    for start in range(0, len(a), BLOCK):
        x, y = a[start : start + BLOCK], b[start : start + BLOCK]
        alike += ((x.photos * y.photos).sum(1) >= least_likeness()).sum()
        one += (distances(x, y) == 0).sum()
    return {"files": what, "alike": alike / len(a), "one_photograph": one / len(a), "count": len(a)}


def stored(table: pd.DataFrame, templates: Templates) -> list[dict]:
    """Rows of the files as they lie: copies, and all pairs of other photos."""
    photo, identity = photo_keys(table), identity_keys(table)
    condition = table["condition"].to_numpy()
    clean = {key: row for row, key in enumerate(photo) if condition[row] == "clean"}
    rows = []
    for name in DISTORTIONS:
        copies = [row for row in np.flatnonzero(condition == name) if photo[row] in clean]
        originals = [clean[photo[row]] for row in copies]
        if copies:
            rows.append(judged(templates[originals], templates[copies], f"a photo and its {name} copy"))
    first, second = np.triu_indices(len(table), 1)
    others = photo[first] != photo[second]
    same = identity[first] == identity[second]
    for kind, what in ((others & same, "two photos of one person"), (~same, "photos of two people")):
        if kind.any():
            rows.append(judged(templates[first[kind]], templates[second[kind]], f"{what}, any conditions"))
    return rows


def exchanged(table: pd.DataFrame, templates: Templates, siamese: ensemble.Ensemble, options: dict) -> list[dict]:
    """Rows of clean photos, and of their sunny copies, against the clean photo with the next person's face."""
    clean = np.flatnonzero((table["condition"] == "clean").to_numpy())
    photo, identity, condition = photo_keys(table), identity_keys(table), table["condition"].to_numpy()
    sunny = {photo[row]: row for row in np.flatnonzero(condition == "sunny")}
    pictures = [read_photo(path) for path in table["path"].iloc[clean]]
    landmarks, _ = find(pictures)
    count = len(clean)
    strangers = [
        next(k % count for k in range(i + 1, i + count) if identity[clean[k % count]] != identity[row])
        for i, row in enumerate(clean)
    ]
    rows = []
    for axes, what in ((FACE, "face"), (HEAD, "head")):
        changed = [put_in(pictures[i], landmarks[i], pictures[k], landmarks[k], axes) for i, k in enumerate(strangers)]
        changed = siamese.templates(pipeline.collect(changed, siamese, **options)[0])
        rows.append(judged(templates[clean], changed, f"a photo and itself with another {what}"))
        glare = [i for i, row in enumerate(clean) if photo[row] in sunny]
        if glare:
            hidden = templates[[sunny[photo[clean[i]]] for i in glare]]
            rows.append(judged(hidden, changed[glare], f"a sunny copy and the photo with another {what}"))
    return rows


def main(args: argparse.Namespace) -> None:
    train, val = split_folders(args.data_dir, "B")
    table = task_b_table(val or train)
    if table.loc[table["condition"] == "clean", "identity"].nunique() < 2:
        raise FacecomError(f"{val or train}: clean photos of two people are needed, to exchange their faces")
    device = cli.pick_device(args.device)
    siamese = ensemble.load([], "siamese", device=device, amp=cli.pick_amp(args.amp, device), faces_only=False)
    options = {"workers": args.workers, "progress": None if args.quiet else "photos"}
    templates = siamese.templates(pipeline.collect(table["path"].tolist(), siamese, **options)[0])
    rows = pd.DataFrame(stored(table, templates) + exchanged(table, templates, siamese, options))
    print(rows.to_string(index=False))
    with write_whole(args.output, newline="") as file:
        rows.to_csv(file, index=False, float_format="%.6g")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[cli.shared_arguments()]
    )
    parser.add_argument("--data_dir", required=True, help="Task B: the folder with train/ and val/")
    parser.add_argument("--output", default="results/same_photo.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
