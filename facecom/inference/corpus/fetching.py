"""Photos behind URLs, as files for as long as they are looked at."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from facecom.errors import FacecomError
from facecom.inference.corpus.shards import is_url

#: Photos that are fetched together: they may be large.
AT_ONCE = 32


@contextlib.contextmanager
def local_copies(photos: Sequence[str]) -> Iterator[tuple[list[str], dict[int, str]]]:
    """(paths of the photos, {position: why one could not be fetched}); paths are themselves, URLs are fetched by fsspec
    and gone again afterwards.

    Raises FacecomError for a kind of URL whose package is missing.
    """
    urls = [position for position, photo in enumerate(photos) if is_url(photo)]
    if not urls:
        yield list(photos), {}
        return
    paths, failed = list(photos), {}
    with tempfile.TemporaryDirectory(prefix="facecom.") as folder:
        for start in range(0, len(urls), AT_ONCE):
            block = urls[start : start + AT_ONCE]
            for position, content in zip(block, fetched([photos[one] for one in block]), strict=True):
                path = Path(folder) / f"{position}{PurePosixPath(urlsplit(photos[position]).path).suffix[:10]}"
                paths[position] = str(path)
                if isinstance(content, bytes):
                    path.write_bytes(content)
                else:
                    failed[position] = f"could not be fetched ({type(content).__name__}: {content})"
        yield paths, failed


def fetched(urls: Sequence[str]) -> list[bytes | Exception]:
    """What is behind each URL, or why it is not known. Raises FacecomError where a package is missing."""
    import fsspec

    found: dict[str, bytes | Exception] = {}
    for scheme in dict.fromkeys(url.split("://")[0] for url in urls):
        mine = [url for url in urls if url.split("://")[0] == scheme]
        try:
            system = fsspec.filesystem(scheme)
        except (ImportError, ValueError) as error:  # ValueError: a scheme that nobody knows
            raise FacecomError(f"{mine[0]}: {error}") from error
        names = {system._strip_protocol(url): url for url in mine}
        try:
            contents = system.cat(list(names), on_error="return")
        except Exception as error:  # of a server that is not there, for all of them
            contents = dict.fromkeys(names, error)
        contents = contents if isinstance(contents, dict) else dict.fromkeys(names, contents)
        found |= {url: contents.get(name, FileNotFoundError(url)) for name, url in names.items()}
    return [found[url] for url in urls]
