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
    return sorted(path for path in folder.iterdir() if path.is_dir() and not _is_litter(path.name))


def photos_in(folder: Path) -> Iterator[Path]:
    """The photos of a folder, which may be missing, in sorted order; hidden files are none. A file without an ending is
    one if it begins like one."""
    for name in files_in(folder):
        if is_photo(folder / name):
            yield folder / name


def files_in(folder: Path) -> list[str]:
    """The names of the files in a folder, sorted, without hidden ones and litter; none in one that is missing."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not _is_litter(entry.name) and entry.is_file())


def is_photo(path: Path) -> bool:
    """Whether a file is called like a photo or, without an ending, begins like one."""
    kind = path.suffix.lower()
    if kind:
        return kind in PHOTO_TYPES or kind in OTHER_TYPES
    try:
        with Image.open(path):
            return True
    except (OSError, ValueError, SyntaxError):
        return False


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
            if not is_photo(folder / name):
                kinds[Path(name).suffix.lower() or "without an ending"] += 1
    if kinds:
        told = [f"{count} {kind}" for kind, count in kinds.most_common(MOST_KINDS)]
        rest = sum(kinds.values()) - sum(count for _, count in kinds.most_common(MOST_KINDS))
        told += [f"{rest} others"] if rest else []
        warnings.warn(f"{folders[0]}: ignored: {', '.join(told)}", FacecomWarning, stacklevel=3)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER
