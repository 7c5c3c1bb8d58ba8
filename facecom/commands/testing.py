"""What the two `test.py` share: flags, which weights, the published way of running, and how a run ends."""

import argparse
import contextlib
import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from facecom.cli import refuse_less
from facecom.errors import FacecomError
from facecom.files import check_folder, check_writable, refuse_to_replace

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from facecom.inference.ensemble import Ensemble
    from facecom.inference.submission import Written

#: What training leaves in a folder `weights`: the current one's, or the one beside the script.
TRAINED = {"gender": "best_convnext_gender_model.pth", "siamese": "best_siamese_convnext.pt"}

DRAWN = "These are drawn people: this checks the installation, not accuracy."

EXIT_SKIPPED = 3

#: The least that these flags may say.
LEAST = {"batch_size": 1, "workers": 0, "nearest": 1}

PUBLISHED_SIZE = 224


def arguments() -> argparse.ArgumentParser:
    """Parent parser of both scripts."""
    parser = argparse.ArgumentParser(add_help=False)
    group = parser.add_argument_group("photos and results")
    group.add_argument("--img_dir", type=Path, help="folder of photos (default: test_data beside the script)")
    group.add_argument("--sample", action="store_true", help="draw people and test on them: checks the installation")
    group.add_argument("--output", type=Path, default=Path("submission.csv"), help="CSV file to write")
    group.add_argument("--report", type=Path, metavar="DIR", help="write report.html and metrics.csv there")
    group.add_argument(
        "--train_dir",
        type=Path,
        metavar="DIR",
        help="photos it was trained on: the report lists people, files and look-alikes in both, and doubtful labels",
    )
    group.add_argument(
        "--explain", type=Path, metavar="DIR", help="write Grad-CAM overlays of the most and least certain photos there"
    )
    group.add_argument(
        "--faces",
        choices=("one", "all"),
        default="one",
        help="one: a row a photo, for the largest face near the middle; all: a row a face with its box, however many",
    )
    group.add_argument("--strict", action="store_true", help="exit with 3 when a photo could not be read")
    group = parser.add_argument_group("network")
    group.add_argument(
        "--weights",
        nargs="+",
        metavar="FILE",
        help="checkpoint, published weights or .onnx; several make an ensemble "
        "(default: what train.py left in weights/, else the shipped ones)",
    )
    group.add_argument(
        "--recipe",
        choices=("published",),
        help="run as published: 224 px, no alignment, faces alone, float32, batch 32, two workers; "
        "without --weights on random weights, for timing",
    )
    group.add_argument(
        "--mirror",
        action=argparse.BooleanOptionalAction,
        help="look at each face and at its mirror image: the last half point for twice the network's time (default: as "
        "the weights say)",
    )
    group.add_argument("--batch_size", type=int, default=64, help="photos that are looked at at once")
    return parser


def photos_of(args: argparse.Namespace) -> "pd.DataFrame":
    """The photos that the command line names one by one (`facecom identify a.jpg b.jpg`), or those of `--img_dir`."""
    from facecom.data import folders

    photos = getattr(args, "photos", None)
    return folders.listed_table(photos) if photos else folders.any_table(args.img_dir)


def set_up(args: argparse.Namespace, task: str, here: Path, normalize: bool = False):
    """(ensemble, options for `pipeline.stream`) as the flags say; prints which weights are used.

    normalize: see `loading.load`. Raises FacecomError for weights that cannot be used.
    """
    gc.disable()  # Python would look for garbage in what libraries make, again and again: a seventh of their time
    from facecom import cli
    from facecom.inference import ensemble
    from facecom.inference.gallery import is_gallery
    from facecom.models import loading

    gc.freeze()
    gc.enable()
    refuse_what_cannot_be(args)
    if args.train_dir and not args.report:
        raise FacecomError("--train_dir: what it finds goes into the report: give --report DIR too")
    if getattr(args, "labels", None) and not args.train_dir:
        raise FacecomError("--labels: belongs to the audit of --train_dir DIR: give that too")
    audit_tables(args, task)  # a wrong path is said before the network has run
    device = cli.pick_device(args.device)
    if args.recipe == "published":
        args.align, args.batch_size, args.workers, args.amp, args.same_photo = "off", 32, 2, False, "off"
    else:  # what reading a gallery or a corpus takes is given back
        reads = getattr(args, "faces_of", None) or is_gallery(getattr(args, "gallery", None) or "")
        cli.pool_memory(keep=not reads)
    amp = cli.pick_amp(args.amp, device)
    if args.recipe == "published" and not args.weights:
        print("no --weights: the published network with random weights, to measure time; its answers mean nothing")
        members = [loading.untrained(task, device)]
    else:
        weights = args.weights or [default_weights(task, here, args.sample)]
        members = [loading.load(path, task, device, amp, normalize, args.mirror) for path in weights]
    for member in members:
        size = member.preprocessing["size"]
        if args.recipe == "published" and size != PUBLISHED_SIZE:
            raise FacecomError(f"{member.path}: made for {size} px; --recipe published is for weights of 224 px")
    chosen = ensemble.Ensemble(members, args.align, args.detector_model, device, amp)
    print(f"weights: {chosen.describe()}")
    progress = None if args.quiet else "photos"
    return chosen, {"batch_size": args.batch_size, "workers": args.workers, "progress": progress}


def look_for_copies(args: argparse.Namespace, siamese: "Ensemble", paths: "Iterable[str | Path]") -> None:
    """Whether two files are one photograph is asked as `--same_photo` says: by default only where their names say that
    some are copies of others. On other photos it takes different people before one background for one photograph."""
    from facecom.data.folders import holds_copies

    siamese.describes_photos = args.same_photo == "on" or (args.same_photo == "auto" and holds_copies(paths))
    if siamese.describes_photos:
        print("looks whether two files are one photograph, as well as at the faces (--same_photo off: faces alone)")


def refuse_what_cannot_be(args: argparse.Namespace) -> None:
    """Raises FacecomError for numbers and places that would only fail when all the work is done."""
    from facecom.data.listing import is_photo

    refuse_less(args, LEAST)
    if args.output is not None:
        check_writable(args.output)
        refuse_to_replace(args.output, {name: value for name, value in vars(args).items() if name != "output"})
        if args.output.is_file() and is_photo(args.output.resolve()):
            raise FacecomError(f"cannot write {args.output}: a photo is there; choose another name")
    for folder in (args.report, args.explain):
        if folder is not None:
            check_folder(folder)
    if args.explain:
        from facecom.report.explain import check_installed

        check_installed()
        if any(str(path).lower().endswith(".onnx") for path in args.weights or ()):
            raise FacecomError("--explain: needs the gradients of a checkpoint; an .onnx file has none")


def refuse_pictures_among_photos(args: argparse.Namespace) -> None:
    """Raises FacecomError where the pictures of a report would lie in the folder of the photos: the next run would take
    them for photos, and they could replace some."""
    for flag in ("report", "explain"):
        folder = getattr(args, flag)
        if folder and args.img_dir and folder.is_dir() and args.img_dir.is_dir() and folder.samefile(args.img_dir):
            raise FacecomError(f"--{flag} {folder}: the photos lie there; choose another folder for its pictures")


def refuse_beside_all_faces(args: argparse.Namespace) -> None:
    """Raises FacecomError for what judges a photo's one face, beside `--faces all`."""
    if args.faces == "all":
        for flag in ("report", "explain", "train_dir", "baseline", "conditions_from", "recipe"):
            if getattr(args, flag, None):
                raise FacecomError(f"--{flag}: is about one face a photo: leave out --faces all")


def default_weights(task: str, here: Path, sample: bool) -> Path | None:
    """What training left in `weights/`, here or beside the script; None for the shipped ones."""
    places = [] if sample else [Path("weights"), here / "weights"]
    return next((place / TRAINED[task] for place in places if (place / TRAINED[task]).is_file()), None)


def audit_tables(args: argparse.Namespace, task: str) -> "tuple[pd.DataFrame, pd.DataFrame | None] | None":
    """(training photos, two versions of the labels) that `--train_dir` and `--labels` name. Raises FacecomError."""
    if args.train_dir is None:
        return None
    from facecom.data import folders
    from facecom.evaluation import split_audit

    train = (folders.task_a_table if task == "gender" else folders.task_b_table)(args.train_dir)
    return train, split_audit.read_labels(args.labels) if getattr(args, "labels", None) else None


def audited(args: argparse.Namespace, table: "pd.DataFrame", task: str) -> "pd.DataFrame | None":
    """What `--train_dir` and the tested photos share and should not, faces compared by the shipped weights, not by
    those under test; None without `--train_dir`."""
    found = audit_tables(args, task)
    if found is None:
        return None
    from facecom import cli
    from facecom.evaluation import split_audit
    from facecom.inference import ensemble

    train, labels = found
    device = cli.pick_device(args.device)
    judge = ensemble.load([], "siamese", device=device, amp=cli.pick_amp(args.amp, device))
    progress = None if args.quiet else "photos of the audit"
    return split_audit.audit_splits(train, table, judge, labels, workers=args.workers, progress=progress)


def finish(args: argparse.Namespace, written: "Written") -> int:
    """Say what was written and what was left out; returns the exit code."""
    from facecom.inference.submission import write_skipped

    print(f"wrote {args.output} ({written.rows:,} rows)")
    path = write_skipped(args.output, written.skipped)
    if path is not None:
        count = len(written.skipped)
        print(f"{count:,} {'photo' if count == 1 else 'photos'} could not be read: {path} says why")
    if args.sample:
        print(DRAWN)
    return EXIT_SKIPPED if args.strict and written.skipped else 0


@contextlib.contextmanager
def sample(task: str) -> Iterator[Path]:
    """A temporary folder of drawn people in the layout of a task (`A` or `B`)."""
    from facecom.synthetic import write_sample

    with tempfile.TemporaryDirectory() as folder:
        write_sample(folder, task=task, splits=("val",))
        yield Path(folder) / "val"
