"""The simulated corpus is one that a gallery takes."""

import numpy as np
import pytest

import facecom
from benchmarks import gallery, search

pytest.importorskip("lancedb", reason="needs the extra gallery")
pytest.importorskip("pyarrow", reason="needs the extra ray")


def test_a_gallery_takes_the_simulated_faces(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(200), 2)
    real = rng.normal(size=(200, 128))[people] + 0.5 * rng.normal(size=(400, 128))
    real = (real / np.linalg.norm(real, axis=1, keepdims=True)).astype(np.float32)
    monkeypatch.setattr(search, "real_embeddings", lambda _: (real, people))
    monkeypatch.setattr(gallery, "SHARD", 4)
    (tmp_path / "corpus").mkdir()
    gallery.write_corpus(tmp_path / "corpus", 50, tmp_path)
    kept = facecom.Gallery(tmp_path / "people.lance", facecom.FaceVerifier(workers=0))
    assert kept.add_faces(tmp_path / "corpus").added == 50
    found = kept.people()
    assert found["identity"].tolist() == [gallery.person(number) for number in range(10)]
    assert (found["photos"] == gallery.EACH).all()
    assert kept.remove(gallery.person(3)) == gallery.EACH
