"""Files and folders written whole or not at all."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from facecom.errors import FacecomError


@contextlib.contextmanager
def write_whole(path: str | Path, mode: str = "w", **open_kwargs) -> Iterator[IO]:
    """Open file to write `path` with, which appears only when everything is written.

    mode, open_kwargs: as for `open`. Text is UTF-8 unless `encoding` says otherwise. Missing folders above are made.
    The file lies under a temporary name in the same folder, reaches the disk (fsync) and is renamed; after any
    exception it is gone and an older file at `path` is as it was. Raises FacecomError when the system refuses
    (full disk, no permission), naming the path and the remedy.
    """
    path = Path(path)
    if "b" not in mode:
        open_kwargs.setdefault("encoding", "utf-8")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with open(handle, mode, **open_kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's file is the owner's alone; a result is no secret
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to fill, which becomes `path` only when everything is in it.

    path: must not exist, or be an empty folder. After any exception the new folder is gone with all that is in it.
    Raises FacecomError when `path` holds something, and when the system refuses (full disk, no permission).
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise FacecomError(f"{path} exists already; remove it or choose another folder")
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.part")
        if fresh.exists():  # of a run that was killed
            shutil.rmtree(fresh)
        fresh.mkdir()
        temporary = fresh
        yield temporary
        if path.exists():
            path.rmdir()
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def check_writable(path: str | Path) -> None:
    """Raises FacecomError where `write_whole` could not write `path`, before the work is done. Nothing is left."""
    path = Path(path)
    if path.is_dir():
        raise FacecomError(write_error(path, OSError(errno.EISDIR, "")))
    above = next(folder for folder in path.absolute().parents if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error


def write_error(path: str | Path, error: OSError) -> str:
    """The line that says why `path` could not be written, and what to do."""
    remedies = {
        errno.ENOSPC: "the disk is full; free some space or choose another folder",
        errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
        errno.EACCES: "no permission to write there; choose another folder",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.EISDIR: "that is a folder; choose another name",
        errno.ENOTDIR: "a file stands where a folder is needed; choose another name",
        errno.EEXIST: "a file stands where a folder is needed; choose another name",
    }
    return f"cannot write {path}: {remedies.get(error.errno, error.strerror or error)}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
