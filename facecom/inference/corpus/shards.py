"""The photos of a corpus, listed one after the other and cut into shards that stay the same from run to run.

Where a shard ends is decided by the photos' names (content-defined chunking, as rsync and restic cut files), and a
shard is called after its photos, their sizes and times of change. So a later run finds its finished shards by name, and
a photo that came, went or changed is a new name for one shard, not for all that follow.
"""

import codecs
import hashlib
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from facecom.data.listing import files_in, folders_in, is_photo
from facecom.errors import FacecomError


class Shard(NamedTuple):
    """name: of its file, without the ending; offset, length: bytes in the file of `write_todo`; photos: how many."""

    name: str
    offset: int
    length: int
    photos: int


class Photos:
    """What is to be looked at, listed anew by each `iter`: absolute paths and URLs. What is held of a folder is the
    names of one folder at a time.

    folder: with all folders in it; or listed: a text file, a path or URL a line, relative ones from where we are; or
    named: paths and URLs. ignored: after a pass, how many other files there are, by kind.
    Raises FacecomError for a folder or file that is not there.
    """

    def __init__(self, folder: Path | None = None, listed: Path | None = None, named: Iterable[str | Path] = ()):
        self.folder, self.listed, self.named = folder, listed, [str(one) for one in named]
        self.ignored: Counter[str] = Counter()
        if folder is not None and not folder.is_dir():
            raise FacecomError(f"{folder}: no such folder: check --img_dir")
        if listed is not None and not listed.is_file():
            raise FacecomError(f"{listed}: no such file: --list wants a text file, a path or URL a line")

    @property
    def source(self) -> str:
        """What tells one corpus from another."""
        if self.folder is not None:
            return os.path.abspath(self.folder)
        return os.path.abspath(self.listed) if self.listed is not None else "photos named one by one"

    def __iter__(self) -> Iterator[str]:
        self.ignored.clear()
        if self.folder is not None:
            yield from self._below(Path(os.path.abspath(self.folder)), ())
        elif self.listed is not None:
            yield from map(whole_name, self._lines(self.listed))
        else:
            yield from map(whole_name, self.named)

    def _lines(self, listed: Path) -> Iterator[str]:
        with open(listed, "rb") as start:
            wide = start.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        with open(listed, encoding="utf-16" if wide else "utf-8-sig", errors="surrogateescape") as lines:
            for line in filter(None, map(str.strip, lines)):
                if "\0" in line:
                    raise FacecomError(f"{listed}: no text: --list wants a text file, a path or URL a line")
                yield line

    def _below(self, folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:  # a link that leads back up
            return
        for name in files_in(folder):
            if is_photo(folder / name):
                yield str(folder / name)
            else:
                self.ignored[Path(name).suffix.lower() or "without an ending"] += 1
        for inner in folders_in(folder):
            yield from self._below(inner, (*above, here))


def is_url(photo: str) -> bool:
    """Whether fsspec is to fetch it."""
    return "://" in photo


def whole_name(photo: str) -> str:
    return photo if is_url(photo) else os.path.abspath(os.path.expanduser(photo))


def cut(photos: Iterable[str], size: int) -> Iterator[list[str]]:
    """Lists of `size` photos on the average, a quarter of it at least (but the last) and four times it at most."""
    least, most, modulus = size // 4, 4 * size, max(1, size - size // 4)
    part: list[str] = []
    for photo in photos:
        part.append(photo)
        ends = zlib.crc32(os.fsencode(photo)) % modulus == 0
        if (ends and len(part) >= least) or len(part) >= most:
            yield part
            part = []
    if part:
        yield part


def name_of(photos: Iterable[str]) -> str:
    """`faces-` and 20 hexadecimal digits: SHA-256 of the photos' names and, on this machine, sizes and times."""
    digest = hashlib.sha256()
    for photo in photos:
        size, modified = state_of(photo)
        digest.update(os.fsencode(photo) + f"\t{size}\t{modified}\n".encode())
    return f"faces-{digest.hexdigest()[:20]}"


def state_of(photo: str) -> tuple[int, int]:
    """(size in bytes, time of change in nanoseconds); -1 for URLs and what is not there."""
    try:
        if not is_url(photo):
            status = os.stat(photo)
            return status.st_size, status.st_mtime_ns
    except OSError:
        pass
    return -1, -1


def write_todo(path: Path, photos: Iterable[str], size: int, done: set[str]) -> tuple[list[Shard], set[str], int]:
    """Writes the photos of all shards that are not done to `path`, a JSON list a line. Returns (these shards, the names
    of all shards, how many photos there are)."""
    todo, names, count = [], set(), 0
    with open(path, "wb") as file:
        for part in cut(photos, size):
            name = name_of(part)
            count += len(part)
            if name not in names and name not in done:
                line = json.dumps(part).encode() + b"\n"
                todo.append(Shard(name, file.tell(), len(line), len(part)))
                file.write(line)
            names.add(name)
    return todo, names, count


def photos_of(path: Path, shard: Shard) -> list[str]:
    """The photos of a shard of `write_todo`."""
    with open(path, "rb") as file:
        file.seek(shard.offset)
        return json.loads(file.read(shard.length))
