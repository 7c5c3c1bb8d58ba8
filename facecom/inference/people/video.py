"""A video: who comes, from when to when, and who they are; a row a track, one answer from all its faces together."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from facecom.data.images import LONGEST_SIDE_FACES, shrink
from facecom.inference.ensemble import Ensemble
from facecom.inference.faces import PHOTOS_AT_ONCE, faces_of
from facecom.inference.people.clips import pictures
from facecom.inference.people.tracks import GONE, Seen, Track, Tracker
from facecom.inference.search import nearest
from facecom.inference.submission import Known, Written, csv_of_rows, number

#: x, y, width, height: the surest face of the track, in pixels of the picture `at` seconds.
TRACK_COLUMNS = (
    "filename", "track", "first", "last", "faces", "at", "x", "y", "width", "height", "identity", "distance", "same",
    "face_confidence", "quality",
)  # fmt: skip

#: Seconds from one picture that is looked at to the next.
EVERY = 0.5


def seen_in(
    path: str | os.PathLike, siamese: Ensemble, every: float = EVERY, progress: str | None = None
) -> Iterator[tuple[float, Seen]]:
    """(seconds, its faces) of each picture that is looked at; memory does not grow with their number.

    Raises FacecomError as `data.video.pictures`.
    """
    found = iter(tqdm(pictures(path, every), desc=progress, unit="picture", disable=None if progress else True))
    while some := list(islice(found, PHOTOS_AT_ONCE)):
        decoded = [(row, shrink(photo, LONGEST_SIDE_FACES), photo.shape[1]) for row, (_, photo) in enumerate(some)]
        batch = faces_of(decoded, siamese)
        for row, (time, _) in enumerate(some):
            yield time, _faces_in(batch, row, siamese)


def _faces_in(batch, row: int, siamese: Ensemble) -> Seen:
    answers = batch.answers
    if answers is None:
        return Seen(*(np.zeros(shape, np.float32) for shape in ((0, 4), (0, 0), 0, 0, 0)))
    own = batch.rows == row
    told = siamese.can_tell(answers.confidence, answers.quality)
    return Seen(batch.boxes[own], answers.outputs[own], told[own], answers.confidence[own], answers.quality[own])


def tracks_of(
    path: str | os.PathLike, siamese: Ensemble, threshold: float, every: float = EVERY, progress: str | None = None
) -> list[Track]:
    """The people of a video, by when they come. threshold: distance up to which two faces are one person."""
    tracker = Tracker(threshold, gone=max(GONE, 6 * every))
    for time, faces in seen_in(path, siamese, every, progress):
        tracker.see(time, faces)
    return tracker.tracks()


def write_tracks(
    path: str | os.PathLike,
    gallery: Known,
    siamese: Ensemble,
    threshold: float,
    output: str | os.PathLike,
    every: float = EVERY,
    progress: str | None = None,
) -> Written:
    """A row a track, `TRACK_COLUMNS`: the nearest person of `gallery`; `same` is empty where no face of the track can
    be told. A video without a face gives no row."""
    tracks = tracks_of(path, siamese, threshold, every, progress)
    names, written = gallery.table.identity.to_numpy(), Written(skipped=list(gallery.skipped))
    name = Path(path).name
    with csv_of_rows(output, TRACK_COLUMNS, written) as write:
        if not tracks:
            written.skipped.append((name, "no face found"))
            return written
        rows, found = nearest(np.stack([track.template for track in tracks]), gallery.templates.faces)
        for place, track in enumerate(tracks):
            distance = float(found[place, 0])
            same = int(distance <= threshold) if track.told else ""
            _, at, box = track.best
            times = (f"{track.first:.2f}", f"{track.last:.2f}", track.faces, f"{at:.2f}")
            sure = number(track.confidence), number(track.quality)
            where = (f"{value:.1f}" for value in box)
            write((name, place + 1, *times, *where, names[rows[place, 0]], number(distance), same, *sure))
    return written
