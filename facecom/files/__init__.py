"""Files and folders written whole or not at all, and read without waiting."""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

from facecom.errors import FacecomError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: This program's own open files, by name: to be written to and never replaced, even where they lead to a file.
OWN_OUTPUT = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/")


#: How files are called until they are whole.
PREFIX, SUFFIX = ".facecom.", ".part"

#: Folders that this process has looked through for what others have left.
_SWEPT: set[Path] = set()


class Place(NamedTuple):
    """Where a path leads. path: the file itself, links followed; stream: what is there takes bytes one after the other
    (a device, a pipe, this program's own output) and must be written to as it is."""

    path: Path
    stream: bool


def place_of(path: str | os.PathLike) -> Place:
    """What writing to `path` means: nothing that is not a regular file is ever replaced.

    Raises FacecomError for a folder, a socket, a disk, and links that lead in a circle.
    """
    path = Path(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return Place(Path(os.path.realpath(path)), stream=False)
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    if stat.S_ISDIR(mode):
        raise FacecomError(write_error(path, OSError(errno.EISDIR, "")))
    if stat.S_ISSOCK(mode) or stat.S_ISBLK(mode):
        kind = "socket" if stat.S_ISSOCK(mode) else "disk"
        raise FacecomError(f"cannot write {path}: that is a {kind}; choose another name")
    if not stat.S_ISREG(mode) or str(path).startswith(OWN_OUTPUT):
        return Place(path, stream=True)
    return Place(Path(os.path.realpath(path)), stream=False)


@contextlib.contextmanager
def write_whole(path: str | os.PathLike, mode: str = "w", **open_kwargs) -> Iterator[IO]:
    """Open file to write `path` with, which appears only when everything is written.

    mode, open_kwargs: as for `open`. Text is UTF-8 unless `encoding` says otherwise; bytes of a file name that are not
    are written as `\\udc..`. Missing folders above are made.
    The file lies under a temporary name in the same folder, reaches the disk (fsync) and is renamed; after any
    exception it is gone and an older file at `path` is as it was; what a killed writer left goes with the next. A
    link is followed, and who may read an older file may read the new one; a device or a pipe is written to at the
    end. Raises FacecomError when the system refuses (full disk, no permission) and where `place_of` does, naming the
    path and the remedy.
    """
    place = place_of(path)
    if "b" not in mode:
        open_kwargs.setdefault("encoding", "utf-8")
        open_kwargs.setdefault("errors", "backslashreplace")  # file names need not be text
    temporary = None
    try:
        folder = None if place.stream else place.path.parent
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _sweep(folder)
        handle, temporary = tempfile.mkstemp(prefix=PREFIX, suffix=SUFFIX, dir=folder)
        with open(handle, mode, **open_kwargs) as file:
            _lock(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
        if place.stream:
            with open(temporary, "rb") as source, open(place.path, "wb") as target:
                shutil.copyfileobj(source, target)
        else:
            _as_it_was(temporary, place.path)
            os.replace(temporary, place.path)
            temporary = None
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _as_it_was(temporary: str, target: Path) -> None:
    """Give a new file the mode of the one that it replaces, and the owner and the group where this process may; mkstemp
    makes it the owner's alone, but a result that replaces nothing is no secret."""
    try:
        older = os.stat(target)
    except OSError:
        os.chmod(temporary, 0o666 & ~_umask())
        return
    for owner, group in ((-1, older.st_gid), (older.st_uid, -1)):
        with contextlib.suppress(OSError, AttributeError):  # of Windows, which has none
            os.chown(temporary, owner, group)
    os.chmod(temporary, stat.S_IMODE(older.st_mode) & 0o777)


def is_unfinished(name: str) -> bool:
    """Whether a file of this name is one that is being written, or that a killed writer has left."""
    return name.startswith(PREFIX) and name.endswith(SUFFIX)


def _lock(file: IO) -> bool:
    """Whether this process alone holds the file now, until it is closed or the process ends, however."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another writes it, or the file system knows no locks
        return False
    return True


def _sweep(folder: Path) -> None:
    """Remove what writers that were killed have left in the folder: their files are locked by nobody."""
    if folder in _SWEPT or fcntl is None:
        return
    _SWEPT.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if is_unfinished(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError), open(entry.path, "rb") as file:
                    if _lock(file):
                        os.unlink(entry.path)


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A new folder beside `path` to fill, which becomes `path` only when everything is in it.

    path: must not exist, or be an empty folder; a link is followed. After any exception the new folder is gone with all
    that is in it. Raises FacecomError when `path` holds something, and when the system refuses (full disk, no
    permission).
    """
    target = Path(os.path.realpath(path))
    if os.path.lexists(target) and (not target.is_dir() or any(target.iterdir())):
        raise FacecomError(f"{path} exists already; remove it or choose another folder")
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(f".{target.name}.part")
        if fresh.is_dir() and not fresh.is_symlink():  # of a run that was killed
            shutil.rmtree(fresh)
        fresh.mkdir()
        temporary = fresh
        yield temporary
        if target.exists():
            target.rmdir()
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def remove_file(path: str | Path) -> None:
    """Remove a file that an earlier run wrote. A link, a device or a folder of that name stays."""
    path = Path(path)
    if path.is_file() and not path.is_symlink():
        path.unlink()


def check_writable(path: str | os.PathLike) -> None:
    """Raises FacecomError where `write_whole` could not write `path`, before the work is done. Nothing is left."""
    place = place_of(path)
    if place.stream:
        if not os.access(place.path, os.W_OK):
            raise FacecomError(write_error(path, OSError(errno.EACCES, "")))
        return
    _try_in(place.path.absolute().parent, path)


def check_folder(path: str | os.PathLike) -> None:
    """Raises FacecomError where files could not be written into a folder, which need not be there yet."""
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    _try_in(Path(os.path.realpath(path)), path)


def _try_in(folder: Path, named: str | os.PathLike) -> None:
    """Write into a folder, or into the first one above that is there. named: for the error, what the user gave."""
    try:
        above = next(one for one in (folder, *folder.parents) if one.exists())
        with tempfile.TemporaryFile(dir=above):
            pass
    except OSError as error:
        raise FacecomError(write_error(named, error)) from error


def refuse_to_replace(output: str | os.PathLike, flags: Mapping[str, Any]) -> None:
    """Raises FacecomError where writing `output` would replace a file that one of the flags names, to be read.
    flags: by name; values that are no paths of files, or lists of such, do not matter."""
    for name, value in flags.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, str | os.PathLike) and os.path.isfile(one) and os.path.exists(output):
                if os.path.samefile(one, output):
                    raise FacecomError(f"cannot write {output}: --{name} reads it; choose another name")


def write_error(path: str | os.PathLike, error: OSError) -> str:
    """The line that says why `path` could not be written, and what to do."""
    remedies = {
        errno.ENOSPC: "the disk is full; free some space or choose another folder",
        errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
        errno.EFBIG: "the file would be larger than the system allows (ulimit -f); raise that limit",
        errno.EACCES: "no permission to write there; choose another folder",
        errno.EROFS: "the file system is read-only; choose another folder",
        errno.EISDIR: "that is a folder; choose another name",
        errno.ENOTDIR: "a file stands where a folder is needed; choose another name",
        errno.ELOOP: "links lead in a circle; choose another name",
        errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
        errno.EEXIST: "a file stands where a folder is needed; choose another name",
    }
    return f"cannot write {path}: {remedies.get(error.errno or 0, str(error.strerror or error))}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def without_waiting(path: str, flags: int) -> int:
    """For `open(..., opener=without_waiting)`: a pipe that has taken a file's place is not waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def sha256_of(path: str | os.PathLike) -> str:
    """Hexadecimal SHA-256 of a file of any size. Raises OSError for what cannot be read, or may never end."""
    digest = hashlib.sha256()
    with open(path, "rb", opener=without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "not a file", str(path))
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
