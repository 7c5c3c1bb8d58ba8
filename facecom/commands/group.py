"""`group.py`: whose photos are these?"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from facecom import cli
from facecom.commands import testing
from facecom.errors import FacecomError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

COLUMNS = ("filename", "face", "person", "distance", "x", "y", "width", "height")


def main(args: argparse.Namespace, here: Path) -> int:
    """Exit code. here: the folder beside which `weights/` are looked for."""
    from facecom.inference.submission import Written

    if args.threshold is not None and not 0 <= args.threshold <= 2:
        raise FacecomError(f"--threshold: {args.threshold:g}: a distance is from 0 to 2")
    table = photos_below(args.img_dir)  # a wrong folder is said before the network is loaded
    known = people_of(args.gallery) if args.gallery else None
    siamese, options = testing.set_up(args, "siamese", here)
    faces, skipped = faces_of(table, siamese, args.faces, options)
    if len(skipped) == len(table):
        raise FacecomError(f"{args.img_dir}: none of the photos could be read; the first: {skipped[0][1]}")
    written = Written(skipped=[(table.file.iloc[row], reason) for row, reason in skipped])
    unread = {file for file, _ in written.skipped}
    faceless = sorted(set(table.file) - set(faces.filename) - unread)
    written.skipped += [(file, "no face found") for file in faceless]
    faces = named(args, siamese, faces, known, written)
    write(args.output, faces, written)
    people = faces[faces.person != ""].groupby("person").filename.nunique()
    alone = int((people == 1).sum())
    print(f"{len(table):,} photos, {len(faces):,} faces, {len(people):,} people ({alone:,} with one photo)")
    if args.report:
        from facecom.report import contact_sheet

        print(f"wrote {contact_sheet.write(args.report, faces)}")
    return testing.finish(args, written)


def photos_below(folder: Path | None) -> "pd.DataFrame":
    """[path, file] of all photos in a folder and the folders in it, sorted. Raises FacecomError without one."""
    import pandas as pd

    from facecom.data.folders import existing_folder
    from facecom.data.listing import as_text, photos_in

    if folder is None:
        raise FacecomError("--img_dir: which folder is to be sorted?")
    folder = existing_folder(folder)
    paths = sorted(path for place in folders_below(folder) for path in photos_in(place))
    if not paths:
        raise FacecomError(f"{folder}: no photos in it or in the folders in it")
    files = [as_text(path.relative_to(folder).as_posix()) for path in paths]
    return pd.DataFrame({"path": [as_text(str(path)) for path in paths], "file": files})


def folders_below(folder: Path) -> Iterator[Path]:
    """The folder and all folders in it; links to folders are not followed, since they may lead in circles."""
    from facecom.data.listing import folders_in

    yield folder
    for below in folders_in(folder):
        if not below.is_symlink():
            yield from folders_below(below)


def faces_of(table: "pd.DataFrame", siamese, which: str, options: dict):
    """(a row a face: path, filename, face, x, y, width, height, embedding, told; the unreadable as (row, reason)).

    which: `all` faces of a photo, or `one`: the whole photo is one face, as in FACECOM.
    """
    import numpy as np
    import pandas as pd

    if which == "all":
        from facecom.inference.faces import collect_faces

        found, skipped = collect_faces(table.path.to_list(), siamese, **options)
        found = found.assign(path=table.path.to_numpy()[found.photo], filename=table.file.to_numpy()[found.photo])
        return found, skipped
    from facecom.inference.pipeline import collect

    answers, skipped = collect(table.path.to_list(), siamese, **options)
    readable = np.isfinite(answers.outputs).all(1)
    told = siamese.can_tell(answers.confidence, answers.quality)
    found = pd.DataFrame({"path": table.path, "filename": table.file, "face": 1, "told": told})
    found = found.assign(x=np.nan, y=np.nan, width=np.nan, height=np.nan, embedding=list(answers.outputs))
    return found[readable].reset_index(drop=True), skipped


def people_of(gallery: Path) -> "pd.DataFrame":
    """[path, file, identity] of the clean photos of the known people. Raises FacecomError for a folder without, and for
    a person who is called by a number, as those are whom nobody knows."""
    from facecom.data.folders import task_b_table
    from facecom.inference.gallery import is_gallery

    if is_gallery(gallery):
        raise FacecomError(f"{gallery}: holds no photos: give the folder that it was made from")
    table = task_b_table(gallery)
    table = table[table.condition == "clean"].reset_index(drop=True)
    numbers = [name for name in table.identity if name.isdecimal()]
    if numbers:
        raise FacecomError(f"{gallery / numbers[0]}: unknown people are called by numbers: give the folder a name")
    return table


def named(args: argparse.Namespace, siamese, faces: "pd.DataFrame", known, written) -> "pd.DataFrame":
    """With `person` (a number as text, a name of the gallery, or empty for a face that cannot be told) and `distance`
    to the person's mean (NaN without a person), sorted by person, the largest first, who cannot be told last.

    known: of `people_of`, or None; written: where its unreadable photos are noted.
    """
    import numpy as np

    from facecom.inference.people import grouping
    from facecom.inference.verifier import decide_at

    limit = decide_at(siamese, args.far)["threshold"]
    threshold = args.threshold if args.threshold is not None else grouping.SHARE * limit
    print(f"one person up to a mean distance of {threshold:.3f}")
    if not len(faces):
        return faces.assign(person="", distance=np.nan)
    embeddings = np.stack(faces.embedding.to_list())
    people = grouping.group(np.where(faces.told.to_numpy(bool)[:, None], embeddings, np.nan), threshold)
    names: dict[int, str] = {}
    if known is not None:
        found = known_names(args, siamese, grouping.centres(embeddings, people), limit, known, written)
        people, names = grouping.joined(people, found)
    means = grouping.centres(embeddings, people)
    distance = np.linalg.norm(embeddings - means[people - 1], axis=1) if len(means) else np.full(len(faces), np.nan)
    words = [names.get(person, str(person)) if person else "" for person in people.tolist()]
    faces = faces.assign(person=words, distance=np.where(people > 0, distance, np.nan))
    faces = faces.assign(order=np.where(people > 0, people, len(means) + 1))
    return faces.sort_values(["order", "distance", "filename"], ignore_index=True)


def known_names(args: argparse.Namespace, siamese, means: "np.ndarray", limit: float, known, written) -> list:
    """Whom of the gallery each mean is: the name of the nearest photo where it is within the limit, else None."""
    import numpy as np

    from facecom.inference.pipeline import collect
    from facecom.inference.search import nearest

    answers, skipped = collect(known.path.to_list(), siamese, workers=args.workers)
    written.skipped += [(known.path.iloc[row], reason) for row, reason in skipped]
    told = siamese.can_tell(answers.confidence, answers.quality)
    gallery = np.where(told[:, None], answers.outputs, np.nan)
    if not np.isfinite(gallery).all(1).any():
        raise FacecomError(f"{args.gallery}: no face in the gallery can be told: give clearer photos")
    rows, found = nearest(means, gallery)
    return [
        known.identity.iloc[row] if distance <= limit else None
        for row, distance in zip(rows[:, 0], found[:, 0], strict=True)
    ]


def write(output: Path, faces: "pd.DataFrame", written) -> None:
    """`COLUMNS`, a row a face; boxes are empty where the whole photo was one face."""
    import math

    from facecom.inference.submission import csv_of_rows, number

    with csv_of_rows(output, COLUMNS, written) as row:
        for face in faces.itertuples():
            box = ("" if math.isnan(value) else f"{value:.1f}" for value in (face.x, face.y, face.width, face.height))
            row((face.filename, face.face, face.person, number(face.distance), *box))


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, parents=[cli.shared_arguments()]
    )
    group = parser.add_argument_group("photos and results")
    group.add_argument("--img_dir", type=Path, help="folder of photos, with any folders in it; nothing in it is moved")
    group.add_argument("--output", type=Path, default=Path("groups.csv"), help="CSV file to write")
    group.add_argument("--report", type=Path, metavar="DIR", help="write a contact sheet, groups.html, there")
    group.add_argument("--gallery", type=Path, metavar="DIR", help="known people, a folder of photos a person: groups "
                       "that are one of them get the name")  # fmt: skip
    group.add_argument("--faces", choices=("all", "one"), default="all", help="all: every face of a photo; one: each "
                       "photo is of one person, whose face fills a good part of it")  # fmt: skip
    group.add_argument("--strict", action="store_true", help="exit with 3 when a photo could not be read")
    group = parser.add_argument_group("network")
    group.add_argument("--weights", nargs="+", metavar="FILE", help="as for test.py")
    group.add_argument("--mirror", action=argparse.BooleanOptionalAction, help="as for test.py")
    group.add_argument("--threshold", type=float, help="mean distance up to which two groups are one person, 0 to 2 "
                       "(default: from the stored operating point)")  # fmt: skip
    group.add_argument("--far", type=float, help="the operating point stored for this false accept rate")
    group.add_argument("--batch_size", type=int, default=64, help="photos that are looked at at once")
    parser.set_defaults(workers=None, recipe=None, train_dir=None, explain=None, sample=False)
    return parser
