"""From photos to the rows of a gallery: whose, which files, whether they are still the same, and what was seen."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facecom.data.folders import flat_table, listed_table, task_b_table
from facecom.data.listing import is_photo
from facecom.errors import FacecomError
from facecom.faces.alignment import box_of
from facecom.files import sha256_of
from facecom.inference.ensemble import Ensemble
from facecom.inference.gallery.store import State, schema_of
from facecom.inference.pipeline import Batch

if TYPE_CHECKING:
    import pyarrow


@dataclass
class Added:
    """What `Gallery.add` did, in photos. unreadable: (file, reason). Of `add_faces`, without: how many show no face, or
    could not be read; crowded: how many show several, of which the largest near the middle counts."""

    added: int = 0
    unchanged: int = 0
    replaced: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    without: int = 0
    crowded: int = 0


def photos_of(photos: str | os.PathLike | Sequence[str | os.PathLike], name: str | None) -> Iterator[tuple[str, str]]:
    """(identity, absolute path) of what `Gallery.add` is given. Raises FacecomError without any photo."""
    one = Path(photos) if isinstance(photos, str | os.PathLike) else None
    check_name(name)
    if name is None:
        if one is None:
            raise FacecomError("photos need a name: give one, or a folder of folders, one a person")
        if one.is_file() and is_photo(one):
            raise FacecomError(f"{one}: a photo, not a folder of people: say whose it is (--name), or give the folder "
                               "above the folder that it lies in")  # fmt: skip
        table = task_b_table(one)
        table = table[table.condition == "clean"]
    elif one is not None and one.is_dir():
        table = flat_table(one).assign(identity=name.strip())
        table = table[table.condition == "clean"]
    else:
        named = [one] if one is not None else [Path(photo) for photo in photos]  # type: ignore[union-attr]
        table = listed_table(named).assign(identity=name.strip())
    if not len(table):
        raise FacecomError(f"{photos}: only distorted copies: give clean photos")
    return zip(table.identity, map(os.path.abspath, table.path), strict=True)


def check_name(name: str | None) -> None:
    """Raises FacecomError for a person's name that is empty, or that a list cannot show in a line."""
    if name is not None and not name.strip():
        raise FacecomError("a person needs a name: give one that is not empty")
    if name is not None and any(unicodedata.category(one) in ("Cc", "Cs") for one in name):
        raise FacecomError(f"{name!r}: no name that a list can show: leave out line ends and what is no text")


def made_by_of(siamese: Ensemble) -> dict[str, str]:
    """What embeddings depend on: SHA-256 of the weight files as they were loaded (they may be others by now), and how
    they look at a photo."""
    for member in siamese.members:
        if not Path(member.path).is_file():
            raise FacecomError(f"{member.path}: a gallery needs weights that are a file: give --weights")
    weights = " ".join(member.sha256 or sha256_of(member.path) for member in siamese.members)
    mirrored = [member.preprocessing.get("mirror", False) for member in siamese.members]
    ways = (
        f"{mode}, {size} px, {frame}{', mirrored' if mirror else ''}"
        for (mode, size, frame), mirror in zip(siamese.crops, mirrored, strict=True)
    )
    return {"weights": weights, "prepared": "; ".join(ways)}


def rows_of(
    keys: Sequence[tuple[str, str]], states: Sequence[State | None], batch: Batch, made_by: dict
) -> "pyarrow.Table":
    """The rows of a batch of photos. states: None for those that are to be left out."""
    import pyarrow as pa

    answers, count = batch.answers, len(keys)
    boxes = np.full((count, 4), np.nan, np.float32)
    if answers.landmarks is not None:
        for row, landmarks in enumerate(answers.landmarks * batch.scales[:, None, None]):
            if np.isfinite(landmarks).all():
                boxes[row] = box_of(landmarks)
    size = answers.outputs.shape[1]
    columns = [list(column) for column in zip(*keys, strict=True)]
    columns += [list(column) for column in zip(*(state or (0, 0, "") for state in states), strict=True)]
    columns += [[datetime.now(timezone.utc)] * count, *boxes.T, answers.quality, answers.confidence]
    columns += [pa.FixedSizeListArray.from_arrays(pa.array(np.ravel(answers.outputs), pa.float32()), size)]
    schema = schema_of(size, made_by)
    rows = pa.Table.from_arrays(
        [pa.array(column, kind) if not isinstance(column, pa.Array) else column
         for column, kind in zip(columns, schema.types, strict=True)], schema=schema
    )  # fmt: skip
    return rows.filter(pa.array([state is not None for state in states]))
