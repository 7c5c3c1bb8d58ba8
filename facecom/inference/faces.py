"""Every face of every photo: detected, cut out upright, and answered for by an ensemble, in batches.

A face is cut out as a head photo of its own, so it takes the way that a photo of one person takes: the same finder,
the same crops, the same limits.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from facecom.conditions.impulses import without_impulses
from facecom.data.images import LONGEST_SIDE_FACES
from facecom.faces.detect import THRESHOLD, Faces, detect_each, head, largest, turns_of
from facecom.inference.ensemble import Answers, Ensemble
from facecom.inference.gender import verdicts, words
from facecom.inference.pipeline import Decoded, Photo, answered
from facecom.inference.search import nearest
from facecom.inference.submission import (
    IDENTITY_COLUMNS,
    PAIR_COLUMNS,
    Known,
    Written,
    csv_of_rows,
    number,
    refuse_nothing,
)
from facecom.inference.templates import Templates, distance_matrix

FACE_COLUMNS = ("filename", "face", "x", "y", "width", "height", "rotation", "face_score")
GENDER_FACE_COLUMNS = (*FACE_COLUMNS, "gender", "p_female", "face_confidence")
IDENTITY_FACE_COLUMNS = (*FACE_COLUMNS, *(name for name in IDENTITY_COLUMNS[1:] if name != "faces"))
PAIR_FACE_COLUMNS = (*PAIR_COLUMNS, "face1", "face2")

#: Photos that are decoded together: they may be large.
PHOTOS_AT_ONCE = 8


@dataclass(frozen=True)
class FaceBatch:
    """Faces of some photos, in the order of the photos and from the left within one.

    rows: int [F], positions in the list of photos; numbers: int [F], 1, 2, ... within a photo; boxes: float32 [F, 4],
    x, y, width, height in pixels of the photo; scores: float32 [F], the detector's, 0 to 1; turns: int [F], degrees
    clockwise; main: bool [F], the face that answers for its photo; answers: of these faces, None where there are none;
    without: photos without a face; skipped: (position, reason) of the unreadable.
    """

    rows: np.ndarray
    numbers: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    turns: np.ndarray
    main: np.ndarray
    answers: Answers | None
    without: list[int]
    skipped: list[tuple[int, str]]


def stream_faces(
    photos: Sequence[Photo],
    ensemble: Ensemble,
    *,
    threshold: float = THRESHOLD,
    batch_size: int = PHOTOS_AT_ONCE,
    workers: int | None = None,
    progress: str | None = None,
) -> Iterator[FaceBatch]:
    """Batches of faces, in the order of the photos; memory does not grow with their number.

    photos: paths, or RGB uint8 arrays [H, W, 3]; threshold: of the detector's score; the others: `pipeline.stream`.
    Raises FacecomError for an array that is no RGB uint8 photo, and where no detector is shipped.
    """

    def answer(part: list[Decoded]) -> FaceBatch:
        return faces_of(part, ensemble, threshold)

    yield from answered(photos, answer, LONGEST_SIDE_FACES, min(batch_size, PHOTOS_AT_ONCE), workers, progress)


def faces_of(part: Sequence[Decoded], ensemble: Ensemble, threshold: float = THRESHOLD) -> FaceBatch:
    """The faces of some photos. threshold: of the detector's score."""
    aligner = next(iter(ensemble.aligners.values()))
    rows, numbers, boxes, scores, turns, main, heads = [], [], [], [], [], [], []
    without = []
    skipped = [(row, reason) for row, reason, _ in part if isinstance(reason, str)]
    readable = [(row, photo, width) for row, photo, width in part if isinstance(photo, np.ndarray)]
    photos = [without_impulses(photo) for _, photo, _ in readable]
    detected = detect_each(photos, threshold, aligner.device, aligner.amp)
    for (row, photo, width), clean, seen in zip(readable, photos, detected, strict=True):
        faces = from_the_left(seen)
        if not len(faces.scores):
            without.append(row)
        answers = largest(faces, photo.shape)
        for place, (landmarks, score, box) in enumerate(zip(*faces, strict=True)):
            rows.append(row)
            numbers.append(place + 1)
            boxes.append(box * (width / photo.shape[1]))
            scores.append(score)
            turns.append(turns_of(landmarks[None])[0])
            main.append(place == answers)
            heads.append(head(clean, landmarks))
    answered = ensemble(heads) if heads else None
    return FaceBatch(
        np.array(rows, int), np.array(numbers, int), np.array(boxes, np.float32).reshape(-1, 4),
        np.array(scores, np.float32), np.array(turns, int), np.array(main, bool), answered, without, skipped,
    )  # fmt: skip


def from_the_left(faces: Faces) -> Faces:
    """The same faces in the order in which people read a group photo."""
    order = np.argsort(faces.boxes[:, 0], kind="stable")
    return Faces(*(column[order] for column in faces))


def collect_faces(photos: Sequence[Photo], ensemble: Ensemble, **kwargs) -> tuple[pd.DataFrame, list[tuple[int, str]]]:
    """A row a face: `photo` (position in the list), face (1, 2, ... from the left), x, y, width, height (pixels of the
    photo), rotation (degrees clockwise: 0, 90, 180, 270), face_score and face_confidence (0 to 1), main (bool: answers
    for its photo), and by task `embedding` (float32 [D]), `quality` and `told` or `p_female`; and the unreadable photos
    with their reasons. kwargs: as for `stream_faces`."""
    parts, skipped = [], []
    for batch in stream_faces(photos, ensemble, **kwargs):
        skipped += batch.skipped
        if batch.answers is None:
            continue
        answers = batch.answers
        x, y, width, height = batch.boxes.T
        part = {"photo": batch.rows, "face": batch.numbers, "x": x, "y": y, "width": width, "height": height}
        part |= {"rotation": batch.turns, "face_score": batch.scores, "face_confidence": answers.confidence}
        part |= {"main": batch.main}
        if ensemble.task == "gender":
            part |= {"p_female": answers.outputs}
        else:
            told = ensemble.can_tell(answers.confidence, answers.quality)
            part |= {"quality": answers.quality, "told": told, "embedding": list(answers.outputs)}
        parts.append(pd.DataFrame(part))
    columns = ["photo", "face", "x", "y", "width", "height", "rotation", "face_score", "face_confidence", "main"]
    columns += ["p_female"] if ensemble.task == "gender" else ["quality", "told", "embedding"]
    return (pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)), skipped


def write_gender_faces(table: pd.DataFrame, gender: Ensemble, threshold: float, output, **options) -> Written:
    """A row a face of the photos of `table` (`path`, `file`). Raises FacecomError where no photo can be read."""
    files, written = table.file.to_numpy(), Written()
    with csv_of_rows(output, GENDER_FACE_COLUMNS, written) as write:
        for batch in stream_faces(table.path.to_list(), gender, **options):
            note_skipped(written, files, batch)
            if batch.answers is None:
                continue
            found = words(verdicts(batch.answers, gender, threshold))
            for row, where in enumerate(_where(files, batch)):
                answers = batch.answers
                write((*where, found[row], number(answers.outputs[row]), number(answers.confidence[row])))
        refuse_no_photo(written, len(table))
    return written


def write_identity_faces(
    table: pd.DataFrame, gallery: Known, siamese: Ensemble, threshold: float, output, **options
) -> Written:
    """A row a face of the photos of `table` (`path`, `file`): the nearest person of `gallery`, whose photos each stand
    for the largest face near their middle. Raises FacecomError where no photo of `table` can be read."""
    files, names = table.file.to_numpy(), gallery.table.identity.to_numpy()
    written = Written(skipped=list(gallery.skipped))
    with csv_of_rows(output, IDENTITY_FACE_COLUMNS, written) as write:
        for batch in stream_faces(table.path.to_list(), siamese, **options):
            note_skipped(written, files, batch)
            if batch.answers is None:
                continue
            templates = siamese.templates(batch.answers)
            rows, found = (column[:, 0] for column in nearest(templates, gallery.templates))
            told = templates.tell(found)
            for row, where in enumerate(_where(files, batch)):
                same = int(found[row] <= threshold) if told[row] else ""
                sure = number(batch.answers.confidence[row]), number(batch.answers.quality[row])
                write((*where, names[rows[row]], number(found[row]), same, *sure))
        refuse_no_photo(written, len(table))
    return written


def write_pair_faces(
    pairs: pd.DataFrame, folder: str | os.PathLike, siamese: Ensemble, threshold: float, output, **options
) -> Written:
    """A row a pair of `pairs` (`image1`, `image2`) in which both photos have a face: the best match among the faces of
    both, preferably of those that can be told. values: float [N, 2], distance (NaN where left out) and verdict (NaN for
    cannot tell). Raises FacecomError where that leaves none."""
    files = np.unique(np.concatenate([pairs.image1, pairs.image2]))
    faces, skipped = collect_faces([Path(folder) / file for file in files], siamese, **options)
    of_file = dict(tuple(faces.groupby("photo")))
    values, written = np.full((len(pairs), 2), np.nan), Written()
    written.skipped = [(files[row], reason) for row, reason in skipped]
    unread = {row for row, _ in skipped}
    written.skipped += [(file, "no face found") for row, file in enumerate(files) if row not in of_file.keys() | unread]
    position = {file: row for row, file in enumerate(files)}
    with csv_of_rows(output, PAIR_FACE_COLUMNS, written) as write:
        for number_of_pair, (image1, image2) in enumerate(zip(pairs.image1, pairs.image2, strict=True)):
            first, second = of_file.get(position[image1]), of_file.get(position[image2])
            if first is None or second is None:
                continue
            i, j, distance, told = best_match(first, second)
            values[number_of_pair] = distance, float(distance <= threshold) if told else np.nan
            same = int(distance <= threshold) if told else ""
            write((image1, image2, number(distance), same, first.face.iloc[i], second.face.iloc[j]))
        refuse_nothing(written, "pairs")
    written.values = values
    return written


def best_match(first: pd.DataFrame, second: pd.DataFrame) -> tuple[int, int, float, bool]:
    """(row of first, row of second, distance, whether both can be told) of the two nearest faces of two photos; faces
    that cannot be told only where there are no others. first, second: rows of `collect_faces`."""
    apart = distance_matrix(*(Templates(np.stack(part.embedding.to_list())) for part in (first, second)))
    told = first.told.to_numpy(bool)[:, None] & second.told.to_numpy(bool)[None]
    i, j = np.unravel_index(np.argmin(np.where(told, apart, apart + 2 * told.any())), apart.shape)
    return int(i), int(j), float(apart[i, j]), bool(told[i, j])


def _where(files: np.ndarray, batch: FaceBatch) -> Iterator[tuple]:
    """The columns `FACE_COLUMNS` of each face."""
    for row, face, box, turn, score in zip(
        batch.rows, batch.numbers, batch.boxes, batch.turns, batch.scores, strict=True
    ):
        yield (files[row], face, *(f"{value:.1f}" for value in box), turn, number(score))


def note_skipped(written: Written, files: np.ndarray, batch: FaceBatch) -> None:
    """The unreadable photos of a batch, and those without a face, among what was left out."""
    written.skipped += [(files[row], reason) for row, reason in batch.skipped]
    written.skipped += [(files[row], "no face found") for row in batch.without]


def refuse_no_photo(written: Written, count: int) -> None:
    """Raises FacecomError where not one photo could be read; photos without a face are an answer."""
    if not written.rows and sum(reason != "no face found" for _, reason in written.skipped) >= count:
        refuse_nothing(written, "photos")
