"""People who do not exist, beside the packed crops: means of two aligned photos, and what the teacher says of them.

    python -m pretraining.encoder.morphs --crops crops --sources train heads --teacher mobilefacenet.onnx --count 60000

A small source is soon known by heart: after seven legs the encoder was .90 alike to the teacher on FACECOM's training
photos and .77 on its held-back ones. Two aligned faces laid over each other are a face too, and the teacher's
embedding of it is as good a target as any (function matching: Beyer et al., "A good teacher is patient and consistent",
CVPR 2022); of 1,700 photos there are millions. Writes into the folder of `pretraining.encoder.crops`: `morphs.npy`
(RGB uint8
[M, 112, 112, 3]), `morphs_teacher.npy` (float32 [M, 2, D]) and `morphs.csv` (`first,second,share`: rows of
`people.csv`, and the share of the first).
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from facecom import cli
from pretraining.encoder.crops import teacher_embeddings
from pretraining.encoder.people import People

#: Share of the first photo: beyond, a morph is hardly anyone else.
SHARES = (0.3, 0.7)

#: Spread of how much wider and higher the faces become.
STRETCH = 0.05


def morph(first: np.ndarray, second: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Two aligned crops laid over each other, the second sometimes mirrored, a little wider or higher.

    first, second: RGB uint8 [S, S, 3]; share: of the first, 0 to 1. Returns RGB uint8 [S, S, 3].
    """
    if rng.random() < 0.5:
        second = second[:, ::-1]
    both = cv2.addWeighted(first, share, np.ascontiguousarray(second), 1 - share, 0)
    middle = (len(both) - 1) / 2
    scale = np.exp(rng.normal(0, STRETCH, 2))
    matrix = np.column_stack([np.diag(scale), middle - scale * middle])
    return cv2.warpAffine(both, matrix, both.shape[:2], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def pairs(rows: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """int64 [count, 2]: the first always of the first source, the second as often of each. rows: those of a source."""
    first = rows[0][rng.integers(0, len(rows[0]), count)]
    source = rng.integers(0, len(rows), count)
    second = np.array([rows[s][rng.integers(0, len(rows[s]))] for s in source])
    return np.column_stack([first, second])


def main(args):
    folder, rng = Path(args.crops), np.random.default_rng(args.seed)
    people = People(folder)
    clean = people.training[people.training < people.photos]
    sources = people.table["source"].to_numpy()
    rows = [clean[sources[clean] == source] for source in args.sources]
    for source, found in zip(args.sources, rows, strict=True):
        if not len(found):
            raise SystemExit(f"{folder / 'people.csv'}: no training photos of {source!r}; it has {set(sources)}")
    table = pd.DataFrame(pairs(rows, args.count, rng), columns=["first", "second"])
    table["share"] = rng.uniform(*SHARES, args.count).round(4)
    crops = np.stack([morph(people.crops[a], people.crops[b], s, rng) for a, b, s in table.itertuples(index=False)])
    np.save(folder / "morphs.npy", crops)
    np.save(folder / "morphs_teacher.npy", teacher_embeddings(crops, args.teacher))
    table.to_csv(folder / "morphs.csv", index=False)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--crops", required=True, help="folder that pretraining.crops wrote")
    parser.add_argument("--sources", nargs="+", default=["train", "heads"], help="the first is in every morph")
    parser.add_argument("--teacher", required=True, help="the ONNX face embedder given to pretraining.crops")
    parser.add_argument("--count", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
