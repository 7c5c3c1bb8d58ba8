"""Simulated copies beside FACECOM's own: the same statistics of both, per condition.

    python benchmarks/conditions.py --data_dir data/Task_B/train              # -> results/conditions.csv
    python benchmarks/conditions.py --data_dir data/Task_B/train --picture conditions.png

A row a condition and statistic: `condition,statistic,real,simulated,count`, means over the photos at severity 3.
"""

import argparse
import csv
import random
import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.conditions import DISTORTIONS, distort  # noqa: E402
from facecom.conditions.jpeg import through_jpeg  # noqa: E402
from facecom.data.images import read_photo  # noqa: E402


def ours(clean: np.ndarray, condition: str, seed: int) -> np.ndarray:
    """Our copy at severity 3, out of a file like FACECOM's. RGB uint8 [H, W, 3] in and out."""
    return through_jpeg(distort(clean, condition, 3, seed=seed))


def statistics(copy: np.ndarray, clean: np.ndarray) -> dict[str, float]:
    """copy, clean: RGB uint8 [H, W, 3] of one photo. Values in grey levels, shares in [0, 1]."""
    grey = cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY)
    middle = grey[53:171, 53:171] if grey.shape == (224, 224) else grey
    difference = copy.astype(np.float32) - clean
    return {
        "brightness": grey.mean(),
        "contrast": grey.std(),
        "noise": np.abs(grey.astype(np.float32) - cv2.medianBlur(grey, 3)).mean(),
        "gradient": np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).mean() / 8,
        "saturated_face": (middle > 250).mean(),
        "difference": np.abs(difference).mean(),
        "changed": (np.abs(difference).max(-1) > 40).mean(),
    }


def measure(data_dir: Path, count: int, seed: int) -> list[dict]:
    photos = sorted(p for p in data_dir.glob("*/*.jpg"))
    photos = random.Random(seed).sample(photos, min(count, len(photos)))
    rows = []
    for condition in DISTORTIONS:
        real, simulated = [], []
        for number, path in enumerate(photos):
            own = path.parent / "distortion" / f"{path.stem}_{condition}.jpg"
            if not own.is_file():
                continue
            clean = read_photo(path)
            real.append(statistics(read_photo(own), clean))
            simulated.append(statistics(ours(clean, condition, number), clean))
        for name in real[0]:
            rows.append(
                {
                    "condition": condition,
                    "statistic": name,
                    "real": round(float(np.mean([r[name] for r in real])), 4),
                    "simulated": round(float(np.mean([s[name] for s in simulated])), 4),
                    "count": len(real),
                }
            )
    return rows


def draw(data_dir: Path, picture: Path, count: int, seed: int):
    """Two lines a photo: FACECOM's own copies above, ours below."""
    photos = random.Random(seed).sample(sorted(data_dir.glob("*/*.jpg")), count)
    lines = []
    for number, path in enumerate(photos):
        clean = read_photo(path)
        own = [read_photo(path.parent / "distortion" / f"{path.stem}_{c}.jpg") for c in DISTORTIONS]
        lines += [np.hstack([clean, *own])]
        lines += [np.hstack([clean, *(ours(clean, c, number) for c in DISTORTIONS)])]
    cv2.imwrite(str(picture), np.vstack(lines)[:, :, ::-1])


def main(args):
    data_dir = Path(args.data_dir)
    if args.picture:
        draw(data_dir, Path(args.picture), 4, args.seed)
        return
    rows = measure(data_dir, args.count, args.seed)
    with open(args.output, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print("{condition:9} {statistic:15} real {real:8.3f}  simulated {simulated:8.3f}".format(**row))


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", required=True, help="a split of Task B (train: the tuning must not see val)")
    parser.add_argument("--output", default="results/conditions.csv", help="CSV file to write")
    parser.add_argument("--picture", help="draw both side by side instead")
    parser.add_argument("--count", type=int, default=300, help="photos, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
