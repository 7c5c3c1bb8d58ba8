"""Several embedders side by side on the same protocols: a row a figure, in results/accuracy.csv.

python benchmarks/accuracy.py --data_dir data/Task_B --weights shipped --baseline
python benchmarks/accuracy.py --data_dir data/Task_B --onnx mobilefacenet.onnx --align yunet fixed --detector_model FILE
python benchmarks/accuracy.py --data_dir data/Task_B --edgeface edgeface_xs_q.pt
python benchmarks/accuracy.py --data_dir data/Task_B --weights shipped --slices --gender_labels gender.csv
python benchmarks/accuracy.py --data_dir data/Task_B --gender_weights shipped --gender_labels gender.csv

Judged on `val/`; where an embedder brings no operating point, it is fixed on the held-back tenth of `train/`. Rows of
the same embedder and alignment replace the earlier ones.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.cli import ALIGNMENTS  # noqa: E402
from facecom.conditions import CONDITIONS, SIMULATED, distort  # noqa: E402
from facecom.conditions.jpeg import through_jpeg  # noqa: E402
from facecom.data import folders, holdback, images  # noqa: E402
from facecom.data.images import CROP_SIZE  # noqa: E402
from facecom.errors import FacecomError  # noqa: E402
from facecom.evaluation import protocols, results, scoring  # noqa: E402
from facecom.inference import pipeline  # noqa: E402
from facecom.inference.templates import Templates, as_templates  # noqa: E402
from facecom.models.onnx import foreign  # noqa: E402
from facecom.models.published import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402

#: Longest sides in pixels of the clean photos in the slice by resolution.
RESOLUTIONS = (160, 112, 80, 56, 40, 28)

SEVERITIES = (1, 2, 3, 4, 5)

#: From paths or RGB uint8 arrays to templates (or embeddings float32 [N, D], unit length, NaN where unreadable; for
#: gender, probabilities), and to what the network cannot tell, bool [N].
Embed = Callable[[Sequence], tuple[Templates | np.ndarray, np.ndarray]]


def embedders(args: argparse.Namespace) -> Iterator[tuple[str, str, Embed, list[dict]]]:
    """(name, alignment, function, stored operating points) of everything that the flags name."""
    from facecom.inference import ensemble
    from facecom.models import loading

    device = cli.pick_device(args.device)
    amp = cli.pick_amp(args.amp, device)
    for path in args.weights:
        for align in args.align or [None]:
            member = loading.load(None if path == "shipped" else path, "siamese", device, amp)
            made = ensemble.Ensemble([member], align, args.detector_model, device, amp, args.faces_only)
            name = args.name or ("facecom" if path == "shipped" else Path(path).stem)
            if args.mirror is not None:
                member.network.mirror = args.mirror
                name += ", photo and mirror image" if args.mirror else ", one look"
            yield name, made.crops[0][0], embedding_of(made, args), made.operating_points()
    for path in args.onnx:
        for align in args.align or ["fixed"]:
            member = foreign(path, args.mean, args.std)
            made = ensemble.Ensemble([member], align, args.detector_model, device, amp)
            yield args.name or Path(path).stem, align, embedding_of(made, args), []
    if args.edgeface:
        for align in args.align or ["finder"]:
            made = ensemble.Ensemble([edgefaces(args)], align, args.detector_model, device, amp, faces_only=True)
            yield args.name or " + ".join(Path(p).stem for p in args.edgeface), align, embedding_of(made, args), []
    if args.baseline:
        yield "untrained gradients", "off", gradients, []


def edgefaces(args):
    """One or several of EdgeFace's state dicts as one embedder: side by side, photo and mirror image averaged."""
    from facecom.models.loading import Runner
    from pretraining.targets.teachers import of_both, open_teacher, side_by_side

    looks = [open_teacher(path) for path in args.edgeface]
    weights = args.edgeface_weights or [1.0] * len(looks)

    def forward(crops):
        return side_by_side([of_both(look, crops) for look in looks], weights), np.full(len(crops), np.nan, np.float32)

    return Runner("siamese", Path(args.edgeface[0]), forward, {"size": CROP_SIZE, "align": "finder"})


def embedding_of(made, args) -> Embed:
    options = {"batch_size": args.batch_size, "workers": args.workers, "progress": None if args.quiet else "photos"}

    def embed(photos):
        answers, _ = pipeline.collect(photos, made, **options)
        found = made.templates(answers) if made.task == "siamese" else answers.outputs
        return found, ~made.can_tell(answers.confidence, answers.quality)

    return embed


def gradients(paths_or_arrays: Sequence) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(paths_or_arrays[0], np.ndarray):
        features = np.concatenate([protocols.untrained_baseline([photo]) for photo in paths_or_arrays])
    else:
        features = scoring.baseline_features(paths_or_arrays, None)
    return features, np.zeros(len(features), bool)


def labelled(table: pd.DataFrame, split: str, labels: str | None) -> pd.DataFrame:
    """The table with `gender` and `second_opinion` of `split,file,gender,second_opinion`, where there are labels."""
    if labels is None:
        return table
    known = pd.read_csv(labels)
    known = known[known["split"] == split].assign(photo=lambda t: t["file"].map(lambda file: Path(file).stem))
    return table.merge(known[["photo", "gender", "second_opinion"]], on="photo", how="left", validate="m:1")


def operating_points(embed: Embed, train: Path) -> list[dict]:
    """Fixed on the identities of train that every script holds back."""
    _, held = holdback.hold_back(folders.task_b_table(train), seed=0)
    return protocols.fit_operating_points(held, as_templates(embed(held["path"].tolist())[0]).faces)


def slices(table: pd.DataFrame, templates: Templates | np.ndarray, embed: Embed, options: dict) -> list[dict]:
    """Cross-photo and identification by simulated severity (`noisy@1` to `noisy@5`) and resolution (`clean@56px`), by
    faces alone."""
    clean = table["condition"] == "clean"
    gallery, pictures = table[clean], [images.read_photo(path) for path in table["path"][clean]]
    changes = {f"{c}@{s}": partial(copied, condition=c, severity=s) for c in SIMULATED for s in SEVERITIES}
    changes |= {f"clean@{side}px": lambda p, i, side=side: shrunk(p, side) for side in RESOLUTIONS}
    rows = []
    for condition, change in changes.items():
        probes, _ = embed([change(picture, i) for i, picture in enumerate(pictures)])
        both = pd.concat([gallery, gallery.assign(condition=condition)], ignore_index=True)
        found = np.concatenate([as_templates(part).faces for part in (templates[clean], probes)])
        for protocol in (protocols.cross_photo, protocols.identification):
            rows += protocol(both, found, conditions=[condition], **options)
    return rows


def copied(photo: np.ndarray, number: int, condition: str, severity: int) -> np.ndarray:
    """A simulated copy, out of a JPEG file as FACECOM's are."""
    return through_jpeg(distort(photo, condition, severity, seed=number))


def shrunk(photo: np.ndarray, side: int) -> np.ndarray:
    import cv2

    scale = min(1, side / max(photo.shape[:2]))
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def genders(args: argparse.Namespace, val: Path) -> Iterator[tuple[str, str, list[dict]]]:
    """(name, alignment, rows) of the gender networks that the flags name, on Task B's photos.

    `ece before`: the calibration error without the fitted temperature.
    """
    from facecom.inference import ensemble, gender

    device = cli.pick_device(args.device)
    table = labelled(folders.task_b_table(val), "val", args.gender_labels)
    if "gender" not in table:
        raise FacecomError("--gender_weights needs --gender_labels: Task B's folders do not say it")
    for path in args.gender_weights:
        for align in args.align or [None]:
            made = ensemble.load(
                [None if path == "shipped" else path],
                "gender",
                align=align,
                detector_model=args.detector_model,
                device=device,
                amp=cli.pick_amp(args.amp, device),
            )
            p_female, unsure = embedding_of(made, args)(table["path"].tolist())
            threshold = gender.threshold_of(made)
            rows = protocols.gender(table, p_female, threshold, unsure=unsure, resamples=args.resamples, seed=args.seed)
            if network := made.members[0].network:  # an ONNX file does not say its temperature
                raw = p_female**network.temperature
                raw = raw / (raw + (1 - p_female) ** network.temperature)
                before = protocols.gender(table, raw, unsure=unsure, resamples=args.resamples, seed=args.seed)
                rows += [row | {"metric": "ece before"} for row in before if row["metric"] == "ece"]
            name = args.name or ("facecom" if path == "shipped" else Path(path).stem)
            yield name, made.crops[0][0], rows


def merge(path: str, name: str, align: str, rows: list[dict]) -> None:
    """Write the rows of one embedder over its earlier ones of the same protocols."""
    rows = [{"embedder": name, "align": align} | row for row in rows]
    new = {(row["protocol"], "@" in row["condition"]) for row in rows}
    kept = []
    for row in results.read_rows(path) if Path(path).is_file() else ():
        mine = (row["embedder"], row["align"]) == (name, align)
        if not (mine and (row["protocol"], "@" in row["condition"]) in new):
            kept.append(row)
    order = {c: i for i, c in enumerate((*CONDITIONS, "all"))}
    rows = sorted(kept + rows, key=lambda r: (r["embedder"], r["align"], r["protocol"], order.get(r["condition"], 99)))
    results.write_rows(path, rows)


def main(args: argparse.Namespace) -> None:
    train, val = folders.split_folders(args.data_dir, "B")
    val = val or train
    options = {"resamples": args.resamples, "seed": args.seed}
    table = labelled(folders.task_b_table(val), "val", args.gender_labels)
    if unknown := set(args.leave_out) - set(table["identity"]):
        raise FacecomError(f"--leave_out: nobody in {val} is called {min(unknown)}")
    table = table[~table["identity"].isin(args.leave_out)].reset_index(drop=True)
    for name, align, embed, points in embedders(args):
        print(f"\n=== {name}, align {align}")
        templates, unsure = embed(table["path"].tolist())
        points = points or operating_points(embed, train)
        rows = protocols.all_task_b(table, templates, points, unsure=unsure, **options)
        results.print_table(rows)
        if args.slices:
            rows += slices(table, templates, embed, options)
        merge(args.output, name, align, rows)
    for name, align, rows in genders(args, val) if args.gender_weights else ():
        print(f"\n=== {name}, align {align}")
        results.print_table(rows)
        merge(args.output, name, align, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[cli.shared_arguments()],
        conflict_handler="resolve",
    )  # fmt: skip
    group = parser.add_argument_group("what is compared")
    group.add_argument("--weights", nargs="+", default=[], help="checkpoints, published weights, or `shipped`")
    group.add_argument("--onnx", nargs="+", default=[], help="any ONNX face embedders (see --mean, --std)")
    group.add_argument("--mean", nargs=3, type=float, default=IMAGENET_MEAN, help="of their input, values in 0 to 1")
    group.add_argument("--std", nargs=3, type=float, default=IMAGENET_STD, help="of their input")
    group.add_argument("--edgeface", nargs="+", default=[], help="state dicts of EdgeFace: together one embedder")
    group.add_argument("--edgeface_weights", nargs="+", type=float, help="what each counts, default: evenly")
    group.add_argument("--mirror", action=argparse.BooleanOptionalAction, help="--weights: look at the mirror image")
    group.add_argument("--baseline", action="store_true", help="the untrained gradients too")
    group.add_argument("--gender_weights", nargs="+", default=[], help="checkpoints of Task A, or `shipped`")
    group.add_argument("--align", nargs="+", choices=ALIGNMENTS, help="ways to find the face, each in turn")
    group.add_argument("--faces_only", action="store_true", help="do not look whether two files are one photograph")
    group.add_argument("--name", help="what to call it in the results (default: the file's name)")
    group = parser.add_argument_group("on what")
    group.add_argument("--data_dir", required=True, help="Task B: the folder with train/ and val/")
    group.add_argument("--gender_labels", help="CSV split,file,gender,second_opinion: adds figures by gender")
    group.add_argument("--leave_out", nargs="+", default=[], metavar="NAME", help="people of val who do not count")
    group.add_argument("--slices", action="store_true", help="by simulated severity and by resolution too")
    group.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over identities")
    group.add_argument("--batch_size", type=int, default=64, help="photos that a network sees at once")
    group.add_argument("--output", default="results/accuracy.csv", help="CSV file to add to")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
