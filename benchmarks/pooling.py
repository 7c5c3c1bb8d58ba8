"""Several bad photos of a person as one answer: which way is best?

python benchmarks/pooling.py --data_dir data/Task_B            # results/pooling.csv

A gallery of one clean photo a person; of each person with other photos a probe of one, two, three or five distorted
copies (but glare), in different conditions and of as many of those other photos as there are. Drawn anew `--draws`
times. data: `held back` (people of train/ whom no training sees; here the way is chosen) or `val`.

way: `single` the first copy alone; `best` the one of the highest quality; `mean` the mean of the embeddings; `quality`
the mean weighted by quality; `nearest` the smallest of the distances; `distance` the mean of the distances. rank1 and
TAR with intervals over people; far: share of strangers' comparisons at most the stored threshold of 1e-3 away, which is
fixed on clean and distorted photos compared one by one; tar: share of genuine ones there.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.holdback import hold_back  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import metrics, results  # noqa: E402
from facecom.inference import ensemble, pipeline  # noqa: E402
from facecom.inference.verifier import decide_at  # noqa: E402

COUNTS = (2, 3, 5)
WAYS = ("single", "best", "mean", "quality", "nearest", "distance")


def draw(table: pd.DataFrame, count: int, rng: np.random.Generator) -> tuple[list[int], list[list[int]], list[int]]:
    """(a clean photo of each person, rows; the copies that make a probe, rows; whose each probe is, a position among
    the people). table: `identity`, `photo`, `condition`."""
    gallery, probes, whose = [], [], []
    for person, (_, photos) in enumerate(table.groupby("identity")):
        chosen = rng.choice(photos.index[photos.condition == "clean"])
        gallery.append(chosen)
        others = photos[(photos.photo != table.photo[chosen]) & (photos.condition != "clean")]
        if len(others):
            names, conditions = (rng.permutation(others[column].unique()) for column in ("photo", "condition"))
            at = {key: row for row, *key in others[["photo", "condition"]].itertuples() for key in [tuple(key)]}
            probes.append([at[names[i % len(names)], one] for i, one in enumerate(conditions[:count])])
            whose.append(person)
    return gallery, probes, whose


def distances_by_way(probes: np.ndarray, quality: np.ndarray, gallery: np.ndarray) -> dict[str, np.ndarray]:
    """{way: distance of each probe to each gallery photo, float [P, G]}. probes: [P, n, D]; quality: [P, n]."""

    def apart(templates):
        templates = templates / np.linalg.norm(templates, axis=-1, keepdims=True)
        return np.sqrt(np.maximum(2 - 2 * templates @ gallery.T, 0))

    each = apart(probes)
    own = np.arange(len(probes))
    return {
        "single": each[:, 0], "best": each[own, quality.argmax(1)], "mean": apart(probes.mean(1)),
        "quality": apart((probes * quality[..., None]).sum(1)), "nearest": each.min(1), "distance": each.mean(1),
    }  # fmt: skip


def judged(table, answers, count: int, limit: float, draws: int) -> Iterator[dict]:
    """A row a way for probes of `count` copies."""
    found: dict[str, list] = {way: [] for way in WAYS}
    owners = []
    for seed in range(draws):
        gallery, probes, whose = draw(table, count, np.random.default_rng(seed))
        templates, quality = answers.outputs[np.array(probes)], answers.quality[np.array(probes)]
        for way, distance in distances_by_way(templates, quality, answers.outputs[gallery]).items():
            found[way].append(distance)
        owners.append(np.array(whose))
    whose = np.concatenate(owners)
    number = whose.max() + 1
    for way in WAYS:
        distance = np.concatenate(found[way])
        genuine = np.arange(distance.shape[1])[None] == whose[:, None]
        own, others = distance[genuine], distance[~genuine]
        first = distance.argmin(1) == whose
        row = {"way": way, "photos": count, "genuine": len(own), "impostor": len(others)}
        figures = {"rank1": first}
        for far in (1e-3, 1e-4):
            _, threshold = metrics.tar_at_far(-own, -others, far)
            figures[f"tar@{far:g}"] = -own >= threshold
        for name, right in figures.items():
            # All draws of a person stand or fall together.
            hits, tries = np.bincount(whose, right, number), np.bincount(whose, minlength=number)
            shares = metrics.bootstrap(number, lambda w, h=hits, t=tries: {"": metrics.share(w @ h, w @ t)})
            row |= dict(zip((name, f"{name} low", f"{name} high"), shares[""], strict=True))
        yield row | {"tar": float((own <= limit).mean()), "far": float((others <= limit).mean())}


def main(args: argparse.Namespace) -> None:
    device = cli.pick_device("auto")
    siamese = ensemble.load(args.weights, "siamese", device=device, amp=cli.pick_amp(True, device))
    limit = decide_at(siamese)["threshold"]
    train, val = split_folders(args.data_dir, "B")
    if val is None:
        raise FacecomError(f"{args.data_dir}: holds no val/: what is chosen on train/ is judged there")
    rows = []
    for data, table in (("held back", hold_back(task_b_table(train))[1]), ("val", task_b_table(val))):
        table = table[table.condition != "sunny"].reset_index(drop=True)
        answers, _ = pipeline.collect(table.path.to_list(), siamese)
        readable = np.isfinite(answers.outputs).all(1)
        if not readable.all():
            raise FacecomError(f"{table.path[int(readable.argmin())]}: cannot be read: the draws need all photos")
        for count in COUNTS:
            rows += [{"data": data} | row for row in judged(table, answers, count, limit, args.draws)]
    results.write_rows(args.output, rows)
    for row in rows:
        print(*(f"{value:.3f}" if isinstance(value, float) else value for value in row.values()))


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--weights", nargs="*", default=[], help="encoder (default: the shipped one)")
    parser.add_argument("--draws", type=int, default=20, help="galleries that are drawn")
    parser.add_argument("--output", default="results/pooling.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
