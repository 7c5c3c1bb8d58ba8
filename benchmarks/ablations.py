"""What each mechanism earns and costs, with it and without it: results/ablations.csv, the ground of each decision.

    python benchmarks/ablations.py --data_dir data/Task_B --gender_labels gender.csv
    python benchmarks/ablations.py --data_dir data/Task_B --gender_labels gender.csv --only "mirror images"

On `val/`, with the shipped weights (or --weights, --gender_weights). Rows `decision,setting,condition,metric,value,low,
high,count`: cross-photo TAR at FAR 1e-3 and 1e-4, rank-1 with the own photo left out and in the gallery, the published
protocol's accuracy (what only FACECOM's layout rewards), balanced accuracy of gender, and
`photos_per_core_second`: photos from decoded picture to embedding in a second of processor time of one thread, which
does not depend on what else the machine does. Differences count where they leave the 95 % intervals. A decision that
was measured again replaces its earlier rows.

To add a decision: one line in `CASES`, and where no field of `Case` switches it, one more field, used in `Bench.load`
or `running`.
"""

import argparse
import hashlib
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.data import folders, images  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import protocols, results  # noqa: E402
from facecom.evaluation.gender import gender  # noqa: E402
from facecom.faces import aligner  # noqa: E402
from facecom.inference import ensemble, pipeline  # noqa: E402
from facecom.inference.gender import threshold_of  # noqa: E402
from facecom.models import loading  # noqa: E402


@dataclass(frozen=True)
class Case:
    """One way of running the shipped networks; a field left out is as shipped.

    align: how the face is found; mirror: whether both networks see the mirror image too (None: what their files say);
    same_photo: whether two files may be one photograph; clean: whether impulse noise is taken off first;
    overexposure: whether the gender network adds what its file stores for white crops: those of version 0.1.0 do
    (`--gender_weights`).
    """

    align: str | None = None
    mirror: bool | None = None
    same_photo: bool = False
    clean: bool = True
    overexposure: bool = True


#: {decision: {setting: case}}. The default of the scripts is the first setting of each.
CASES: dict[str, dict[str, Case]] = {
    "one photograph?": {"off": Case(), "on": Case(same_photo=True)},
    "mirror images": {"as stored": Case(), "always": Case(mirror=True), "never": Case(mirror=False)},
    "impulse filter": {"on": Case(), "off": Case(clean=False)},
    "finding the face": {"finder": Case(), "fixed box": Case(align="fixed")},
    "overexposure of the gender network": {"as stored": Case(), "off": Case(overexposure=False)},
}

#: {(protocol, metric): what it is called}: the figures that are kept.
KEPT = {
    ("cross-photo", "tar@far=1e-3"): "tar@far=1e-3",
    ("cross-photo", "tar@far=1e-4"): "tar@far=1e-4",
    ("identification", "rank1"): "rank1",
    ("identification-own-photo", "rank1"): "rank1, own photo in the gallery",
    ("published", "accuracy"): "accuracy, published protocol",
    ("gender", "balanced_accuracy"): "balanced_accuracy",
}

#: Photos a timing runs over, and runs, of which the fastest counts.
TIMED, RUNS = 128, 2


class Bench:
    """The photos of a split, and what each case answers for them; nothing is computed twice."""

    def __init__(self, table: pd.DataFrame, args: argparse.Namespace):
        self.table, self.args, self.paths = table, args, table["path"].tolist()
        self.device = cli.pick_device(args.device)
        self.amp = cli.pick_amp(args.amp, self.device)
        self.known: dict[tuple[str, Case], ensemble.Answers] = {}
        self.found: dict[tuple[Case, bytes], tuple[np.ndarray, np.float32]] = {}

    def load(self, task: str, case: Case) -> ensemble.Ensemble:
        """The ensemble of a task, run as the case says."""
        path = self.args.weights if task == "siamese" else self.args.gender_weights
        member = loading.load(path, task, self.device, self.amp)
        if member.network is None:
            raise FacecomError(f"{path}: an ONNX file cannot be changed: give a checkpoint")
        if case.mirror is not None:
            member.network.mirror = case.mirror
        if task == "gender" and not case.overexposure:
            member.network.model.overexposure = None
        return ensemble.Ensemble([member], case.align, None, self.device, self.amp, not case.same_photo)

    def answers(self, task: str, case: Case) -> ensemble.Answers:
        """What the networks of a task say about every photo."""
        others = {"overexposure": True} if task == "siamese" else {"same_photo": False}  # make no difference to it
        key = task, replace(case, **others)
        if key not in self.known:
            options = {"workers": self.args.workers, "progress": None if self.args.quiet else f"{task}, photos"}
            with running(case, partial(self.find, case, aligner.find)):
                self.known[key] = pipeline.collect(self.paths, self.load(task, case), **options)[0]
        return self.known[key]

    def find(self, case: Case, search: Callable, photos: list[np.ndarray], *how, **options):
        """`faces.finder.find`, remembered photo by photo for as long as the case finds faces the same way."""
        if not photos:
            return search(photos, *how, **options)
        way = replace(case, mirror=None, same_photo=False, overexposure=True)
        keys = [(way, hashlib.sha1(photo.tobytes()).digest()) for photo in photos]
        if new := [place for place, key in enumerate(keys) if key not in self.found]:
            for place, *said in zip(new, *search([photos[place] for place in new], *how, **options), strict=True):
                self.found[keys[place]] = tuple(said)
        landmarks, confidence = zip(*(self.found[key] for key in keys), strict=True)
        return np.stack(landmarks), np.array(confidence)

    def rows(self, case: Case) -> list[dict]:
        """Every figure of a case, `condition,metric,value,low,high,count`."""
        siamese, sexes = (self.load(task, case) for task in ("siamese", "gender"))
        options = {"resamples": self.args.resamples, "seed": self.args.seed}
        templates = siamese.templates(self.answers("siamese", case))
        rows = protocols.cross_photo(self.table, templates, **options)
        for own_photo in (False, True):
            rows += protocols.identification(self.table, templates, own_photo=own_photo, **options)
        points = siamese.operating_points()
        rows += protocols.published(self.table, templates, points, unsure=~templates.told, **options)
        said = self.answers("gender", case)
        unsure = ~sexes.can_tell(said.confidence, said.quality)
        rows += gender(self.table, said.outputs, threshold_of(sexes), unsure=unsure, **options)
        kept = [row | {"metric": name} for row in rows if (name := KEPT.get((row["protocol"], row["metric"])))]
        chosen = self.paths[:: max(1, len(self.paths) // TIMED)][:TIMED]
        with running(case, aligner.find):
            speed = photos_per_core_second(chosen, siamese)
        kept += results.rows_of(
            "speed", "all", {"photos_per_core_second": speed}, {"photos_per_core_second": len(chosen)}
        )
        return [{name: value for name, value in row.items() if name != "protocol"} for row in kept]


@contextmanager
def running(case: Case, find: Callable) -> Iterator[None]:
    """The library with the case's steps before the networks, for as long as the context lasts."""
    before = aligner.find, aligner.without_impulses
    aligner.find = find
    if not case.clean:
        aligner.without_impulses = lambda photo: photo
    try:
        yield
    finally:
        aligner.find, aligner.without_impulses = before


def photos_per_core_second(photos: list[str], made: ensemble.Ensemble) -> tuple[float, float, float]:
    """(the fastest run, the slowest, the fastest): decoded photos to embeddings, by this process's processor time."""
    decoded = [images.read_photo(photo) for photo in photos]
    batches = [decoded[start : start + pipeline.BATCH_SIZE] for start in range(0, len(decoded), pipeline.BATCH_SIZE)]
    made(batches[0][:8])
    found = []
    for _ in range(RUNS):
        start = time.process_time()
        for batch in batches:
            made(batch)
        found.append(len(decoded) / (time.process_time() - start))
    return max(found), min(found), max(found)


def merge(path: Path, rows: list[dict]) -> None:
    """Write the rows over the earlier ones of the same decisions."""
    new = {row["decision"] for row in rows}
    kept = [row for row in results.read_rows(path) if row["decision"] not in new] if path.is_file() else []
    order = {name: place for place, name in enumerate(CASES)}
    results.write_rows(path, sorted(kept + rows, key=lambda row: order.get(row["decision"], len(order))))


def show(rows: list[dict]) -> None:
    """The decision as a table: a line a figure, a column a setting, without the single conditions."""
    table = pd.DataFrame(rows)
    table["figure"] = table["condition"] + " " + table["metric"]
    print(table.pivot(index="figure", columns="setting", values="value").round(3).to_string())


def main(args: argparse.Namespace) -> None:
    import torch

    torch.set_num_threads(1)  # processor time means something for one thread
    train, val = folders.split_folders(args.data_dir, "B")
    table = folders.task_b_table(val or train)
    labels = pd.read_csv(args.gender_labels)
    labels = labels[labels["split"] == "val"].assign(photo=lambda t: t["file"].map(lambda file: Path(file).stem))
    table = table.merge(labels[["photo", "gender"]], on="photo", how="left", validate="m:1")
    bench = Bench(table, args)
    for decision in args.only or CASES:  # written one by one: a long run may be broken off
        rows = [
            {"decision": decision, "setting": setting} | row
            for setting, case in CASES[decision].items()
            for row in bench.rows(case)
        ]
        print(f"\n=== {decision}")
        show(rows)
        merge(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[cli.shared_arguments()]
    )
    parser.add_argument("--data_dir", required=True, help="Task B: the folder with train/ and val/")
    parser.add_argument("--gender_labels", required=True, help="CSV split,file,gender,second_opinion")
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="DECISION", help=f"of: {'; '.join(CASES)}")
    parser.add_argument("--weights", help="Siamese checkpoint (default: shipped)")
    parser.add_argument("--gender_weights", help="gender checkpoint (default: shipped)")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over identities")
    parser.add_argument("--output", type=Path, default=Path("results/ablations.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
