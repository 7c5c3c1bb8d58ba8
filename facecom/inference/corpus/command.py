"""The command of a corpus: `facecom corpus`, or `python -m facecom.inference.corpus`.

It lies beside what it calls, so that machines without the other commands run it too.
"""

import argparse
from pathlib import Path

from facecom import cli
from facecom.errors import FacecomError

EXIT_UNREADABLE = 3

DESCRIPTION = """Every face of very many photos, a row a face, into Parquet files.

    facecom corpus photos --output faces                           all photos below the folder
    python -m facecom.inference.corpus --img_dir photos --output faces --ray
    facecom corpus --list photos.txt --output faces                a path or URL a line
    facecom enroll --from faces                                    into a gallery: a photo's folder is whose it is

A run that was stopped goes on; only new and changed photos are looked at."""

#: The least that these flags may say.
LEAST = {"shard": 1, "batch_size": 1, "workers": 0, "concurrency": 1}


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=cli.HelpFormatter, parents=[cli.shared_arguments()]
    )
    group = parser.add_argument_group("photos and results")
    group.add_argument("photos", nargs="*", help="a folder, as --img_dir, or photos: paths or URLs that fsspec knows")
    group.add_argument("--img_dir", type=Path, help="a folder: all photos in it and in the folders below")
    group.add_argument("--list", type=Path, metavar="FILE", help="a text file, a path or URL a line")
    group.add_argument("--output", type=Path, default=Path("faces"), help="folder of the Parquet files")
    group.add_argument("--faces", choices=("all", "one"), default="all", help="all: a row a face, however many; one: "
                       "a row a photo, for the largest face near the middle, as test.py looks at it")  # fmt: skip
    group.add_argument("--shard", type=int, default=1000, help="photos a file, about: what is lost when it is stopped")
    group.add_argument("--strict", action="store_true", help="exit with 3 when a photo could not be read")
    group = parser.add_argument_group("spreading")
    group.add_argument("--ray", action="store_true", help="spread over all cores by Ray, or over the cluster that "
                       "RAY_ADDRESS names (the extra ray)")  # fmt: skip
    group.add_argument("--concurrency", type=int, help="workers of Ray (default: as many as cores, or GPUs)")
    group = parser.add_argument_group("network")
    group.add_argument("--weights", nargs="+", metavar="FILE", help="as for test.py (default: the shipped ones)")
    group.add_argument("--mirror", action=argparse.BooleanOptionalAction, help="as for test.py")
    group.add_argument("--batch_size", type=int, default=64, help="photos that the network sees at once")
    parser.set_defaults(workers=None)
    return parser


def main(args: argparse.Namespace) -> tuple[int, dict]:
    """Exit code, and what `--json` prints."""
    cli.refuse_less(args, LEAST)
    from facecom.inference.corpus.run import embed_corpus

    cli.pool_memory()
    network = {"weights": [str(path) for path in args.weights or ()], "align": args.align, "mirror": args.mirror}
    network |= {"detector_model": args.detector_model, "device": args.device, "amp": args.amp}
    options = {"faces": args.faces, "batch_size": args.batch_size, "workers": args.workers}
    progress = None if args.quiet else "photos"
    how = {"shard": args.shard, "ray": args.ray, "concurrency": args.concurrency, "progress": progress}
    done = embed_corpus(photos_of(args), args.output, network, options, **how)
    if done.ignored:
        print("ignored: " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(done.ignored.items())))
    if done.kept:
        print(f"{done.kept:,} photos were done already")
    if done.removed:
        print(f"{done.removed:,} files replaced, of photos among which some have gone, come or changed")
    print(
        f"wrote {args.output}: of {done.photos:,} photos {done.faces:,} faces; {done.without:,} without a face, "
        f"{done.unreadable:,} unreadable (column reason)"
    )
    return EXIT_UNREADABLE if args.strict and done.unreadable else 0, vars(done)


def photos_of(args: argparse.Namespace):
    """What the flags name. Raises FacecomError for none or several."""
    from facecom.inference.corpus.shards import Photos

    folder = args.img_dir
    if len(args.photos) == 1 and Path(args.photos[0]).is_dir():
        folder, args.photos = Path(args.photos[0]), []
    given = [folder is not None, args.list is not None, bool(args.photos)]
    if sum(given) != 1:
        what = "one at a time" if sum(given) else "which photos"
        raise FacecomError(f"{what}: give a folder (--img_dir), --list FILE, or paths and URLs")
    return Photos(folder, args.list, args.photos)
