"""Rows of faces in a folder, on LanceDB: a commit is whole or not there, and several processes may write.

The folder holds one table, `faces.lance`, and a lock that the system lets go when its holder ends, however it ends.
"""

import contextlib
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from facecom.errors import FacecomError
from facecom.files import write_error
from facecom.inference.gallery import approximate

if TYPE_CHECKING:
    import pyarrow

TABLE = "faces"

#: What a row is known by, and what tells whether its file is still the same.
KEYS = ("identity", "file")
STATE = ("size", "modified", "sha256")

BOX = ("x", "y", "width", "height")

Key = tuple[str, str]
State = tuple[int, int, str]


def is_gallery(path: str | os.PathLike) -> bool:
    """Whether a path is such a folder, needs no LanceDB."""
    return (Path(path) / f"{TABLE}.lance").is_dir()


def needed():
    """The module lancedb. Raises FacecomError where it is not installed."""
    try:
        import filelock  # noqa: F401
        import lancedb
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise FacecomError(
            f'a gallery that stays needs the package {error.name}: pip install "facecom[gallery]"'
        ) from None
    # Processes that decode photos are forked later; they never touch LanceDB, which is idle then.
    warnings.filterwarnings("ignore", "lancedb fork support is experimental", RuntimeWarning)
    return lancedb


def schema_of(size: int, made_by: Mapping[str, str]) -> "pyarrow.Schema":
    """The columns of a table whose embeddings have so many numbers; made_by goes into its metadata."""
    import pyarrow as pa

    texts, numbers = pa.string(), pa.float32()
    columns = [(name, texts) for name in KEYS] + [("size", pa.int64()), ("modified", pa.int64()), ("sha256", texts)]
    columns += [("added", pa.timestamp("us", "UTC")), *((name, numbers) for name in (*BOX, "quality", "confidence"))]
    columns += [("embedding", pa.list_(numbers, size))]
    return pa.schema(columns, metadata={**made_by, "embedding": str(size)})


class Store:
    """The table in the folder `path`, which is made by the first `write`.

    Raises FacecomError without LanceDB, and for a path that is a file or a folder of something else.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self._lancedb = needed()
        self._index: dict[Key, State] = {}
        self._seen: int | None = None  # the version of the table that the index is of
        if not is_gallery(path) and self.path.exists():
            if not self.path.is_dir():
                raise FacecomError(f"{path}: a file, not a gallery: choose another name")
            if any(entry.name not in ("lock", f"{TABLE}.lance") for entry in self.path.iterdir()):
                raise FacecomError(f"{path}: a folder of other files, no gallery: choose another name")

    def made_by(self) -> dict[str, str]:
        """The metadata: what `schema_of` was given; empty for a gallery that nobody has written to."""
        with self._locked():
            table = self._open()
            return {} if table is None else _metadata(table)

    def index(self) -> dict[Key, State]:
        """{(identity, file): (size in bytes, time of change in nanoseconds, SHA-256)} of all rows."""
        with self._locked():
            table = self._open()
            return {} if table is None else dict(self._known(table))

    def version(self) -> int:
        """A number that grows with every change."""
        with self._locked():
            table = self._open()
            return 0 if table is None else table.version

    def read(self, columns: Sequence[str]) -> "pyarrow.Table | None":
        """These columns of all rows, in no particular order; None where nobody has written yet."""
        with self._locked():
            table = self._open()
            return None if table is None else table.search().select(list(columns)).limit(None).to_arrow()

    def people(self) -> dict[str, int]:
        """{identity: rows}."""
        rows = self.read(KEYS[:1])
        return {} if rows is None else Counter(rows[KEYS[0]].to_pylist())

    def embeddings(self) -> tuple[pd.DataFrame, np.ndarray]:
        """(identity, file, quality of all rows, sorted by identity and file; in that order their embeddings float32
        [n, D]). Names are read first: each embedding goes straight to its place."""
        names = [*KEYS, "quality"]
        with self._locked():
            table = self._open()
            if table is None:
                return pd.DataFrame(columns=names), np.empty((0, 0), np.float32)
            rows = table.search().select(names).with_row_id(True).limit(None).to_arrow()
            rows = rows.sort_by([(key, "ascending") for key in KEYS])
            ids, found = rows["_rowid"].to_numpy(), rows.select(names).to_pandas().astype({"quality": float})
            by_id = np.argsort(ids)
            faces = np.empty((len(found), table.schema.field("embedding").type.list_size), np.float32)
            for batch in table.search().select(["embedding"]).with_row_id(True).limit(None).to_batches():
                place = by_id[np.searchsorted(ids, batch["_rowid"].to_numpy(), sorter=by_id)]
                block = batch["embedding"].flatten().to_numpy(zero_copy_only=False)
                faces[place] = block.reshape(batch.num_rows, -1)
        return found, faces

    def is_indexed(self) -> bool:
        """Whether `nearest` can be asked."""
        with self._locked():
            table = self._open()
            return table is not None and approximate.is_indexed(table)

    def build_index(self) -> None:
        """Make what `nearest` needs (`approximate.py`); later rows join it when the table is tidied."""
        with self._locked(), self._said():
            approximate.build(self._open())

    def nearest(self, probes: np.ndarray, k: int, columns: Sequence[str]) -> "list[pyarrow.Table]":
        """See `approximate.nearest`."""
        with self._locked():
            return approximate.nearest(self._open(), probes, k, list(columns))

    def count(self) -> int:
        """How many rows there are."""
        with self._locked():
            table = self._open()
            return 0 if table is None else table.count_rows()

    def write(self, rows: "pyarrow.Table") -> None:
        """Add rows (`schema_of`) in one commit; they replace those of the same identity and file.

        Raises FacecomError where another process has meanwhile made the gallery with other weights.
        """
        with self._locked(make=True), self._said():
            table = self._open()
            if table is None:
                table = self._lancedb.connect(str(self.path)).create_table(TABLE, schema=rows.schema)
            made_by = {name.decode(): value.decode() for name, value in (rows.schema.metadata or {}).items()}
            if _metadata(table) != made_by:
                raise FacecomError(f"{self.path}: was made by other weights meanwhile: choose another name")
            index = self._known(table)
            fresh = dict(zip(_columns(rows, KEYS), _columns(rows, STATE), strict=True))
            if index.keys().isdisjoint(fresh):
                table.add(rows)
            else:
                table.merge_insert(list(KEYS)).when_matched_update_all().when_not_matched_insert_all().execute(rows)
            index.update(fresh)
            self._seen = table.version

    def remove(self, names: Sequence[str]) -> int:
        """How many rows these people had: they are gone, from the disk, too."""
        quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names)
        with self._locked(), self._said():
            table = self._open()
            self._index, self._seen = {}, None
            gone = table.delete(f"identity IN ({quoted})").num_deleted_rows if table is not None else 0
            if gone:
                self._rewrite(table)
                self._tidy(table)
        return gone

    def tidy(self, replaced: bool) -> None:
        """Join the small pieces that batches leave. replaced: nothing of the rows that others replaced stays behind."""
        with self._locked(), self._said():
            table = self._open()
            if table is not None:
                if replaced:
                    self._rewrite(table)
                self._tidy(table)

    def _rewrite(self, table) -> None:
        """Deleted rows are only marked as such: write the others anew, as they are read."""
        import pyarrow as pa

        schema, rows, indexed = table.schema, table.search().to_batches(), approximate.is_indexed(table)
        kept = pa.RecordBatchReader.from_batches(schema, (row.select(schema.names) for row in rows))
        table.add(kept, mode="overwrite")
        if indexed and table.count_rows() >= approximate.LEAST_ROWS:
            approximate.build(table)  # of the rows that are left

    def _tidy(self, table) -> None:
        with warnings.catch_warnings():  # it warns of readers of older versions: they hold the lock
            warnings.simplefilter("ignore")
            table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def _known(self, table) -> dict[Key, State]:
        """The index, read again where others have written."""
        if table.version != self._seen:
            rows = table.search().select([*KEYS, *STATE]).limit(None).to_arrow()
            self._index = dict(zip(_columns(rows, KEYS), _columns(rows, STATE), strict=True))
            self._seen = table.version
        return self._index

    def _open(self):
        """The newest version of the table; None where there is none."""
        if not any((self.path / f"{TABLE}.lance" / "_versions").glob("*.manifest")):
            return None
        try:
            return self._lancedb.connect(str(self.path)).open_table(TABLE)
        except (OSError, RuntimeError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise FacecomError(f"{self.path}: cannot be read as a gallery ({reason}): enrol the people anew") from error

    @contextlib.contextmanager
    def _locked(self, make: bool = False) -> Iterator[None]:
        """Alone among all processes. make: the folder, if need be; else, where there is none, nothing is to be locked,
        nor where nobody may write."""
        import filelock

        lock = filelock.FileLock(self.path / "lock")
        try:
            if make:
                self.path.mkdir(parents=True, exist_ok=True)
            if self.path.is_dir() and (make or os.access(self.path, os.W_OK)):
                lock.acquire(poll_interval=0.005)  # a commit takes milliseconds
        except OSError as error:
            raise FacecomError(write_error(self.path, error)) from error
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise FacecomError(write_error(self.path, error)) from error
        except RuntimeError as error:  # LanceDB's own, which has the system's number in its text
            said, number = str(error).splitlines()[0], re.search(r"os error (\d+)", str(error))
            raise FacecomError(write_error(self.path, OSError(int(number[1]) if number else 0, said))) from error


def _metadata(table) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in (table.schema.metadata or {}).items()}


def _columns(rows: "pyarrow.Table | pyarrow.RecordBatch", names: Sequence[str]) -> Iterator[Any]:
    """Tuples of these columns, row by row."""
    return zip(*(rows[name].to_pylist() for name in names), strict=True)
