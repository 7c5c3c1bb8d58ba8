"""Search among many millions: an index, small here."""

import numpy as np
import pytest
from enrolled import Colours, paint, paint_people

import facecom
from facecom.errors import FacecomError
from facecom.inference.gallery import approximate, people

pytest.importorskip("lancedb", reason="needs the extra gallery")


def test_a_gallery_with_an_index_finds_whom_exact_search_finds(tmp_path, monkeypatch):
    (tmp_path / "weights.pt").write_bytes(b"weights")
    network = Colours(tmp_path / "weights.pt")
    folder = paint_people(tmp_path / "people", 90, 3)
    gallery = facecom.Gallery(tmp_path / "people.lance", network.verifier())
    gallery.add(folder)
    assert not gallery.store.is_indexed()  # far too small to be worth it
    probes = sorted(map(str, folder.glob("*/1.png")))[:20]
    exact = gallery.search(probes, k=3)
    monkeypatch.setattr(people, "nearest_people", None)  # from here on the index answers
    monkeypatch.setattr(people, "WORTH_INDEX", 200)
    gallery.add(paint(tmp_path / "new.png", (255, 0, 255)), name="New")
    assert gallery.store.is_indexed()
    found = gallery.search(probes, k=3)
    assert found.columns.tolist() == exact.columns.tolist() and len(found) == len(exact) == 60
    assert (found.distance[::3] == 0).all()  # exact where it is found
    agree = [set(a) == set(b) for a, b in zip(_by_photo(found), _by_photo(exact), strict=True)]
    assert np.mean(agree) >= 0.9
    gallery.remove("New")
    assert gallery.store.is_indexed() and "New" not in set(gallery.search([str(tmp_path / "new.png")], k=9).identity)
    gallery.add(tmp_path / "new.png", name="Newer")  # joins it, without a new index
    (first, *_) = gallery.search([str(tmp_path / "new.png")], k=1).identity
    assert first == "Newer"


def _by_photo(table):
    return [part.identity.tolist() for _, part in table.groupby("filename")]


def test_a_small_gallery_needs_no_index(tmp_path):
    (tmp_path / "weights.pt").write_bytes(b"weights")
    gallery = facecom.Gallery(tmp_path / "people.lance", Colours(tmp_path / "weights.pt").verifier())
    gallery.add(paint_people(tmp_path / "people", 2, 2))
    with pytest.raises(FacecomError, match="fewer than 256 photos: searching them all takes no time"):
        gallery.build_index()


def test_parts_grow_with_the_root_of_the_rows():
    assert [approximate.parts_for(rows) for rows in (10, 256, 10_000, 10**6, 10**9)] == [1, 4, 100, 1000, 31623]
