"""What `download_data.py` and `download_weights.py` of both tasks do."""

import argparse
from pathlib import Path

import pandas as pd

from facecom.conditions import DISTORTIONS
from facecom.data import folders
from facecom.data.archive import unpack
from facecom.data.fetch import fetch, fetch_google_drive
from facecom.errors import FacecomError

ARCHIVE = "Comys_Hackathon5.zip"
ARCHIVE_ID = "1KXx1CW-BM3muxzCtmyhyv9xtWco_nDbL"  # Google Drive

GENDER_WEIGHTS_ID = "1Q97l7ROkH5MrO3hc-5D6ugAo2sOyXaMQ"  # Google Drive
SIAMESE_WEIGHTS_URL = (
    "https://github.com/EnvyThunder/Comsys_25/raw/HEAD/comsys-hackathon-taskB/weights/best_siamese_convnext.pt"
)

#: Names of the published weights in `weights/`: what a user trained there keeps its own.
PUBLISHED_WEIGHTS = {"A": "published_convnext_gender_model.pth", "B": "published_siamese_convnext.pt"}

YUNET = (
    "For --align yunet: face_detection_yunet is published in the OpenCV Zoo (MIT), "
    "https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet; give its .onnx by --detector_model"
)


def data_arguments(task: str, here: Path) -> argparse.ArgumentParser:
    """The flags of `download_data.py`. task: `A` or `B`; here: folder of the script."""
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"The photos of Task {task}, as train/ and val/ in one folder.\n\n"
        "    python download_data.py                                   the organisers' archive, from Google Drive\n"
        f"    python download_data.py --archive {ARCHIVE}    the archive, already on this disk\n"
        "    python download_data.py --sample                          drawn people in the same layout, no download",
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--archive", type=Path, metavar="FILE", help="take the organisers' zip archive from this disk")
    source.add_argument("--sample", action="store_true", help="draw people instead: to try things, not for accuracy")
    parser.add_argument(
        "--output",
        type=Path,
        default=here / "data" / f"Task_{task}",
        help=f"folder to make (default: data/Task_{task} beside the script)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def download_data(args: argparse.Namespace, task: str) -> None:
    """Fill `args.output` with the data, once. Raises FacecomError with the remedy."""
    output = args.output
    if output.is_dir() and any(output.iterdir()):
        from facecom.synthetic import NAME

        if not args.sample and next(output.rglob(f"{NAME}*"), None):
            raise FacecomError(f"{output}: holds drawn people: remove it, and the photos have a place")
        print(f"{output} is there already, nothing to do (remove it to have it made anew)")
    elif args.sample:
        from facecom.synthetic import write_sample

        write_sample(output, task=task)
        print(f"drew people into {output}: they check an installation, not accuracy")
    else:
        archive = args.archive
        if archive is None:
            archive = output.parent / ARCHIVE
            remedy = "give a copy on this disk by --archive FILE, or draw people by --sample"
            if not fetch_google_drive(ARCHIVE_ID, archive, remedy, args.quiet):
                print(f"{archive} is there already")
        unpack(archive, output, task, args.quiet)
        other = "A" if task == "B" else "B"
        print(f"unpacked {archive} into {output}; Task {other} takes the same file by --archive")
    for line in describe(output, task):
        print(line)


def describe(folder: Path, task: str) -> list[str]:
    """Lines that count what lies in `train` and `val`; raises FacecomError where the layout is another."""
    train, val = folders.split_folders(folder, task)
    if val is None:
        raise FacecomError(f"{folder}: no folder `val` in it; remove it to have it made anew")
    read = folders.task_a_table if task == "A" else folders.task_b_table
    return [f"{split.name}: {count(read(split), task)}" for split in (train, val)]


def count(table: pd.DataFrame, task: str) -> str:
    """Identities, photos and distorted copies (B) or men and women (A) of a split, and what is incomplete."""
    clean = table[table["condition"] == "clean"]
    line = f"{table['identity'].nunique():,} identities, {len(clean):,} photos"
    if task == "A":
        male = int((table["gender"] == "male").sum())
        return f"{line} ({male:,} male, {len(table) - male:,} female)"
    copies = table[table["condition"] != "clean"]
    line += f", {len(copies):,} distorted copies"
    missing = len(clean) * len(DISTORTIONS) - len(copies)
    return line + (f" ({missing:,} short of seven a photo)" if missing > 0 else "")


def weights_arguments(task: str, here: Path) -> argparse.ArgumentParser:
    """The flags of `download_weights.py`. task: `A` or `B`; here: folder of the script."""
    parser = argparse.ArgumentParser(
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=f"The published solution's weights of Task {task}, to compare with; facecom ships its own.\n\n"
        "    python download_weights.py                    into weights/ beside the script\n"
        "    python test.py --weights FILE                 then uses the file that it names",
    )
    parser.add_argument(
        "--output", type=Path, default=here / "weights", help="folder (default: weights beside the script)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bars")
    return parser


def download_weights(args: argparse.Namespace, task: str) -> None:
    """Fetch the published weights of a task, once. Raises FacecomError with the remedy."""
    path = args.output / PUBLISHED_WEIGHTS[task]
    remedy = "test.py works without it, on the weights that facecom ships"
    if task == "A":
        new = fetch_google_drive(GENDER_WEIGHTS_ID, path, remedy, args.quiet)
    else:
        new = fetch(SIAMESE_WEIGHTS_URL, path, remedy, args.quiet)
    print(f"downloaded {path}" if new else f"{path} is there already, nothing to do")
    print(f"Use it by test.py --weights {path}")
    print(YUNET)
