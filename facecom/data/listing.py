"""What lies in a folder: photos, and what is none."""

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from facecom.data.images import OTHER_TYPES, PHOTO_TYPES
from facecom.errors import FacecomWarning

#: What systems leave in folders, in small letters.
LITTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))

#: Kinds of other files that are named; the rest is counted together.
MOST_KINDS = 4


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones and litter are none."""
    found = [name for name, is_folder in _entries_in(folder) if is_folder]
    for name in found:
        if as_text(name) != name:
            text = f"{folder / as_text(name)}: left out, the name is not UTF-8: rename it"
            warnings.warn(text, FacecomWarning, stacklevel=3)
    return [folder / name for name in found if as_text(name) == name]


def as_text(name: str) -> str:
    """A file name that tables can hold: bytes that are not UTF-8 as `\\udc..`. Such a file is found under no name."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def photos_in(folder: Path) -> Iterator[Path]:
    """The photos of a folder, which may be missing, in sorted order; hidden files are none. A file without an ending is
    one if it begins like one. What only bears a photo's name (a pipe, a link that leads nowhere, a folder with nothing
    in it) is among them: reading it says what it is."""
    for name, is_folder in _entries_in(folder):
        called, path = _is_called_photo(name), folder / name
        if called and not _entries_in(path) if is_folder else called or is_photo(path):
            yield folder / as_text(name)


def files_in(folder: Path) -> list[str]:
    """The names of what is no folder in a folder, sorted, without hidden ones and litter; none in one that is
    missing."""
    return [name for name, is_folder in _entries_in(folder) if not is_folder]


def _entries_in(folder: Path) -> list[tuple[str, bool]]:
    """(name, whether it is a folder), sorted; none, and a warning, of a folder that may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, _is_folder(entry)) for entry in entries if not _is_litter(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        warnings.warn(f"{folder}: left out, it cannot be read: {error.strerror}", FacecomWarning, stacklevel=4)
        return []


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links that lead in a circle
        return False


def is_photo(path: Path) -> bool:
    """Whether a file is called like a photo or, without an ending, begins like one."""
    if path.suffix:
        return _is_called_photo(path.name)
    try:
        if not path.is_file():  # a pipe would be waited for
            return False
        with Image.open(path):
            return True
    except Exception:  # decoders raise anything for what is none of theirs
        return False


def _is_called_photo(name: str) -> bool:
    kind = os.path.splitext(name)[1].lower()
    return kind in PHOTO_TYPES or kind in OTHER_TYPES


def name_strays(folder: Path, beside: str, known: Sequence[str] = ()) -> None:
    """Warns of photos that are left out: loose ones, and where the folders' names are `known`, those in others."""
    strays = [*photos_in(folder)]
    for other in folders_in(folder) if known else ():
        strays += photos_in(other) if other.name not in known else ()
    if strays:
        count = "1 photo lies" if len(strays) == 1 else f"{len(strays)} photos lie"
        text = f"{folder}: {count} beside {beside} and will be left out, such as {strays[0].relative_to(folder)}"
        warnings.warn(text, FacecomWarning, stacklevel=3)


def name_ignored(folders: Sequence[Path]) -> None:
    """Warns of the files in these folders that are no photos, counted by kind: `ignored: 2 .txt, 1 .mp4`."""
    kinds: Counter[str] = Counter()
    for folder in folders:
        for name in files_in(folder):
            if not _is_called_photo(name) and not is_photo(folder / name):
                kinds[Path(name).suffix.lower() or "without an ending"] += 1
    if kinds:
        told = [f"{count} {kind}" for kind, count in kinds.most_common(MOST_KINDS)]
        rest = sum(kinds.values()) - sum(count for _, count in kinds.most_common(MOST_KINDS))
        told += [f"{rest} others"] if rest else []
        warnings.warn(f"{folders[0]}: ignored: {', '.join(told)}", FacecomWarning, stacklevel=3)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER
