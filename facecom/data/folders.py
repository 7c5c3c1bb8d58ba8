"""Folders of photos: a data set as one table. No file of the user's is moved."""

import os
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from facecom.conditions import condition_of
from facecom.data.images import PHOTO_TYPES
from facecom.data.listing import as_text, files_in, folders_in, is_photo, name_ignored, name_strays, photos_in
from facecom.errors import FacecomError, FacecomWarning

GENDERS = ("male", "female")

#: What people call the folders of a gender, in small letters.
GENDER_WORDS = {word: "male" for word in ("male", "males", "man", "men", "m")} | {
    word: "female" for word in ("female", "females", "woman", "women", "f", "w")
}


#: Where a table's distorted copies lie, below the folder of their identity.
DISTORTED = "distortion"


def flat_table(folder: str | Path) -> pd.DataFrame:
    """The photos that lie in a folder itself, or the one photo that `folder` is: [path, file, photo, condition], sorted
    by file name.

    photo, condition: what the name says (`distortions.condition_of`). Raises FacecomError without any photo.
    """
    if Path(folder).is_file() and is_photo(Path(folder)):
        return pd.DataFrame([_row(Path(folder), Path(folder).name)])
    folder = existing_folder(folder)
    rows = [_row(path, path.name) for path in photos_in(folder)]
    if not rows:
        raise FacecomError(f"{folder}: no photos ({', '.join(sorted(PHOTO_TYPES))}){_found_instead(folder)}")
    name_ignored([folder])
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

    folder: holds `male/` and `female/` (`gender_folders`), or is flat (gender is then ``). file: relative to it, `/` as
    separator; identity: the name without its number, as in `Ann_Lee_0002`; where names do not say it (no number, or
    the same word before most numbers, as in `IMG_0002`), each photo stands for a person. Raises FacecomError without
    any photo.
    """
    folder, rows = Path(folder), []
    classes = gender_folders(folder)
    if classes:
        name_strays(folder, "male/ and female/", [path.name for path in classes])
        name_ignored([folder, *classes])
    for path, gender in classes.items():
        rows += [_row(photo, f"{path.name}/{photo.name}") | {"gender": gender} for photo in photos_in(path)]
    table = pd.DataFrame(rows) if rows else flat_table(folder).assign(gender="")
    people = table["photo"].map(identity_of)
    named = people != table["photo"]
    if people[named].value_counts().max() > max(len(table) / 2, 1):
        named[:] = False
    # The same name in another split says nothing then: the folders keep them apart.
    alone = as_text(folder.name) + "/" + table["gender"] + "/" + table["photo"]
    table.insert(2, "identity", people.where(named, alone))
    return table.sort_values("file", ignore_index=True)


def task_b_table(folder: str | Path) -> pd.DataFrame:
    """A split of Task B: [path, file, identity, photo, condition], sorted by identity and file.

    folder: `<identity>/<photo>.jpg` and `<identity>/distortion/<photo>_<condition>.jpg`. file: relative to it, `/` as
    separator. A photo is known by identity and photo together. Raises FacecomError without any photo, and for a
    distorted copy whose name does not say its condition: it would pass for a clean photo.
    """
    folder = existing_folder(folder)
    rows = []
    name_strays(folder, "the folders of the people")
    for identity in folders_in(folder):
        for path in photos_in(identity):
            rows.append({"identity": identity.name} | _row(path, f"{identity.name}/{path.name}"))
        for path in photos_in(identity / DISTORTED):
            row = _row(path, f"{identity.name}/{DISTORTED}/{path.name}")
            if row["condition"] == "clean":
                raise FacecomError(f"{path}: the name does not end in its condition, such as `_foggy`; rename the file")
            rows.append({"identity": identity.name} | row)
    if not rows:
        expected = "<identity>/<photo>.jpg is expected"
        raise FacecomError(f"{folder}: no photos in identity folders; {expected}{_found_instead(folder)}")
    people = folders_in(folder)
    name_ignored([folder, *people, *(person / DISTORTED for person in people)])
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
    clean: set[tuple[Path, str]] = set()
    copies: set[tuple[Path, str]] = set()
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
    if Path(folder).is_file() and is_photo(Path(folder)):
        return "flat"
    folder = existing_folder(folder)
    if gender_folders(folder):
        return "genders"
    for below in folders_in(folder):
        if below.name == DISTORTED:
            continue
        if next(photos_in(below), None) or next(photos_in(below / DISTORTED), None):
            return "identities"
    return "flat"


def any_table(folder: str | Path) -> pd.DataFrame:
    """The photos of a folder in any layout, distorted copies too: at least [path, file, photo, condition]."""
    return {"genders": task_a_table, "identities": task_b_table, "flat": flat_table}[layout(folder)](folder)


def gender_folders(folder: Path) -> dict[Path, str]:
    """{folder of a gender: `male` or `female`}: `male` and `female` in any case, or `man`, `women`, `m` and the like
    where all folders are called so (else they may be people's names); empty where there are none."""
    if not folder.is_dir():
        return {}
    named = {path: GENDER_WORDS.get(path.name.lower()) for path in folders_in(folder)}
    if not all(named.values()):
        named = {path: gender for path, gender in named.items() if path.name.lower() in GENDERS}
    return {path: gender for path, gender in sorted(named.items()) if gender}


def photo_folder(path: str | Path, task: str) -> Path:
    """The folder of photos that a path means: itself, or where it is the organisers' folder or one above it, the `val`
    in it. task: `A` or `B`."""
    path = Path(path)
    for place in _places(task):
        found = within(path, *place, "val")
        if found and within(path, *place, "train"):
            warnings.warn(f"{path}: holds train/ and val/: takes {found}", FacecomWarning, stacklevel=2)
            return found
    return path


def split_folders(data_dir: str | Path, task: str) -> tuple[Path, Path | None]:
    """The folders `train` and `val` of a data set; val is None where there is none.

    data_dir: holds them itself, or the organisers' folders above them, or is what `train` would be: folders of people,
    or of men and women. task: `A` or `B`. Raises FacecomError for everything else.
    """
    data_dir = existing_folder(
        data_dir, "fetch the data with download_data.py, or draw some with download_data.py --sample"
    )
    for place in _places(task):
        if train := within(data_dir, *place, "train"):
            return train, within(data_dir, *place, "val")
    if layout(data_dir) == {"A": "genders", "B": "identities"}[task]:
        return data_dir, None
    there = [one.name for one in folders_in(data_dir)]
    there += [name for name in files_in(data_dir) if name.lower().endswith(".zip")]
    holds = f" ({', '.join(there[:4])}{' …' if len(there) > 4 else ''})" if there else ""
    raise FacecomError(f"{data_dir}: no folder `train` in it{holds}; --data_dir names the folder that holds train/ and "
                       "val/, and download_data.py --archive unpacks a zip archive")  # fmt: skip


def _places(task: str) -> list[tuple[str, ...]]:
    """Where the splits may lie: in the folder itself, or in the organisers' folders in it."""
    return [(), (f"Task_{task}",), ("Comys_Hackathon5", f"Task_{task}")]


def within(folder: Path, *names: str) -> Path | None:
    """The folder in a folder, in a folder ... of these names, in any case where none has them exactly; None without."""
    for name in names:
        alike = [] if (folder / name).is_dir() or not folder.is_dir() else folders_in(folder)
        alike = [one for one in alike if one.name.lower() == name.lower()]
        folder = alike[0] if len(alike) == 1 else folder / name
    return folder if folder.is_dir() else None


def existing_folder(folder: str | Path, remedy: str = "check the path") -> Path:
    """The folder. Raises FacecomError where it is none, or may not be read."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "a file, not a folder" if folder.exists() else "no such folder"
        if folder.is_file() and folder.suffix.lower() == ".zip":
            what, remedy = "a zip archive, not a folder", "unpack it, the organisers' by download_data.py --archive"
        elif folder.is_file() and is_photo(folder):
            what, remedy = "a photo, not a folder", "give the folder that it lies in"
        raise FacecomError(f"{folder}: {what}; {remedy}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise FacecomError(f"{folder}: no permission to read this folder; {remedy}")
    return folder


def _found_instead(folder: Path) -> str:
    """What lies in a folder without photos, for an error; empty where it is empty."""
    below = [path.name for path in folders_in(folder)]
    return (
        f"; it holds the folders {', '.join(below[:4])}{' …' if len(below) > 4 else ''}: give one of them"
        if below
        else ""
    )


def _row(path: Path, file: str) -> dict:
    name = as_text(str(path))
    photo, condition = condition_of(name)
    return {"path": name, "file": as_text(file), "photo": photo, "condition": condition}
