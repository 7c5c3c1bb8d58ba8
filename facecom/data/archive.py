"""Unpacking other people's archives: nothing lands outside the folder, and the disk does not fill up."""

import contextlib
import errno
import os
import re
import shutil
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tqdm import tqdm

from facecom.errors import FacecomError
from facecom.files import whole_folder

#: No photo packs a hundredfold: an archive that claims so is a bomb.
MOST_EXPANSION = 100

#: Bytes that stay free on the disk.
RESERVE = 64 << 20

#: What the system says of names that cannot be together in a folder, or in none.
NAMES_GONE_WRONG = {
    errno.ENAMETOOLONG: "has too long a name",
    errno.EEXIST: "takes the place of another file",
    errno.ENOTDIR: "lies in another file",
    errno.EISDIR: "takes the place of a folder",
}


def unpack(archive: str | Path, target: str | Path, task: str, quiet: bool = False) -> None:
    """Unpack the splits of a task from the organisers' zip archive into `target`, whole or not at all.

    Takes what lies below `.../Task_<task>/`, or the archive's own `train/` and `val/`. task: `A` or `B`.
    Raises FacecomError when the archive is damaged, holds no such folder, has names that lead outside or stand for
    links, would fill the disk, or expands more than `MOST_EXPANSION` times; nothing is left then.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise FacecomError(f"{archive}: no such file; --archive names the organisers' zip archive")
    with _reading(archive):
        opened = zipfile.ZipFile(archive)
    with opened as source, whole_folder(target) as place:
        members = _wanted(source, archive, task)
        _check_size([entry for entry, _ in members], archive, place)
        for entry, inside in tqdm(members, desc="unpacking", unit=" files", disable=True if quiet else None):
            with _Member(source, entry, archive) as packed, _new_file(place / inside, entry, archive) as file:
                shutil.copyfileobj(packed, file, 1 << 18)


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Whatever reading an archive raises, as a FacecomError; what writing raises is said by `whole_folder`."""
    try:
        yield
    except Exception as error:  # damaged bytes make zipfile and what unpacks for it raise anything at all
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # those two are of damaged bytes
            raise FacecomError(f"{archive}: cannot be read ({error.strerror}); check its permissions") from error
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FacecomError(f"{archive}: not a whole zip archive ({reason}); remove it and fetch it again") from error


class _Member:
    """A member of an archive, to be read."""

    def __init__(self, source: zipfile.ZipFile, entry: zipfile.ZipInfo, archive: Path):
        self.archive = archive
        with _reading(archive):
            self.packed = source.open(entry)

    def __enter__(self) -> "_Member":
        return self

    def __exit__(self, *_) -> None:
        self.packed.close()

    def read(self, size: int = -1, /) -> bytes:
        with _reading(self.archive):
            return self.packed.read(size)


def _new_file(path: Path, entry: zipfile.ZipInfo, archive: Path) -> IO[bytes]:
    """The file of a member, with the folders above it. In a new folder only the archive's own names can be wrong."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "xb")
    except OSError as error:
        reason = NAMES_GONE_WRONG.get(error.errno or 0)
        if reason is None:
            raise
        raise FacecomError(f"{archive}: refused, {_shown(entry)} {reason}") from error


def _wanted(source: zipfile.ZipFile, archive: Path, task: str) -> list[tuple[zipfile.ZipInfo, str]]:
    """The members to unpack, with their names inside the target. Every name in the archive must be harmless."""
    # As they are in the archive: zipfile cuts names at a null byte, and asks an empty one for its last letter.
    listed = [entry for entry in source.infolist() if not entry.orig_filename.endswith("/")]
    files = [entry for entry in listed if not _is_litter(entry.orig_filename)]
    for entry in files:
        reason = _danger(entry)
        if reason:
            raise FacecomError(f"{archive}: refused, {_shown(entry)} {reason}")
    for pattern in (rf"(?:.*/)?Task_{task}/((?:train|val)/.+)", r"((?:train|val)/.+)"):
        found = [(entry, match[1]) for entry in files if (match := re.fullmatch(pattern, entry.filename))]
        if found:
            splits = {name.split("/")[0] for _, name in found}
            if splits != {"train", "val"}:
                raise FacecomError(f"{archive}: Task {task} has only `{splits.pop()}` in it; is it whole?")
            names = [name.casefold() for _, name in found]
            if len(set(names)) < len(names):
                raise FacecomError(f"{archive}: refused, it holds several files of the same name")
            return found
    raise FacecomError(f"{archive}: neither Task_{task}/train nor train/ is in it; is it the organisers' archive?")


def _shown(entry: zipfile.ZipInfo) -> str:
    """A member's name in a line."""
    text = repr(entry.orig_filename)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _is_litter(name: str) -> bool:
    """Whether it is what a Mac adds to archives."""
    return any(part == "__MACOSX" or part.startswith("._") or part == ".DS_Store" for part in name.split("/"))


def _danger(entry: zipfile.ZipInfo) -> str:
    """What is wrong with a member, `` for nothing."""
    name = entry.orig_filename
    if "\0" in name or "\\" in name or ":" in name:
        return "has characters that no photo's name needs"
    if name.startswith("/") or ".." in name.split("/"):
        return "leads outside the folder"
    mode = entry.external_attr >> 16
    if mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
        return "is a link or a device"
    if entry.flag_bits & 1:
        return "is encrypted"
    return ""


def _check_size(entries: list[zipfile.ZipInfo], archive: Path, place: Path) -> None:
    """Raises FacecomError for a zip bomb, and where the disk has no room for the files."""
    total = sum(entry.file_size for entry in entries)
    if total > MOST_EXPANSION * max(archive.stat().st_size, 1):
        raise FacecomError(f"{archive}: refused, it expands more than {MOST_EXPANSION} times, as no photos do")
    free = shutil.disk_usage(place).free
    if total + RESERVE > free:
        need = f"{total / 1e6:,.0f} MB are to be unpacked, {free / 1e6:,.0f} MB are free"
        raise FacecomError(f"{place.parent}: {need}; free some space, or choose another folder by --output")


def refuse_swollen(path: str | os.PathLike) -> None:
    """Raises FacecomError for a zip file that holds more than itself, compressed or overlapping: no weights are saved
    so, and a small file could fill the memory."""
    try:
        with zipfile.ZipFile(path) as file:
            inside = sum(entry.file_size for entry in file.infolist())
    except Exception:  # no zip file, or a damaged one, of which zipfile may raise anything: whoever reads it says so
        return
    if inside > os.path.getsize(path):
        raise FacecomError(f"{path}: {inside:,} bytes packed into fewer: not as weights are saved: save them again")
