"""A corpus from beginning to end: what is to be done, done here or spread by Ray, and what the folder then holds.

The folder holds `faces-*.parquet`, a file a shard, each there whole or not at all; `_corpus.json`, what made it; and
hidden `.lock` and `.todo`. Readers of Parquet pass over names that begin with a point or `_`.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from facecom.errors import FacecomError
from facecom.files import check_folder, check_writable, is_unfinished, write_error, write_whole
from facecom.inference.corpus.rows import needed
from facecom.inference.corpus.shards import Photos, Shard, write_todo
from facecom.inference.corpus.worker import Worker

ABOUT, TODO, LOCK = "_corpus.json", ".todo", ".lock"

#: Photos a shard: what is lost when a run is killed, and the rows of a file.
SHARD = 1000

#: A later run that finds fewer than this share of the photos of the last one is refused: a disk may be missing.
LEAST_FOUND = 0.5


@dataclass
class Done:
    """What a run did, in photos and faces. kept: photos whose shards were there already; removed: files of photos that
    are gone or changed; ignored: other files in the folders, by kind."""

    photos: int = 0
    faces: int = 0
    without: int = 0
    unreadable: int = 0
    kept: int = 0
    removed: int = 0
    ignored: dict[str, int] = field(default_factory=dict)


def embed_corpus(
    photos: Photos,
    output: str | os.PathLike,
    network: Mapping[str, Any],
    options: Mapping[str, Any],
    *,
    shard: int = SHARD,
    ray: bool = False,
    concurrency: int | None = None,
    progress: str | None = None,
) -> Done:
    """Every face of these photos into Parquet files in the folder `output`; only shards that are not there are done.

    network, options: see `Worker`; shard: photos a shard on the average; ray: spread over the machines that Ray knows,
    or this one's cores; concurrency: workers of Ray (None: as many as there are cores, or GPUs where the network runs
    there); progress: text of a progress bar. Memory grows with the number of shards, by some 200 bytes each, not with
    that of photos. Raises FacecomError for photos, weights and folders that cannot be used, for a folder that another
    run is at work on, and for one that was made in another way.
    """
    needed()
    output = Path(os.path.abspath(output))
    before = read_about(output)
    with _alone(output):
        for entry in output.iterdir():
            if is_unfinished(entry.name):  # of a run that was killed: nobody else is at work here
                entry.unlink()
        there = {path.stem for path in output.glob("faces-*.parquet")}
        todo, names, count = write_todo(output / TODO, photos, shard, there)
        if not count:
            raise FacecomError(f"{photos.source}: no photos")
        if before and count < LEAST_FOUND * before.get("photos", 0):
            raise FacecomError(
                f"{photos.source}: {count:,} photos, {before['photos']:,} at the last run: is every disk there? If so, "
                "choose another --output"
            )
        worker = None if ray and todo else Worker(output, output / TODO, dict(network), dict(options))
        about = {"source": photos.source, "shard": shard, "faces": options["faces"], **_made_by(worker, network)}
        _refuse_other(output, before, about)
        write_about(output, about | {"photos": before.get("photos", 0)})
        done = Done(kept=count - sum(one.photos for one in todo), ignored=dict(photos.ignored))
        with tqdm(total=sum(one.photos for one in todo), desc=progress, unit="photo",
                  disable=None if progress else True) as bar:  # fmt: skip
            for row in _on_ray(todo, output, network, options, concurrency) if worker is None else _here(todo, worker):
                done.photos += row["photos"]
                done.faces += row["faces"]
                done.without += row["without"]
                done.unreadable += row["unreadable"]
                bar.update(row["photos"])
        for name in there - names:
            (output / f"{name}.parquet").unlink()
            done.removed += 1
        write_about(output, about | {"photos": count})
        (output / TODO).unlink()
    return done


def _here(todo: Iterable[Shard], worker: Worker) -> Iterator[dict]:
    return map(worker.embed, todo)


def _on_ray(todo: list[Shard], output: Path, network, options, concurrency: int | None) -> Iterator[dict]:
    from facecom.inference.corpus.spread import spread

    return spread(todo, output, output / TODO, dict(network), dict(options), concurrency)


def _made_by(worker: Worker | None, network: Mapping[str, Any]) -> dict:
    """What embeddings depend on, as the metadata of the Parquet files say it, too."""
    from facecom.inference import ensemble
    from facecom.inference.gallery.rows import made_by_of

    if worker is not None:
        return {"made_by": worker.made_by}
    loaded = {name: value for name, value in network.items() if name not in ("device", "amp")}
    return {"made_by": made_by_of(ensemble.load(loaded.pop("weights"), "siamese", **loaded))}


def read_about(output: Path) -> dict:
    """What made the corpus in a folder; empty for a folder that is new or empty. Raises FacecomError for another."""
    try:
        about = json.loads((output / ABOUT).read_text(encoding="utf-8"))
        if not isinstance(about, dict) or not isinstance(about.get("photos", 0), int):
            raise ValueError("not what embed_corpus writes")
        return about
    except FileNotFoundError:
        if output.is_dir() and not all(
            entry.name in (TODO, LOCK) or is_unfinished(entry.name) for entry in output.iterdir()
        ):
            raise FacecomError(f"{output}: a folder of other files, no corpus: choose another --output") from None
        return {}
    except NotADirectoryError:
        raise FacecomError(f"{output}: a file, no folder: choose another --output") from None
    except (OSError, ValueError) as error:
        raise FacecomError(f"{output / ABOUT}: cannot be read: choose another --output") from error


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def write_about(output: Path, about: Mapping) -> None:
    with write_whole(output / ABOUT) as file:
        json.dump(about, file, indent=1)


def _refuse_other(output: Path, before: Mapping, about: Mapping) -> None:
    """Raises FacecomError where the folder was made in another way than is asked for now."""
    for name in about if before else ():
        if before.get(name) != about[name]:
            what = "other weights or flags" if name == "made_by" else f"{name} {before.get(name)}"
            now = "" if name == "made_by" else f", not {about[name]}"
            raise FacecomError(f"{output}: was made with {what}{now}: give the same, or choose another --output")


@contextlib.contextmanager
def _alone(output: Path) -> Iterator[None]:
    """The folder, made if need be, with no other run at work on it; the system lets go when the process ends."""
    check_folder(output)
    check_writable(output / ABOUT)
    try:
        output.mkdir(parents=True, exist_ok=True)
        with open(output / LOCK, "wb") as file:
            try:
                import fcntl

                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except ImportError:  # Windows: nobody watches
                pass
            except BlockingIOError:
                raise FacecomError(f"{output}: another run is at work on it: wait for it") from None
            yield
    except OSError as error:
        raise FacecomError(write_error(output, error)) from error
