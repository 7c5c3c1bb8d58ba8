"""From photos to answers, for one photo and for a million.

Decode (in worker processes) -> find and align the face -> networks in batches. What is in memory does not grow with
the number of photos: batches are handed on as they come. A list of photos can be cut into shards for several machines.
"""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from facecom.cli import start_worker, usable_workers
from facecom.data.images import longest_side, read_photo, shrink
from facecom.errors import FacecomError
from facecom.inference.ensemble import Answers, Ensemble
from facecom.models.networks import EMBEDDING_SIZE

Photo = str | os.PathLike | np.ndarray

BATCH_SIZE = 64

#: Fewer photos than this are decoded in this process: starting workers takes longer than they save.
WORTH_WORKERS = 400

BATCH_SIZE_YUNET = 16


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

    photos: paths, or RGB uint8 arrays [H, W, 3] of any sizes; workers: processes that decode (None: as many as are
    worth it); progress: text of a progress bar on a terminal.
    Raises FacecomError for an array that is no RGB uint8 photo.
    """
    for photo in photos:
        if isinstance(photo, np.ndarray):
            check_array(photo)
    modes = [mode for mode, *_ in ensemble.crops]
    longest = max(map(longest_side, modes))
    if "yunet" in modes:
        batch_size = min(batch_size, BATCH_SIZE_YUNET)
    loader = DataLoader(
        _Decoded(photos, longest),
        batch_size=batch_size,
        num_workers=default_workers(photos) if workers is None else usable_workers(workers),
        collate_fn=list,
        worker_init_fn=start_worker,
    )
    with tqdm(total=len(photos), desc=progress, unit="photo", disable=None if progress else True) as bar:
        for decoded in loader:
            good = [(row, photo, width) for row, photo, width in decoded if isinstance(photo, np.ndarray)]
            skipped = [(row, reason) for row, reason, _ in decoded if isinstance(reason, str)]
            answers = ensemble([photo for _, photo, _ in good]) if good else None
            scales = np.array([width / photo.shape[1] for _, photo, width in good], float)
            yield Batch(np.array([row for row, *_ in good], int), answers, skipped, scales)
            bar.update(len(decoded))


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


def default_workers(photos: Sequence[Photo]) -> int:
    """0 for arrays, a few photos, and where processes are not forked (a user's script may not be importable)."""
    paths = sum(not isinstance(photo, np.ndarray) for photo in photos)
    if paths < WORTH_WORKERS or multiprocessing.get_start_method() != "fork":
        return 0
    return usable_workers(min(2, os.cpu_count() or 1))


class _Decoded(Dataset):
    """(row, RGB uint8 photo or the reason why there is none, its width before it was scaled down)."""

    def __init__(self, photos: Sequence[Photo], longest: int):
        self.photos, self.longest = photos, longest

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, row: int) -> tuple[int, np.ndarray | str, int]:
        photo = self.photos[row]
        if not isinstance(photo, np.ndarray):
            try:
                photo = read_photo(photo)
            except FacecomError as error:
                return row, str(error).removeprefix(f"{photo}: "), 0
        return row, shrink(photo, self.longest), photo.shape[1]
