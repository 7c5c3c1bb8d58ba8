"""Folders of photos: a data set as one table. No file of the user's is moved."""

import os
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pandas as pd

from facecom.conditions import condition_of
from facecom.data.audit import audit as audit
from facecom.data.images import OTHER_TYPES, PHOTO_TYPES
from facecom.errors import FacecomError, FacecomWarning

GENDERS = ("male", "female")


#: Where a table's distorted copies lie, below the folder of their identity.
DISTORTED = "distortion"


def flat_table(folder: str | Path) -> pd.DataFrame:
    """The photos that lie in a folder itself: [path, file, photo, condition], sorted by file name.

    photo, condition: what the name says (`distortions.condition_of`). Raises FacecomError without any photo.
    """
    rows = [_row(path, path.name) for path in _photos_in(_existing(folder))]
    if not rows:
        raise FacecomError(f"{folder}: no photos ({', '.join(sorted(PHOTO_TYPES))})")
    return pd.DataFrame(rows)


def listed_table(photos: Sequence[str | Path]) -> pd.DataFrame:
    """Photos named one by one, in that order: [path, file, photo, condition]; file: as it was named.

    Raises FacecomError for a path that is no file.
    """
    for path in map(Path, photos):
        if not path.is_file():
            raise FacecomError(f"{path}: {'a folder' if path.is_dir() else 'no such file'}: name photos, or one folder")
    return pd.DataFrame([_row(Path(path), str(path)) for path in photos])


def task_a_table(folder: str | Path) -> pd.DataFrame:
    """A split of Task A: [path, file, identity, photo, condition, gender], sorted by file.

    folder: holds `male/` and `female/`, or is flat (gender is then ``). file: relative to it, `/` as separator;
    identity: the name without its number, as in `Ann_Lee_0002`; where names do not say it (no number, or the same
    word before most numbers, as in `IMG_0002`), each photo stands for a person. Raises FacecomError without any photo.
    """
    folder = _existing(folder)
    rows = []
    if any((folder / gender).is_dir() for gender in GENDERS):
        _name_strays(folder, "male/ and female/", GENDERS)
    for gender in GENDERS:
        for path in _photos_in(folder / gender):
            rows.append(_row(path, f"{gender}/{path.name}") | {"gender": gender})
    table = pd.DataFrame(rows) if rows else flat_table(folder).assign(gender="")
    people = table["photo"].map(identity_of)
    named = people != table["photo"]
    if people[named].value_counts().max() > max(len(table) / 2, 1):
        named[:] = False
    # The same name in another split says nothing then: the folders keep them apart.
    alone = folder.name + "/" + table["gender"] + "/" + table["photo"]
    table.insert(2, "identity", people.where(named, alone))
    return table.sort_values("file", ignore_index=True)


def task_b_table(folder: str | Path) -> pd.DataFrame:
    """A split of Task B: [path, file, identity, photo, condition], sorted by identity and file.

    folder: `<identity>/<photo>.jpg` and `<identity>/distortion/<photo>_<condition>.jpg`. file: relative to it, `/` as
    separator. A photo is known by identity and photo together. Raises FacecomError without any photo, and for a
    distorted copy whose name does not say its condition: it would pass for a clean photo.
    """
    folder = _existing(folder)
    rows = []
    _name_strays(folder, "the folders of the people")
    for identity in _folders_in(folder):
        for path in _photos_in(identity):
            rows.append({"identity": identity.name} | _row(path, f"{identity.name}/{path.name}"))
        for path in _photos_in(identity / DISTORTED):
            row = _row(path, f"{identity.name}/{DISTORTED}/{path.name}")
            if row["condition"] == "clean":
                raise FacecomError(f"{path}: the name does not end in its condition, such as `_foggy`; rename the file")
            rows.append({"identity": identity.name} | row)
    if not rows:
        raise FacecomError(f"{folder}: no photos in identity folders; <identity>/<photo>.jpg is expected")
    return pd.DataFrame(rows)[["path", "file", "identity", "photo", "condition"]]


def labelled_copies(table: pd.DataFrame, split: Path) -> pd.DataFrame:
    """The distorted copies in a split of Task B of the photos in Task A's `table`, with its `gender`.

    Raises FacecomError when there are none: the two folders do not belong together; and where a name stands for two
    photos, so that nobody knows whose copies they are.
    """
    copies = task_b_table(split).query("condition != 'clean'")
    for names in (table["photo"], copies[["identity", "photo"]].drop_duplicates()["photo"]):
        twice = names[names.duplicated()]
        if len(twice) and (shared := set(twice) & set(copies["photo"]) & set(table["photo"])):
            raise FacecomError(f"{split}: two photos are called {min(shared)}, so whose copies they are is unknown")
    copies = copies.merge(table[["photo", "gender"]], on="photo")
    if copies.empty:
        raise FacecomError(f"{split}: no distorted copies of these photos: give the same split of Task B")
    return copies


def holds_copies(paths: Iterable[str | Path]) -> bool:
    """Whether file names say that one of these files is a distorted copy of another in the same folder, as the
    organisers' do: `Ann_0001.jpg` and `distortion/Ann_0001_foggy.jpg` or `Ann_0001_foggy.jpg` beside it."""
    clean, copies = set(), set()
    for path in map(Path, paths):
        folder = path.parent.parent if path.parent.name == DISTORTED else path.parent
        photo, condition = condition_of(path)
        (clean if condition == "clean" else copies).add((folder, photo))
    return not clean.isdisjoint(copies)


def identity_of(photo: str) -> str:
    """Whose photo a name like `Ann_Lee_0002` says it is: `Ann_Lee`; a name without a number stands for itself."""
    return re.sub(r"[_-]\d+$", "", photo)


def layout(folder: str | Path) -> str:
    """`genders` (`male/`, `female/`), `identities` (other folders with photos in them) or `flat` (neither).

    One person's own folder is flat: its `distortion/` is nobody's name.
    """
    folder = _existing(folder)
    if any((folder / gender).is_dir() for gender in GENDERS):
        return "genders"
    for below in _folders_in(folder):
        if below.name == DISTORTED:
            continue
        if next(_photos_in(below), None) or next(_photos_in(below / DISTORTED), None):
            return "identities"
    return "flat"


def any_table(folder: str | Path) -> pd.DataFrame:
    """The photos of a folder in any layout, distorted copies too: at least [path, file, photo, condition]."""
    return {"genders": task_a_table, "identities": task_b_table, "flat": flat_table}[layout(folder)](folder)


def split_folders(data_dir: str | Path, task: str) -> tuple[Path, Path | None]:
    """The folders `train` and `val` of a data set; val is None where there is none.

    data_dir: holds them itself, or the organisers' folders above them. task: `A` or `B`.
    Raises FacecomError where there is no `train`.
    """
    data_dir = _existing(data_dir, "fetch the data with download_data.py, or draw some with download_data.py --sample")
    for place in ("", f"Task_{task}", f"Comys_Hackathon5/Task_{task}"):
        train, val = data_dir / place / "train", data_dir / place / "val"
        if train.is_dir():
            return train, val if val.is_dir() else None
    raise FacecomError(f"{data_dir}: no folder `train` in it; --data_dir names the folder that holds train/ and val/")


def _existing(folder: str | Path, remedy: str = "check the path") -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise FacecomError(f"{folder}: {'a file, not a folder' if folder.exists() else 'no such folder'}; {remedy}")
    return folder


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _photos_in(folder: Path) -> Iterator[Path]:
    """The photos of a folder, which may be missing, in sorted order; hidden files are none."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    for name in sorted(names):
        if os.path.splitext(name)[1].lower() in PHOTO_TYPES | OTHER_TYPES:
            yield folder / name


def _name_strays(folder: Path, beside: str, known: Sequence[str] = ()) -> None:
    """Warns of photos that are left out: loose ones, and where the folders' names are `known`, those in others."""
    strays = [*_photos_in(folder)]
    for other in _folders_in(folder) if known else ():
        strays += _photos_in(other) if other.name not in known else ()
    if strays:
        count = "1 photo lies" if len(strays) == 1 else f"{len(strays)} photos lie"
        text = f"{folder}: {count} beside {beside} and will be left out, such as {strays[0].relative_to(folder)}"
        warnings.warn(text, FacecomWarning, stacklevel=3)


def _row(path: Path, file: str) -> dict:
    photo, condition = condition_of(path)
    return {"path": str(path), "file": file, "photo": photo, "condition": condition}
