"""From a corpus into a gallery."""

import numpy as np
import pandas as pd
import pytest
from enrolled import Colours, paint, paint_people

import facecom
from facecom.errors import FacecomError
from facecom.inference.corpus import worker
from facecom.inference.corpus.run import embed_corpus
from facecom.inference.corpus.shards import Photos
from facecom.inference.gallery.embedded import folder_of, is_clean

pytest.importorskip("lancedb", reason="needs the extra gallery")


@pytest.fixture
def corpus(tmp_path, network, monkeypatch):
    """A function that puts a folder of coloured people into `faces/`."""
    monkeypatch.setattr(worker.ensemble, "load", lambda *args, **options: network.ensemble)

    def make(folder):
        network_flags = {"weights": [], "device": "cpu", "amp": False}
        embed_corpus(Photos(folder), tmp_path / "faces", network_flags, {"faces": "one", "workers": 0}, shard=4)
        return tmp_path / "faces"

    return make


def test_a_gallery_filled_from_a_corpus_is_one_filled_from_its_photos(tmp_path, network, corpus):
    people = paint_people(tmp_path / "people", 4, 3)
    paint(people / "p1" / "distortion" / "0_foggy.png", (200, 200, 200))
    (people / "p2" / "bad.jpg").write_bytes(b"no photo")
    faces = corpus(people)
    seen = network.seen
    gallery = facecom.Gallery(tmp_path / "a.lance", network.verifier())
    found = gallery.add_faces(faces)
    assert (found.added, found.unchanged, found.replaced, found.without, found.crowded) == (12, 0, 0, 1, 0)
    assert network.seen == seen  # nothing was looked at anew
    other = facecom.Gallery(tmp_path / "b.lance", network.verifier())
    other.add(people)
    columns = ["identity", "file", "size", "modified", "sha256", "quality", "x", "embedding"]
    mine, truth = (
        one.store.read(columns).to_pandas().sort_values("file", ignore_index=True) for one in (gallery, other)
    )
    np.testing.assert_allclose(np.stack(mine.pop("embedding")), np.stack(truth.pop("embedding")), atol=1e-6)
    pd.testing.assert_frame_equal(mine, truth)
    assert gallery.add(people).unchanged == 12  # either way it is the same photo
    assert gallery.add_faces(faces).unchanged == 12


def test_a_photo_that_changed_replaces_its_row(tmp_path, network, corpus):
    people = paint_people(tmp_path / "people", 2, 2)
    gallery = facecom.Gallery(tmp_path / "a.lance", network.verifier())
    gallery.add_faces(corpus(people))
    paint(people / "p1" / "1.png", (1, 2, 250))
    found = gallery.add_faces(corpus(people))
    assert (found.added, found.unchanged, found.replaced) == (0, 3, 1)
    assert gallery.people().photos.tolist() == [2, 2]
    assert gallery.add_faces(corpus(people), name="All").added == 4


def test_other_weights_and_other_folders_are_refused(tmp_path, network, corpus):
    faces = corpus(paint_people(tmp_path / "people", 2, 2))
    (tmp_path / "other.pt").write_bytes(b"other weights")
    gallery = facecom.Gallery(tmp_path / "a.lance", Colours(tmp_path / "other.pt").verifier())
    with pytest.raises(FacecomError, match=r"faces-\w+.parquet: was made by other weights: give those of the corpus"):
        gallery.add_faces(faces)
    network.ensemble.crops = [("off", 9, "face")]
    with pytest.raises(FacecomError, match=r"other ways of looking at the face \(--align, --mirror\)"):
        facecom.Gallery(tmp_path / "a.lance", network.verifier()).add_faces(faces)
    network.ensemble.crops = [("off", 8, "face")]
    assert not (tmp_path / "a.lance").exists()
    with pytest.raises(FacecomError, match="people: no corpus"):
        facecom.Gallery(tmp_path / "a.lance", network.verifier()).add_faces(tmp_path / "people")
    next(faces.glob("*.parquet")).write_bytes(b"PAR1")
    with pytest.raises(FacecomError, match="parquet: damaged: remove it"):
        facecom.Gallery(tmp_path / "a.lance", network.verifier()).add_faces(faces)


def test_whose_photo_it_is_says_its_folder():
    assert folder_of("/photos/Ann O'Neill/1.jpg") == folder_of("s3://bucket/x/Ann O'Neill/1.jpg") == "Ann O'Neill"
    assert is_clean("/p/Ann/1.jpg") and is_clean("/p/Ann/Ann_0001.jpg")
    assert not is_clean("/p/Ann/distortion/1.jpg") and not is_clean("/p/Ann/Ann_0001_foggy.jpg")
