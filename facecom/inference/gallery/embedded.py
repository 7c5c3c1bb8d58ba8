"""From the Parquet files of a corpus to the rows of a gallery, a file at a time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import numpy as np

from facecom.conditions import condition_of
from facecom.data.folders import DISTORTED
from facecom.errors import FacecomError
from facecom.inference.gallery.rows import Added, check_name
from facecom.inference.gallery.store import BOX, Key, State, needed, schema_of

if TYPE_CHECKING:
    import pyarrow

#: Columns that are read of a corpus.
COLUMNS = ("file", "size", "modified", "sha256", *BOX, "quality", "face_confidence", "embedding", "main", "reason")


def parts_of(folder: str | os.PathLike, made_by: Mapping[str, str]) -> list[Path]:
    """The Parquet files of a corpus, all of them made by these weights. Raises FacecomError before one is read."""
    needed()
    import pyarrow
    import pyarrow.parquet

    parts = sorted(Path(folder).glob("faces-*.parquet"))
    if not parts:
        raise FacecomError(f"{folder}: no corpus (faces-*.parquet): facecom corpus photos --output {folder} makes one")
    for part in parts:
        try:
            schema = pyarrow.parquet.read_schema(part)
        except (OSError, pyarrow.ArrowException) as error:
            raise FacecomError(f"{part}: damaged: remove it and run facecom corpus again") from error
        stored = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
        for name, what in (("weights", "weights"), ("prepared", "ways of looking at the face (--align, --mirror)")):
            if stored.get(name) != made_by[name]:
                raise FacecomError(f"{part}: was made by other {what}: give those of the corpus, or make it anew")
        if missing := set(COLUMNS) - set(schema.names):
            raise FacecomError(f"{part}: no column {', '.join(sorted(missing))}: run facecom corpus again")
    return parts


def blocks_of(
    parts: Sequence[Path], name: str | None, made_by: Mapping[str, str], found: Added
) -> "Iterator[tuple[pyarrow.Table, dict[Key, State]]]":
    """(rows as `store.schema_of` has them, {(identity, file): state} in their order), a file of the corpus at a time.

    name: whose photos they all are; None: those of the folder that each lies in. found: told how many photos have no
    face, and how many several.
    """
    import pyarrow as pa
    import pyarrow.parquet

    check_name(name)
    for part in parts:
        table = pyarrow.parquet.read_table(part, columns=list(COLUMNS))
        files = table["file"].to_pylist()
        reasons = table["reason"].to_pylist()
        found.without += len(reasons) - reasons.count(None)
        main = np.array(table["main"].to_pylist(), object) == True  # noqa: E712 (null is no main face)
        several = [file for file, own, reason in zip(files, main, reasons, strict=True) if not own and reason is None]
        found.crowded += len(set(several))
        keys: dict[Key, int] = {}
        for row in np.flatnonzero(main).tolist():
            if is_clean(files[row]):
                keys.setdefault((name.strip() if name else folder_of(files[row]), files[row]), row)
        if not keys:
            continue
        rows = table.take(list(keys.values()))
        columns = [[key[0] for key in keys], rows["file"], rows["size"], rows["modified"]]
        columns += [[one or "" for one in rows["sha256"].to_pylist()], [datetime.now(timezone.utc)] * len(keys)]
        columns += [rows[one] for one in (*BOX, "quality", "face_confidence", "embedding")]
        schema = schema_of(rows.schema.field("embedding").type.list_size, made_by)
        made = pa.table([pa.chunked_array([pa.array(column, kind)]) if isinstance(column, list) else column.cast(kind)
                         for column, kind in zip(columns, schema.types, strict=True)], schema=schema)  # fmt: skip
        states = zip(*(made[one].to_pylist() for one in ("size", "modified", "sha256")), strict=True)
        yield made, dict(zip(keys, states, strict=True))


def folder_of(file: str) -> str:
    """Whose photo it is: the folder that it lies in, of a path or a URL."""
    return PurePath(file.replace("\\", "/") if "://" in file else file).parent.name


def is_clean(file: str) -> bool:
    """Whether a photo is none of the distorted copies of a data set."""
    path = PurePath(file)
    return path.parent.name != DISTORTED and condition_of(path)[1] == "clean"
