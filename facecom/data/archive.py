"""Unpacking other people's archives: nothing lands outside the folder, and the disk does not fill up."""

import contextlib
import errno
import os
import re
import shutil
import stat
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from facecom.errors import FacecomError, FacecomWarning
from facecom.files import whole_folder

#: No photo packs a hundredfold: an archive that claims so is a bomb.
MOST_EXPANSION = 100

#: Bytes that stay free on the disk.
RESERVE = 64 << 20

#: Where the end record of an archive begins at the earliest, in bytes from its end: it has a comment, and in large
#: archives two records before it.
LONGEST_END = (1 << 16) + 22 + 20 + 56

#: Names of members that are one of the tasks'.
OF_A_TASK = r"(?:^|/)Task_[AB]/(?:train|val)/[^/]"

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
    links, would fill the disk, or expands more than `MOST_EXPANSION` times; nothing is left then. Says how many files
    are of neither task.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise FacecomError(f"{archive}: no such file; --archive names the organisers' zip archive")
    with _reading(archive):
        opened = zipfile.ZipFile(archive)
    with opened as source, whole_folder(target) as place:
        _check_names(source, archive)
        members = _wanted(source, archive, task)
        _check_size([entry for entry, _ in members], archive, place)
        for entry, inside in tqdm(members, desc="unpacking", unit=" files", disable=True if quiet else None):
            with _Member(source, entry, archive) as packed, _new_file(place / inside, entry, archive) as file:
                shutil.copyfileobj(packed, file, 1 << 18)
    _name_others(opened, archive, {entry.orig_filename for entry, _ in members})


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Whatever reading an archive raises, as a FacecomError; what writing raises is said by `whole_folder`."""
    try:
        yield
    except Exception as error:  # damaged bytes make zipfile and what unpacks for it raise anything at all
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # those two are of damaged bytes
            raise FacecomError(f"{archive}: cannot be read ({error.strerror}); check its permissions") from error
        reason = _short(" ".join(str(error).split())) or type(error).__name__
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


def _check_names(source: zipfile.ZipFile, archive: Path) -> None:
    """Raises FacecomError where a member may be missing, or have another name than it was packed with.

    Names have no checksum, but stand twice: before the member and in the list at the archive's end, which tells its
    length. Damage that changes both places in the same way cannot be known.
    """
    members = source.infolist()
    with _reading(archive):
        for entry in members:
            with contextlib.suppress(RuntimeError):  # packed or encrypted as cannot be read: it need not be wanted
                source.open(entry).close()  # compares the names
        told = _members_told(source)
        if told not in (len(members), len(members) % (1 << 16)):  # some packers count no further
            raise zipfile.BadZipFile(f"{told} files announced, {len(members)} listed")


def _members_told(source: zipfile.ZipFile) -> int:
    """How many members an archive has by its end record, which zipfile reads and does not heed."""
    file: Any = source.fp
    file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_END))
    end = file.read()
    place = end.rfind(b"PK\5\6")
    told = int.from_bytes(end[place + 10 : place + 12], "little")
    large = end.rfind(b"PK\6\6", 0, place)  # of a large archive
    return int.from_bytes(end[large + 32 : large + 40], "little") if told == 0xFFFF and large >= 0 else told


def _name_others(source: zipfile.ZipFile, archive: Path, unpacked: set[str]) -> None:
    """Warns of the files that belong to neither task: their names may be damaged."""
    names = [entry.orig_filename for entry in source.infolist() if entry.file_size or not _is_folder(entry)]
    others = [name for name in names if not (name in unpacked or _is_litter(name) or re.search(OF_A_TASK, name))]
    if others:
        count = "1 file in it is" if len(others) == 1 else f"{len(others)} files in it are"
        text = f"{archive}: {count} of neither task and left out, such as {_short(repr(others[0]))}"
        warnings.warn(text, FacecomWarning, stacklevel=3)


def _wanted(source: zipfile.ZipFile, archive: Path, task: str) -> list[tuple[zipfile.ZipInfo, str]]:
    """The members to unpack, with their names inside the target. Every name in the archive must be harmless."""
    # As they are in the archive: zipfile cuts names at a null byte, and asks an empty one for its last letter.
    listed = [entry for entry in source.infolist() if not _is_folder(entry)]
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
    return _short(repr(entry.orig_filename), 80)


def _short(text: str, most: int = 160) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _is_folder(entry: zipfile.ZipInfo) -> bool:
    return entry.orig_filename.endswith("/")


def _is_litter(name: str) -> bool:
    """Whether it is what a Mac adds to archives."""
    return any(
        part == "__MACOSX" or part.startswith("._") or part in (".DS_Store", "Icon\r") for part in name.split("/")
    )


def _danger(entry: zipfile.ZipInfo) -> str:
    """What is wrong with a member, `` for nothing."""
    for name in (entry.orig_filename, entry.filename):  # from Python 3.12 on, another that stands in an extra field
        if re.search(r"[\0-\x1f\x7f\\:]", name):
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
