import numpy as np
import pytest

pa = pytest.importorskip("pyarrow", reason="needs the extra gallery")
pytest.importorskip("lancedb", reason="needs the extra gallery")

from facecom.inference.gallery.store import Store, schema_of  # noqa: E402


def rows(names: list[str], numbers: list[float]):
    """Rows of one photo a name, whose embeddings say the number."""
    schema = schema_of(4, {"weights": "w"})
    known = {"identity": names, "file": [f"{name}.jpg" for name in names], "quality": numbers, "sha256": names}
    known |= {"size": [1] * len(names), "modified": [1] * len(names)}
    known["embedding"] = [np.full(4, number, np.float32) for number in numbers]
    columns = [pa.array(known.get(field.name, [None] * len(names)), field.type) for field in schema]
    return pa.table(columns, schema)


def test_embeddings_lie_beside_their_names_in_their_order(tmp_path):
    store = Store(tmp_path / "people.lance")
    assert [len(part) for part in store.embeddings()] == [0, 0]
    store.write(rows(["zoe", "bea", "ÿl"], [0.5, 0.25, 0.75]))
    store.write(rows(["ann", "zoe", "max"], [0.125, 1.0, 2.0]))  # zoe's photo has changed
    store.remove(["max"])
    table, faces = store.embeddings()
    assert table.identity.tolist() == ["ann", "bea", "zoe", "ÿl"] == sorted(table.identity)
    assert table.file.tolist() == ["ann.jpg", "bea.jpg", "zoe.jpg", "ÿl.jpg"]
    assert table.quality.tolist() == [0.125, 0.25, 1.0, 0.75] and table.quality.dtype == float
    assert faces.dtype == np.float32 and faces.tolist() == [[number] * 4 for number in table.quality]


def test_a_gallery_without_rows_has_no_embeddings(tmp_path):
    store = Store(tmp_path / "people.lance")
    store.write(rows(["ann"], [1.0]))
    store.remove(["ann"])
    table, faces = store.embeddings()
    assert table.empty and faces.shape == (0, 4)
