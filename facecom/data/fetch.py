"""Files from the network: resumed where they stopped, whole or not at all, and the same ones as the first time.

Beside a file `X` lies `X.json`: where it came from, its size and SHA-256 as first downloaded. Until it is complete it
is called `X.part`.
"""

import codecs
import contextlib
import glob
import http.client
import json
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from facecom.errors import FacecomError
from facecom.files import place_of, sha256_of, write_error, write_whole

TIMEOUT = 30  # seconds without a byte

CHUNK = 1 << 18


def fetch(url: str, path: str | Path, remedy: str, quiet: bool = False) -> bool:
    """Download `url` to `path`, or go on where an earlier call was interrupted.

    remedy: what to do without it, for the error. Returns False when the file was there already, and is the one first
    downloaded. Raises FacecomError otherwise, for a broken connection (the part stays, to go on from) and a full disk
    (the part goes).
    """
    path = _place(path)
    if _is_there(path):
        return False
    part = _part(path)
    with _folder(path):
        _fetch(url, path, part, remedy, quiet)
    return True


def _fetch(url: str, path: Path, part: Path, remedy: str, quiet: bool) -> None:
    try:
        complete = _receive(url, path, part, quiet)
    except urllib.error.HTTPError as error:
        raise FacecomError(f"{url}: the server answers {error.code} {error.reason}; {remedy}") from error
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise FacecomError(f"{url}: no connection ({reason}); run again to go on, or {remedy}") from error
    except OSError as error:
        _discard(path)
        raise FacecomError(write_error(path, error)) from error
    if not complete:
        raise FacecomError(f"{url}: the connection broke after {part.stat().st_size:,} bytes; run again to go on")
    _settle(part, path, url, remedy)


def fetch_google_drive(file_id: str, path: str | Path, remedy: str, quiet: bool = False) -> bool:
    """`fetch` for a file of Google Drive, through gdown (its confirmation page for large files included)."""
    return _gdown(f"https://drive.google.com/uc?id={file_id}", _place(path), remedy, quiet)


def _gdown(url: str, path: Path, remedy: str, quiet: bool) -> bool:
    if _is_there(path):
        return False
    with _folder(path):
        _ask_gdown(url, path, remedy, quiet)
    return True


def _ask_gdown(url: str, path: Path, remedy: str, quiet: bool) -> None:
    import gdown  # slow to import
    import requests

    part = _part(path)
    try:
        silent = quiet or not sys.stderr.isatty()
        gdown.download(url, str(part), quiet=silent, resume=True, use_cookies=False, timeout=TIMEOUT)
    except gdown.exceptions.FileURLRetrievalError as error:
        reason = " ".join(str(error).split()).removeprefix("Failed to retrieve file url: ").partition(". ")[0]
        way = "try tomorrow, or in a browser"
        raise FacecomError(f"{url}: Google Drive does not hand it out ({reason[:160]}); {way}; {remedy}") from error
    except gdown.exceptions.DownloadError as error:
        raise FacecomError(f"{url}: the connection broke; run again to go on, or {remedy}") from error
    except requests.HTTPError as error:
        answer = error.response
        raise FacecomError(f"{url}: the server answers {answer.status_code} {answer.reason}; {remedy}") from error
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        raise FacecomError(f"{url}: no connection; run again to go on, or {remedy}") from error
    except OSError as error:
        _discard(path)
        raise FacecomError(write_error(path, error)) from error
    _settle(part, path, url, remedy)


def _receive(url: str, path: Path, part: Path, quiet: bool) -> bool:
    """Bytes from the server to the end of `part`; whether all of them came."""
    have = part.stat().st_size if part.exists() else 0
    record = _record(path)
    request = urllib.request.Request(url, headers={"User-Agent": "facecom"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if record.get("validator"):  # a file that changed on the server meanwhile comes whole
            request.add_header("If-Range", record["validator"])
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        claimed = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if error.code == 416 and claimed == str(have):  # the part was complete already
            return True
        if error.code == 416:
            part.unlink()
            return _receive(url, path, part, quiet)
        raise
    with answer:
        resumed = answer.status == 206
        start = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = start + int(length) if length else None
        validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
        if validator and not validator.startswith("W/"):  # If-Range takes strong ones only
            _write_record(path, record | {"url": url, "validator": validator})
        silent = True if quiet else None
        bar = tqdm(desc=path.name, total=total, initial=start, unit="B", unit_scale=True, disable=silent)
        with bar, open(part, "ab" if resumed else "wb") as file:
            while chunk := answer.read(CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
    return total is None or part.stat().st_size == total


@contextlib.contextmanager
def _folder(path: Path) -> Iterator[None]:
    """The folder of a file, made if need be; what is empty of it after an exception is gone again."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise FacecomError(write_error(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            for folder in made:
                folder.rmdir()


def _settle(part: Path, path: Path, url: str, remedy: str) -> None:
    """Check the complete part, record it, and give it its name."""
    with open(part, "rb") as file:
        start = file.read(512)
    if _is_text(start):
        _discard(path)
        what = "a web page" if start.strip() else "nothing"
        raise FacecomError(f"{url}: the server sent {what} instead of the file; try again later, or {remedy}")
    digest, record = sha256_of(part), _record(path)
    if record.get("sha256", digest) != digest:
        part.unlink()
        raise FacecomError(
            f"{url}: not the file that was first downloaded (SHA-256 {digest[:12]}…, was "
            f"{record['sha256'][:12]}…); remove {_record_path(path)} to accept the new one"
        )
    _write_record(path, {"url": url, "size": part.stat().st_size, "sha256": digest})
    part.replace(path)


def _is_text(start: bytes) -> bool:
    """Whether a file that begins so is text, or empty: a server's page, a pointer of Git LFS, no archive or weights."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(start)  # the last character may be cut
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() or character == "\ufeff" for character in text)


def _is_there(path: Path) -> bool:
    """Whether `path` is complete; one that came another way is recorded as it is."""
    if not path.is_file():
        return False
    found = {"size": path.stat().st_size, "sha256": sha256_of(path)}
    record = _record(path)
    if "sha256" not in record:
        _write_record(path, {"url": None, **found})
    elif any(record[key] != found[key] for key in found):
        raise FacecomError(f"{path}: no longer the file that was downloaded; remove it to fetch it again")
    return True


def _discard(path: Path) -> None:
    """Remove what an unfinished download has left, gdown's own part too."""
    for left in path.parent.glob(f"{glob.escape(_part(path).name)}*"):
        left.unlink()
    if "sha256" not in _record(path):
        _record_path(path).unlink(missing_ok=True)


def _place(path: str | Path) -> Path:
    """The file that `path` leads to, links followed. Raises FacecomError for what is no place to keep a file, and where
    something else than a file has the name of its part."""
    place = place_of(path)
    part = _part(place.path)
    if place.stream or part.is_symlink() or (part.exists() and not part.is_file()):
        wrong = path if place.stream else part
        raise FacecomError(f"cannot write {wrong}: something other than a file is there; choose another name")
    return place.path


def _part(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _record(path: Path) -> dict:
    try:
        record = json.loads(_record_path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise FacecomError(f"{_record_path(path)}: cannot be read; remove it") from error
    return record if isinstance(record, dict) else {}


def _write_record(path: Path, record: dict) -> None:
    with write_whole(_record_path(path)) as file:
        json.dump(record, file, indent=2)
        file.write("\n")
