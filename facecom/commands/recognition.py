"""Task B's `test.py`: who is on these photos, and which show the same person?"""

import argparse
from pathlib import Path

from facecom import cli
from facecom.commands import testing
from facecom.errors import FacecomError

# The ways return what was written, and a function that gives the pairs of photos behind it, to explain.


def on_identities(args, siamese, threshold, options):
    from facecom.data import folders
    from facecom.evaluation import protocols, scoring
    from facecom.inference import submission
    from facecom.report import explain

    table = folders.task_b_table(args.img_dir)
    testing.look_for_copies(args, siamese, table.path)
    written = submission.write_identities(table, siamese, threshold, args.output, **options)
    points = siamese.operating_points(args.far) if args.threshold is None else [point_of(args, siamese)]
    templates = siamese.templates(written.values)
    rows = protocols.all_task_b(table, templates, points, args.seed, unsure=~templates.told)
    scoring.show(rows, args.report)
    if args.report:
        report_identities(args, siamese, table, written.values, rows, points)
    if args.baseline:
        print("\nThe untrained baseline (gradients of the photo at 64 px) on the same protocols:")
        features = scoring.baseline_features(table.path, options["progress"])
        scoring.show(protocols.all_task_b(table, features, (), args.seed), args.report, "baseline.csv")
    return written, lambda: explain.nearest_others(table, written.values.outputs)


def report_identities(args, siamese, table, answers, rows, points):
    from facecom.report import build

    path = build.write_siamese_report(
        args.report,
        rows,
        table,
        siamese.templates(answers),
        points,
        sureness={"quality": answers.quality, "face confidence": answers.confidence},
        weights=f"Weights: {siamese.describe()}.",
        drawn=args.sample,
        audit=testing.audited(args, table, "siamese"),
    )
    print(f"wrote {path}")


def on_pairs(args, siamese, threshold, options):
    from facecom.data.pairs import read_pairs
    from facecom.evaluation import scoring
    from facecom.inference import submission
    from facecom.report import build, explain

    pairs, folder = read_pairs(args.pairs), args.img_dir or args.pairs.parent
    if args.report and "same" not in pairs:
        raise FacecomError(f"{args.pairs}: --report needs a column same, 1 for the same person and 0 for others")
    files = {folder / file for file in [*pairs.image1, *pairs.image2]}
    testing.look_for_copies(args, siamese, files)
    written = submission.write_pairs(pairs, folder, siamese, threshold, args.output, **options)
    if "same" in pairs:
        same = pairs.same.to_numpy()
        rows = scoring.pair_rows(same, *written.values.T)
        scoring.show(rows, args.report)
        if args.report:
            weights = f"Weights: {siamese.describe()}."
            path = build.write_pairs_report(args.report, rows, same, *written.values.T, threshold, weights=weights)
            print(f"wrote {path}")
    return written, lambda: explain.written_pairs(args.output, folder)


def on_gallery(args, siamese, threshold, options):
    from facecom.inference import submission
    from facecom.report import explain

    table = testing.photos_of(args)
    known = known_people(args, siamese, options, table)
    written = submission.write_identified(table, known, siamese, threshold, args.output, **options)
    return written, lambda: explain.identified_pairs(table, known.table, *written.values.T)


def on_folders(args, siamese, threshold, options):
    """`--pool`: a folder of `--img_dir` is one person."""
    from facecom.inference.people import pooling

    table = testing.photos_of(args)
    return pooling.write_pooled(
        table, known_people(args, siamese, options), siamese, threshold, args.output, **options
    ), None


def on_video(args, siamese, threshold, options):
    from facecom.inference.people import video

    known, progress = known_people(args, siamese, options), options["progress"] and "pictures"
    return video.write_tracks(args.img_dir, known, siamese, threshold, args.output, args.every, progress), None


def known_people(args, siamese, options, table=None):
    """`submission.Known` of `--gallery`: a folder of photos a person, or a gallery that `enroll.py` has made.

    table: photos that may be copies of the folder's (None: not looked for). Raises FacecomError.
    """
    from facecom import cli
    from facecom.inference import strangers

    known = read_people(args, siamese, options, table)
    point = point_of(args, siamese)
    if point["far"]:
        people = known.table.identity.to_numpy(str)
        strangers.warn_of(
            strangers.passing(known.templates.faces, people, point["threshold"], point["far"]), point["far"]
        )
    cli.pool_memory()
    return known


def read_people(args, siamese, options, table):
    """As `known_people`, without a look at whether the operating point holds among them."""
    from facecom.data import folders
    from facecom.inference import submission
    from facecom.inference.gallery import Gallery, is_gallery
    from facecom.inference.verifier import FaceVerifier

    if is_gallery(args.gallery):
        if args.same_photo == "on":
            raise FacecomError(f"--same_photo on: {args.gallery} holds faces alone: give a folder of photos")
        verifier = FaceVerifier.of(siamese, args.far)
        verifier.threshold, verifier.far = (point_of(args, siamese)[name] for name in ("threshold", "far"))
        gallery = Gallery(args.gallery, verifier)
        known = gallery.known()
        print(gallery.about())
        return known
    people = folders.task_b_table(args.gallery)
    people = people[people.condition == "clean"].reset_index(drop=True)
    if table is not None:
        testing.look_for_copies(args, siamese, [*table.path, *people.path])
    return submission.known_people(people, siamese, **options)


def on_flat(args, siamese, threshold, options):
    from facecom.inference import submission
    from facecom.report import explain

    table = testing.photos_of(args)
    testing.look_for_copies(args, siamese, table.path)
    written = submission.write_all_pairs(table, siamese, threshold, args.output, args.nearest, **options)
    return written, lambda: explain.written_pairs(args.output, args.img_dir)


def on_all_faces(args, siamese, threshold, options):
    """`--faces all`, with pairs or with a gallery."""
    from facecom.data.pairs import read_pairs
    from facecom.inference import faces

    if args.pairs:
        pairs, folder = read_pairs(args.pairs), args.img_dir or args.pairs.parent
        written = faces.write_pair_faces(pairs, folder, siamese, threshold, args.output, **options)
    else:
        table, known = testing.photos_of(args), known_people(args, siamese, options)
        written = faces.write_identity_faces(table, known, siamese, threshold, args.output, **options)
    return written, None


def way_of(args: argparse.Namespace, here: Path):
    """Which of the functions above the flags and the folder ask for."""
    from facecom.data.folders import layout, photo_folder
    from facecom.inference.people.clips import is_video

    if args.every <= 0:
        raise FacecomError(f"--every {args.every:g}: seconds from picture to picture, more than 0")
    if args.img_dir and is_video(args.img_dir):
        return video_way(args)
    if args.pool and (args.pairs or not args.gallery or args.faces == "all" or args.explain):
        raise FacecomError(
            "--pool: one answer a folder of --img_dir: give it with --gallery DIR, and without --pairs, "
            "--faces all and --explain"
        )
    if args.faces == "all" and not (args.pairs or args.gallery):
        raise FacecomError("--faces all: give --gallery DIR of known people, or --pairs CSV; group.py sorts a folder")
    if args.pairs:
        return on_all_faces if args.faces == "all" else on_pairs
    args.img_dir = photo_folder(args.img_dir or here / "test_data", "B")
    if args.pool:
        return on_folders
    if args.gallery:
        return on_all_faces if args.faces == "all" else on_gallery
    if getattr(args, "photos", None):
        return on_flat
    return on_identities if layout(args.img_dir) == "identities" else on_flat


def video_way(args: argparse.Namespace):
    """`on_video`. Raises FacecomError for flags that a video cannot answer."""
    if not args.gallery:
        raise FacecomError(f"{args.img_dir}: a video: give --gallery DIR of known people, and each track is one answer")
    if args.pairs or args.recipe or args.explain or args.same_photo == "on":
        raise FacecomError(f"{args.img_dir}: a video: leave out --pairs, --recipe, --explain and --same_photo on")
    return on_video


def refuse_what_does_nothing(args: argparse.Namespace, way) -> None:
    """Raises FacecomError for flags whose answer needs to know who is who, where nothing says it."""
    known = [on_identities, on_pairs]  # pairs may say it: a column `same`
    for flag, ways in (("train_dir", known[:1]), ("baseline", known[:1]), ("report", known)):
        if getattr(args, flag) and way not in ways:
            raise FacecomError(f"--{flag}: scores need to know who is who: give --img_dir a folder a person, alone")


def main(args: argparse.Namespace, here: Path) -> int:
    """Exit code. here: the folder beside which `weights/` and `test_data/` are looked for."""
    if args.sample:
        with testing.sample("B") as folder:
            return answer(argparse.Namespace(**vars(args) | {"img_dir": folder, "pairs": None, "gallery": None}), here)
    return answer(args, here)


def point_of(args: argparse.Namespace, siamese) -> dict:
    """What decides: the operating point of `--far`, or `--threshold`, of which nobody knows how many pass."""
    from facecom.inference.verifier import decide_at

    return decide_at(siamese, args.far) if args.threshold is None else {"threshold": args.threshold, "far": None}


def answer(args: argparse.Namespace, here: Path) -> int:
    testing.refuse_beside_all_faces(args)
    if args.threshold is not None and not 0 <= args.threshold <= 2:
        raise FacecomError(f"--threshold: {args.threshold:g}: a distance is from 0 to 2")
    testing.refuse_pictures_among_photos(args)
    way = way_of(args, here)  # a wrong folder is said before the network is loaded
    refuse_what_does_nothing(args, way)
    siamese, options = testing.set_up(args, "siamese", here)
    from facecom.evaluation.operating_points import in_words

    point = point_of(args, siamese)
    threshold = point["threshold"]
    print(f"same person up to a distance of {threshold:.3f} ({in_words(point)})")
    written, pairs = way(args, siamese, threshold, options)
    code = testing.finish(args, written)
    if args.explain:
        from facecom.report import explain

        explain.write_pairs(args.explain, siamese, pairs(), threshold)
        print(f"wrote {args.explain / 'explain.csv'} and its pictures")
    return code


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[testing.arguments(), cli.shared_arguments()],
    )
    group = parser.add_argument_group("Task B")
    group.add_argument("--pairs", type=Path, metavar="CSV", help="pairs to compare; relative paths start at --img_dir, "
                       "or at the file's folder")  # fmt: skip
    group.add_argument("--gallery", type=Path, metavar="DIR", help="known people: a folder of photos a "
                       "person, or a gallery that enroll.py has made")  # fmt: skip
    group.add_argument(
        "--pool",
        action="store_true",
        help="with --gallery: each folder of --img_dir is one person, whose photos together are one answer",
    )
    group.add_argument(
        "--every",
        type=float,
        default=0.5,
        metavar="SECONDS",
        help="--img_dir clip.mp4: look at a picture so often, and write a row for each person who comes and goes",
    )
    group.add_argument(
        "--nearest", type=int, metavar="K", help="flat folder: each photo's K nearest instead of all pairs"
    )
    group.add_argument("--far", type=float, help="decide at the operating point stored for this false accept rate "
                       "(default: the first one stored, 1e-3)")  # fmt: skip
    group.add_argument("--threshold", type=float, metavar="D", help="decide at this distance instead, 0 to 2, such "
                       "as one that your own people settle")  # fmt: skip
    group.add_argument(
        "--same_photo",
        choices=("auto", "on", "off"),
        default="auto",
        help="also ask whether two files are one photograph under another filter, which tells nothing about other "
        "photos of the person; auto: where file names say that some are copies of others in the same folder",
    )
    group.add_argument(
        "--faces_only", action="store_const", dest="same_photo", const="off", help="same as --same_photo off"
    )
    group.add_argument("--baseline", action="store_true", help="score an untrained baseline beside it")
    # For few photos, starting processes takes longer than they save: None lets the pipeline decide.
    parser.set_defaults(workers=None)
    return parser
