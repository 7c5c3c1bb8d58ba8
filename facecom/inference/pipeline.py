"""From photos to answers, for one photo and for a million.

Each thread takes a batch all the way: decode -> find and align the face -> networks. What is in memory does not grow
with the number of photos: batches are handed on as they come. A list of photos can be cut into shards for several
machines.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from tqdm import tqdm

from facecom.data.images import longest_side, read_photo, shrink
from facecom.errors import FacecomError
from facecom.inference.ensemble import Answers, Ensemble
from facecom.models.networks import EMBEDDING_SIZE
from facecom.threads import side_by_side

Photo = str | os.PathLike | np.ndarray
Result = TypeVar("Result")

BATCH_SIZE = 64

#: Fewer photos than this are not shared out among threads.
SMALLEST_SHARE = 4

#: The most threads by default: each holds a batch of photos.
MOST_WORKERS = 8

BATCH_SIZE_YUNET = 16


#: A photo's row, the photo as RGB uint8 [H, W, 3] or the reason why there is none, and its width before it was scaled
#: down.
Decoded = tuple[int, np.ndarray | str, int]


@dataclass(frozen=True)
class Batch:
    """rows: int [n], positions in the list of photos; answers: of these; skipped: (position, reason) of others; scales:
    float [n], how many pixels of the file one pixel of what the network was given is."""

    rows: np.ndarray
    answers: Answers | None
    skipped: list[tuple[int, str]]
    scales: np.ndarray


def stream(
    photos: Sequence[Photo],
    ensemble: Ensemble,
    *,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    progress: str | None = None,
) -> Iterator[Batch]:
    """Batches of answers, in the order of the photos; unreadable ones are left out and named.

    photos: paths, or RGB uint8 arrays [H, W, 3] of any sizes; workers: threads that answer, each for a batch, 0 for
    none beside this one (None: `default_workers`); progress: text of a progress bar on a terminal.
    Raises FacecomError for an array that is no RGB uint8 photo.
    """
    modes = [mode for mode, *_ in ensemble.crops]
    if "yunet" in modes:
        batch_size = min(batch_size, BATCH_SIZE_YUNET)

    def answer(part: list[Decoded]) -> Batch:
        good = [(row, photo, width) for row, photo, width in part if isinstance(photo, np.ndarray)]
        skipped = [(row, reason) for row, reason, _ in part if isinstance(reason, str)]
        answers = ensemble([photo for _, photo, _ in good]) if good else None
        scales = np.array([width / photo.shape[1] for _, photo, width in good], float)
        return Batch(np.array([row for row, *_ in good], int), answers, skipped, scales)

    yield from answered(photos, answer, max(map(longest_side, modes)), batch_size, workers, progress)


def collect(photos: Sequence[Photo], ensemble: Ensemble, **kwargs) -> tuple[Answers, list[tuple[int, str]]]:
    """Answers for all photos at once, NaN (and no faces) for the unreadable, and those with their reasons.

    kwargs: as for `stream`. What a Siamese network says about a million photos takes 1 GB.
    """
    count, skipped = len(photos), []
    outputs: np.ndarray | None = None
    described: np.ndarray | None = None
    faces = np.zeros(count, int)
    quality, confidence = np.full((2, count), np.nan, np.float32)
    for batch in stream(photos, ensemble, **kwargs):
        skipped += batch.skipped
        if batch.answers is None:
            continue
        if outputs is None:
            outputs = _unknown(count, batch.answers.outputs)
            described = None if batch.answers.photos is None else _unknown(count, batch.answers.photos)
        outputs[batch.rows], quality[batch.rows] = batch.answers.outputs, batch.answers.quality
        confidence[batch.rows], faces[batch.rows] = batch.answers.confidence, batch.answers.faces
        if described is not None:
            described[batch.rows] = batch.answers.photos
    if outputs is None:  # nothing was readable, so no network said how wide its embedding is
        outputs = np.full((count,) if ensemble.task == "gender" else (count, EMBEDDING_SIZE), np.nan, np.float32)
    return Answers(outputs, quality, confidence, faces, described), skipped


def _unknown(count: int, part: np.ndarray) -> np.ndarray:
    """NaN for `count` photos, shaped as these answers for a batch of them."""
    return np.full((count, *part.shape[1:]), np.nan, np.float32)


def check_array(photo: np.ndarray) -> None:
    """Raises FacecomError for an array that is no RGB uint8 photo [H, W, 3]."""
    if photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and photo.size:
        return
    raise FacecomError(
        f"a photo must be an RGB uint8 array [H, W, 3], this one is {photo.dtype} {list(photo.shape)}: "
        "scale to 0..255, repeat grey three times, and turn what OpenCV read from BGR to RGB with image[:, :, ::-1]"
    )


def name_of(photo: Photo, position: int) -> str:
    """What a photo is called in a table: its path, or the position of an array in the list."""
    return str(position) if isinstance(photo, np.ndarray) else str(photo)


def answered(
    photos: Sequence[Photo],
    answer: Callable[[list[Decoded]], Result],
    longest: int,
    batch_size: int,
    workers: int | None = None,
    progress: str | None = None,
) -> Iterator[Result]:
    """What `answer` says about the photos in batches, in their order.

    longest: what sides are scaled down to, pixels; batch_size: at most; the others: as for `stream`.
    Raises FacecomError for an array that is no RGB uint8 photo.
    """
    for photo in photos:
        if isinstance(photo, np.ndarray):
            check_array(photo)
    workers = default_workers() if workers is None else workers
    parts = shared_out(len(photos), batch_size, workers)

    def take(part: range) -> Result:
        return answer([_decode(photos, row, longest) for row in part])

    with tqdm(total=len(photos), desc=progress, unit="photo", disable=None if progress else True) as bar:
        for part, result in zip(parts, side_by_side(take, parts, min(workers, len(parts))), strict=True):
            yield result
            bar.update(len(part))


def shared_out(count: int, batch_size: int, workers: int) -> list[range]:
    """The rows of each batch, in order. Towards the end batches become smaller, down to a quarter, so that no thread
    works on a whole one after the others are done (guided self-scheduling: Polychronopoulos and Kuck, 1987)."""
    workers = max(1, workers)
    if count <= workers * batch_size:  # a batch each
        batch_size = least = min(batch_size, max(SMALLEST_SHARE, -(-count // workers)))
    else:
        least = -(-batch_size // 4) if workers > 1 else batch_size
    parts, start = [], 0
    while start < count:
        size = min(batch_size, max(least, (count - start) // (2 * workers)))
        parts.append(range(start, min(start + size, count)))
        start = parts[-1].stop
    return parts


def _decode(photos: Sequence[Photo], row: int, longest: int) -> Decoded:
    photo = photos[row]
    if not isinstance(photo, np.ndarray):
        try:
            photo = read_photo(photo)
        except FacecomError as error:
            return row, str(error).removeprefix(f"{photo}: "), 0
    return row, shrink(photo, longest), photo.shape[1]


def default_workers() -> int:
    """Threads that answer: as many as this process has cores to compute with, `MOST_WORKERS` at most."""
    return min(MOST_WORKERS, torch.get_num_threads())
