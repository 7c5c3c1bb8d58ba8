"""From the photos of a shard to its rows: a row a face, and a row with a reason for a photo without an answer."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from facecom.errors import FacecomError
from facecom.faces.alignment import box_of
from facecom.inference.corpus.shards import is_url
from facecom.inference.ensemble import Ensemble
from facecom.inference.faces import stream_faces
from facecom.inference.gallery.checksums import CHANGED, Seen, is_still, seen
from facecom.inference.pipeline import stream

if TYPE_CHECKING:
    import pyarrow

NO_FACE = "no face found"

BOX = ("x", "y", "width", "height")


def needed():
    """The module pyarrow. Raises FacecomError where it is not installed."""
    try:
        import pyarrow
    except ImportError:
        raise FacecomError('a corpus needs the package pyarrow: pip install "facecom[ray]"') from None
    return pyarrow


def schema_of(size: int, made_by: Mapping[str, str]) -> "pyarrow.Schema":
    """The columns where embeddings have so many numbers; made_by goes into the metadata.

    file; face: 1, 2, ... from the left; x, y, width, height: its square in pixels of the photo; rotation: degrees
    clockwise; face_score, face_confidence, quality: 0 to 1; told: whether the face is good enough for an answer; main:
    whether it answers for its photo; embedding: unit length; reason: why a photo has no face, and then all before it
    but `file` is null; size (bytes), modified (nanoseconds), sha256: of the bytes looked at, to know them again
    (-1, -1, null for what could not be read or changed meanwhile; of a URL modified is -1).
    """
    pa = needed()
    columns = [("file", pa.string()), ("face", pa.int32()), *((name, pa.float32()) for name in BOX)]
    columns += [("rotation", pa.int32()), *((n, pa.float32()) for n in ("face_score", "face_confidence", "quality"))]
    columns += [("told", pa.bool_()), ("main", pa.bool_()), ("embedding", pa.list_(pa.float32(), size))]
    columns += [("reason", pa.string()), ("size", pa.int64()), ("modified", pa.int64()), ("sha256", pa.string())]
    return pa.schema(columns, metadata={**made_by, "embedding": str(size)})


def table_of(
    names: Sequence[str],
    paths: Sequence[str],
    failed: Mapping[int, str],
    siamese: Ensemble,
    made_by: Mapping[str, str],
    *,
    faces: str,
    **options: Any,
) -> "pyarrow.Table":
    """The rows of these photos, in their order. names: what the rows call them; paths: where they lie; failed: reasons
    of those that are nowhere; faces: `all`, or `one` a photo; options: of `stream_faces` or `stream`."""
    pa = needed()
    before = {position: seen(paths[position]) for position in range(len(names)) if position not in failed}
    there = list(before)
    rows = [(position, {"reason": reason}) for position, reason in failed.items()]
    ways = {"all": _every_face, "one": _one_face}
    rows += [(there[row], found) for row, found in ways[faces]([paths[i] for i in there], siamese, **options)]
    changed = {position for position, one in before.items() if not is_still(paths[position], one)}
    rows = [(position, found) for position, found in rows if position not in changed or _is_unreadable(found)]
    rows += [(position, {"reason": CHANGED}) for position in changed - {position for position, _ in rows}]
    rows.sort(key=lambda row: row[0])  # stable: the faces of a photo stay in their order
    gone = Seen(None)
    about = {
        position: _about(names[position], gone if position in changed else before.get(position, gone))
        for position in {row[0] for row in rows}
    }
    size = next((len(row["embedding"]) for _, row in rows if "embedding" in row), None)
    schema = schema_of(size or width_of(siamese), made_by)
    told = [about[position] | found for position, found in rows]
    return pa.table({field.name: pa.array([row.get(field.name) for row in told], field.type) for field in schema},
                    schema=schema)  # fmt: skip


def width_of(siamese: Ensemble) -> int:
    """How many numbers its embeddings have."""
    size = siamese.crops[0][1]
    return siamese([np.zeros((size, size, 3), np.uint8)]).outputs.shape[1]


def _every_face(paths: Sequence[str], siamese: Ensemble, **options: Any) -> Iterator[tuple[int, dict]]:
    for batch in stream_faces(paths, siamese, **options):
        yield from ((row, {"reason": reason}) for row, reason in batch.skipped)
        yield from ((row, {"reason": NO_FACE}) for row in batch.without)
        if batch.answers is None:
            continue
        values = _of_answers(batch.answers, siamese)
        for place, row in enumerate(batch.rows.tolist()):
            own: dict = {"face": int(batch.numbers[place]), "rotation": int(batch.turns[place])}
            own |= dict(zip(BOX, batch.boxes[place].tolist(), strict=True))
            own |= {"face_score": float(batch.scores[place]), "main": bool(batch.main[place])}
            yield row, own | {name: value[place] for name, value in values.items()}


def _one_face(paths: Sequence[str], siamese: Ensemble, **options: Any) -> Iterator[tuple[int, dict]]:
    options.pop("threshold", None)
    for batch in stream(paths, siamese, **options):
        yield from ((row, {"reason": reason}) for row, reason in batch.skipped)
        if batch.answers is None:
            continue
        values, landmarks = _of_answers(batch.answers, siamese), batch.answers.landmarks
        for place, row in enumerate(batch.rows.tolist()):
            own = {"face": 1, "rotation": None, "face_score": None, "main": True}
            if landmarks is not None and np.isfinite(landmarks[place]).all():
                own |= dict(zip(BOX, np.asarray(box_of(landmarks[place] * batch.scales[place])).tolist(), strict=True))
            yield row, own | {name: value[place] for name, value in values.items()}


def _of_answers(answers, siamese: Ensemble) -> dict[str, Sequence]:
    told = siamese.can_tell(answers.confidence, answers.quality)
    numbers = {"face_confidence": answers.confidence, "quality": answers.quality}
    plain = {name: [None if np.isnan(v) else float(v) for v in value] for name, value in numbers.items()}
    return plain | {"told": told.tolist(), "embedding": list(answers.outputs)}


def _is_unreadable(found: Mapping) -> bool:
    return found.get("reason") not in (None, NO_FACE)


def _about(name: str, one: Seen) -> dict:
    """What a row says of its photo. A name that is no UTF-8 shows marks where it is not: Parquet's texts are UTF-8."""
    size, modified, digest = one.state or (-1, -1, None)
    shown = os.fsencode(name).decode("utf-8", "replace")
    return {"file": shown, "size": size, "modified": -1 if is_url(name) else modified, "sha256": digest}
