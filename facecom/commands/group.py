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

    table = photos_below(args.img_dir)  # a wrong folder is said before the network is loaded
    siamese, options = testing.set_up(args, "siamese", here)
    faces, skipped = faces_of(table, siamese, args.faces, options)
    written = Written(skipped=[(table.file.iloc[row], reason) for row, reason in skipped])
    if len(skipped) == len(table):
        raise FacecomError(f"{args.img_dir}: none of the photos could be read; the first: {skipped[0][1]}")
    faces = named(args, siamese, faces)
    write(args.output, faces, written)
    people = faces.person[faces.person != ""].value_counts()
    alone = int((people == 1).sum())
    print(f"{len(table):,} photos, {len(faces):,} faces, {len(people):,} people ({alone:,} with one face)")
    if args.report:
        from facecom.report import contact_sheet

        print(f"wrote {contact_sheet.write(args.report, faces)}")
    return testing.finish(args, written)


def photos_below(folder: Path | None) -> "pd.DataFrame":
    """[path, file] of all photos in a folder and the folders in it, sorted. Raises FacecomError without one."""
    import pandas as pd

    from facecom.data.listing import photos_in

    if folder is None:
        raise FacecomError("--img_dir: which folder is to be sorted?")
    if not folder.is_dir():
        raise FacecomError(f"{folder}: {'a file, not a folder' if folder.exists() else 'no such folder'}")
    paths = sorted(path for place in folders_below(folder) for path in photos_in(place))
    if not paths:
        raise FacecomError(f"{folder}: no photos in it or in the folders in it")
    return pd.DataFrame({"path": map(str, paths), "file": [path.relative_to(folder).as_posix() for path in paths]})


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


def named(args: argparse.Namespace, siamese, faces: "pd.DataFrame") -> "pd.DataFrame":
    """With `person` (a number as text, a name of the gallery, or empty for a face that cannot be told) and `distance`
    to the person's mean (NaN without a person), sorted by person."""
    import numpy as np

    from facecom.inference import grouping
    from facecom.inference.verifier import decide_at

    limit = decide_at(siamese, args.far)["threshold"]
    threshold = args.threshold if args.threshold is not None else grouping.SHARE * limit
    print(f"one person up to a mean distance of {threshold:.3f}")
    if not len(faces):
        return faces.assign(person="", distance=np.nan)
    embeddings = np.stack(faces.embedding.to_list())
    people = grouping.group(np.where(faces.told.to_numpy(bool)[:, None], embeddings, np.nan), threshold)
    means = grouping.centres(embeddings, people)
    names = np.array(["", *map(str, range(1, len(means) + 1))], object)
    if args.gallery:
        names[1:] = known_names(args.gallery, siamese, means, limit, names[1:])
    distance = np.linalg.norm(embeddings - means[people - 1], axis=1) if len(means) else np.full(len(faces), np.nan)
    faces = faces.assign(person=names[people], distance=np.where(people > 0, distance, np.nan), order=people)
    # People first, the largest group first; then the faces that cannot be told.
    return faces.assign(order=np.where(people > 0, people, len(means) + 1)).sort_values(
        ["order", "distance", "filename"], ignore_index=True
    )


def known_names(gallery: Path, siamese, means: "np.ndarray", limit: float, numbers) -> "np.ndarray":
    """The names of those people whose mean is nearest to a person of the gallery and within the limit."""
    import numpy as np

    from facecom.data.folders import task_b_table
    from facecom.inference.pipeline import collect
    from facecom.inference.search import nearest

    table = task_b_table(gallery)
    table = table[table.condition == "clean"].reset_index(drop=True)
    answers, _ = collect(table.path.to_list(), siamese)
    if not np.isfinite(answers.outputs).all(1).any():
        raise FacecomError(f"{gallery}: no photo of the gallery could be read")
    rows, found = (column[:, 0] for column in nearest(means, answers.outputs)) if len(means) else ([], [])
    return np.where(np.asarray(found) <= limit, table.identity.to_numpy(object)[np.asarray(rows, int)], numbers)


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
    group.add_argument("--batch_size", type=int, default=64, help="photos that the network sees at once")
    parser.set_defaults(workers=None, recipe=None, train_dir=None, explain=None, sample=False)
    return parser
