"""The rows of a submission: who is on each photo, which photos show the same person, which gender.

Files are written whole or not at all, rows as they come. Figures that nobody knows (no face looked for, no quality
head, cannot tell) are empty. `options` are those of `pipeline.stream`.
"""

import contextlib
import csv
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from facecom.errors import FacecomError
from facecom.files import place_of, remove_file, write_whole
from facecom.inference.ensemble import Answers, Ensemble
from facecom.inference.gender import verdicts, words
from facecom.inference.pipeline import collect, stream
from facecom.inference.search import nearest
from facecom.inference.templates import Templates, distances

GENDER_COLUMNS = ("filename", "gender", "p_female", "face_confidence")
PAIR_COLUMNS = ("image1", "image2", "distance", "same")
IDENTITY_COLUMNS = ("filename", "identity", "distance", "same", "face_confidence", "faces", "quality")

#: All pairs of more photos than this are millions of rows that nobody asked for.
MOST_FOR_ALL_PAIRS = 2000

#: Function that writes one row.
Write = Callable[[Sequence], None]


@dataclass
class Written:
    """rows: how many were written; skipped: (file, reason) of the unreadable; values: what the function below says."""

    rows: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)
    values: Answers | np.ndarray | None = None


@dataclass(frozen=True)
class Known:
    """The people to compare with. table: `path`, `file`, `identity`, a row a photo; templates: of these;
    skipped: (file, reason) of those that could not be read, whose templates are NaN."""

    table: pd.DataFrame
    templates: Templates
    skipped: list[tuple[str, str]] = field(default_factory=list)


def known_people(gallery: pd.DataFrame, siamese: Ensemble, **options) -> Known:
    """The people of a folder: `path`, `file`, `identity`. Raises FacecomError where no photo can be read."""
    answers, skipped = collect(gallery.path.to_list(), siamese, **options | {"progress": None})
    templates = siamese.templates(answers)
    if not templates.readable.any():
        raise FacecomError("no photo of the gallery could be read: check its folder")
    return Known(gallery, templates, [(gallery.file.iloc[row], reason) for row, reason in skipped])


def write_genders(table: pd.DataFrame, gender: Ensemble, threshold: float, output, **options) -> Written:
    """A row a photo of `table` (`path`, `file`). values: float32 [N, 2], probability of female (NaN for the unreadable)
    and verdict (1 female, 0 male, NaN for cannot tell). Raises FacecomError where none can be read."""
    files, values = table.file.array, np.full((len(table), 2), np.nan, np.float32)
    written = Written(values=values)
    with csv_of_rows(output, GENDER_COLUMNS, written) as write:
        for batch in stream(table.path.array, gender, **options):
            _note(written, files, batch.skipped)
            if batch.answers is None:
                continue
            found = verdicts(batch.answers, gender, threshold)
            values[batch.rows] = np.stack([batch.answers.outputs, found], 1)
            columns = zip(batch.rows, words(found), batch.answers.outputs, batch.answers.confidence, strict=True)
            for row, word, p_female, confidence in columns:
                write((files[row], word, number(p_female), number(confidence)))
        refuse_nothing(written, "photos")
    return written


def write_identities(
    table: pd.DataFrame, siamese: Ensemble, threshold: float, output: str | os.PathLike, **options
) -> Written:
    """A row a photo of `table` (`path`, `file`, `identity`, `condition`): the nearest person among its clean photos,
    the photo itself left in. values: the answers for all N photos. Raises FacecomError without a readable clean one."""
    answers, skipped = collect(table.path.to_list(), siamese, **options)
    clean = np.flatnonzero((table.condition == "clean").to_numpy() & ~np.isnan(answers.outputs).any(1))
    if not len(clean):
        raise FacecomError("no clean photo could be read, so there is nobody to compare with: check the folder")
    files, written = table.file.to_numpy(), Written(values=answers)
    _note(written, files, skipped)
    names = table.identity.to_numpy()[clean]
    with csv_of_rows(output, IDENTITY_COLUMNS, written) as write:
        _identity_rows(write, files, answers, siamese, threshold, siamese.templates(answers)[clean], names)
    return written


def write_identified(
    table: pd.DataFrame, gallery: Known, siamese: Ensemble, threshold: float, output, **options
) -> Written:
    """A row a photo of `table` (`path`, `file`): the nearest person of `gallery`.

    values: float [N, 2], distance (NaN for the unreadable) and row of the nearest gallery photo; nothing else that is
    held grows with the photos of `table`. Raises FacecomError where no photo of `table` can be read.
    """
    files, names = table.file.array, gallery.table.identity.to_numpy()
    values = np.full((len(table), 2), np.nan)
    written = Written(skipped=list(gallery.skipped), values=values)
    with csv_of_rows(output, IDENTITY_COLUMNS, written) as write:
        for batch in stream(table.path.array, siamese, **options):
            _note(written, files, batch.skipped)
            if batch.answers is not None:
                args = (files[batch.rows], batch.answers, siamese, threshold, gallery.templates, names)
                values[batch.rows] = _identity_rows(write, *args)
        refuse_nothing(written, "photos")
    return written


def write_pairs(
    pairs: pd.DataFrame, folder: str | os.PathLike, siamese: Ensemble, threshold: float, output, **options
) -> Written:
    """A row a pair of `pairs` (`image1`, `image2`: paths, relative ones from `folder`); pairs with an unreadable photo
    are left out. values: float [N, 2], distance (NaN where left out) and verdict (NaN for cannot tell). Raises
    FacecomError where that leaves none."""
    files, inverse = np.unique(np.concatenate([pairs.image1, pairs.image2]), return_inverse=True)
    answers, skipped = collect([Path(folder) / file for file in files], siamese, **options)
    first, second = inverse.reshape(2, -1)
    templates = siamese.templates(answers)
    found = distances(templates[first], templates[second])
    same = _verdicts(found, threshold, templates[first].tell(found) & templates[second].tell(found))
    written = Written(values=np.stack([found, same], 1))
    _note(written, files, skipped)
    with csv_of_rows(output, PAIR_COLUMNS, written) as write:
        for row in np.flatnonzero(~np.isnan(found)):
            write((files[first[row]], files[second[row]], number(found[row]), _verdict(same[row])))
        refuse_nothing(written, "pairs")
    return written


def write_all_pairs(
    table: pd.DataFrame, siamese: Ensemble, threshold: float, output, neighbours: int | None = None, **options
) -> Written:
    """A row for every two photos of `table` (`path`, `file`), or for each photo and its nearest `neighbours`.

    Raises FacecomError for more than 2,000 photos without `neighbours`, and for fewer than two that can be read.
    """
    count = len(table)
    if neighbours is None and count > MOST_FOR_ALL_PAIRS:
        pairs = count * (count - 1) // 2
        raise FacecomError(
            f"{count:,} photos make {pairs:,} pairs: --nearest K writes the K nearest of each photo only"
        )
    answers, skipped = collect(table.path.to_list(), siamese, **options)
    templates = siamese.templates(answers)
    readable = np.flatnonzero(templates.readable)
    if len(readable) < 2:
        raise FacecomError(f"photos that can be read: {len(readable)}; a comparison needs two")
    files, written = table.file.to_numpy(), Written()
    _note(written, files, skipped)
    files, templates = files[readable], templates[readable]
    if neighbours is None:
        blocks: Iterable[np.ndarray] = (np.arange(row + 1, len(files)) for row in range(len(files)))
    else:
        blocks = nearest(templates, templates, neighbours, first_row=0)[0]
    with csv_of_rows(output, PAIR_COLUMNS, written) as write:
        for row, others in enumerate(blocks):
            found = distances(templates[row], templates[others])
            same = _verdicts(found, threshold, templates[others].tell(found) & templates[row].tell(found))
            for other, distance, verdict in zip(others, found, same, strict=True):
                write((files[row], files[other], number(distance), _verdict(verdict)))
    return written


def write_skipped(output: str | os.PathLike, skipped: Sequence[tuple[str, str]]) -> Path | None:
    """`<output>.skipped.csv`, `filename,reason`; None, and a list left by an earlier run removed, when all was read.

    Beside a device or a pipe no list is written: its lines go to stderr.
    """
    path = Path(f"{output}.skipped.csv")
    if place_of(output).stream:
        for file, reason in skipped:
            print(f"left out: {file}: {reason}", file=sys.stderr)
        return None
    if not skipped:
        remove_file(path)
        return None
    with csv_of_rows(path, ("filename", "reason"), Written()) as write:
        for row in skipped:
            write(row)
    return path


def number(value: float) -> str:
    """Four decimals; empty for NaN."""
    return "" if np.isnan(value) else f"{value:.4f}"


@contextlib.contextmanager
def csv_of_rows(path: str | os.PathLike, columns: Sequence[str], written: Written) -> Iterator[Write]:
    """A CSV file with these columns, whole or not at all; gives the function that writes a row and counts it."""
    with write_whole(path, newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        quoting = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the other lets a bare \r through
        writer.writerow(columns)

        def write(row):
            (quoting if any(isinstance(one, str) and "\r" in one for one in row) else writer).writerow(row)
            written.rows += 1

        yield write


def refuse_nothing(written: Written, what: str) -> None:
    """Raises FacecomError where no row was written: the file then does not appear."""
    if not written.rows:
        file, reason = written.skipped[0]
        raise FacecomError(f"none of the {what} could be read: check the folder; the first: {file}: {reason}")


def _note(written: Written, files: np.ndarray, skipped: Sequence[tuple[int, str]]) -> None:
    written.skipped += [(files[row], reason) for row, reason in skipped]


def _verdicts(found: np.ndarray, threshold: float, told: np.ndarray) -> np.ndarray:
    """1 for the same person, 0 for another, NaN for cannot tell: float [N]."""
    return np.where(told, found <= threshold, np.nan)


def _verdict(value: float) -> int | str:
    return "" if np.isnan(value) else int(value)


def _identity_rows(write: Write, files, answers: Answers, siamese, threshold, gallery: Templates, names) -> np.ndarray:
    """Writes a row a readable photo; returns their distances and rows of the gallery, float [n, 2]."""
    templates = siamese.templates(answers)
    readable = np.flatnonzero(templates.readable)
    rows, found = (column[:, 0] for column in nearest(templates[readable], gallery))
    same = _verdicts(found, threshold, templates[readable].tell(found))
    for row, name, distance, verdict in zip(readable, names[rows], found, same, strict=True):
        face = (number(answers.confidence[row]), answers.faces[row], number(answers.quality[row]))
        write((files[row], name, number(distance), _verdict(verdict), *face))
    return np.stack([found, rows], 1)
