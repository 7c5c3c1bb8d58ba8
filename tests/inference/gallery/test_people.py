"""A gallery that stays: what goes in comes out, and who is asked for is found."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from enrolled import FAR, THRESHOLD, Colours, counts, paint, paint_people
from PIL import Image

import facecom
from facecom.errors import FacecomError
from facecom.models.checkpoint import SHIPPED
from facecom.synthetic import draw_person

pytest.importorskip("lancedb", reason="needs the extra gallery")


def on_disk(gallery, embedding):
    """Whether these numbers lie anywhere in the gallery's files."""
    wanted = np.asarray(embedding, np.float32)[:8].tobytes()
    return any(wanted in path.read_bytes() for path in gallery.path.rglob("*") if path.is_file())


def test_what_goes_in_comes_out(gallery, people):
    found = gallery.add(people)
    assert (found.added, found.unchanged, found.replaced, found.unreadable) == (12, 0, 0, [])
    assert counts(gallery) == {f"p{person}": 3 for person in range(4)}
    answers = gallery.search([str(people / "p2" / "1.png")], k=2)
    assert answers.columns.to_list() == ["filename", "rank", "identity", "distance", "same"]
    assert answers.identity[0] == "p2" and answers.distance[0] == pytest.approx(0, abs=1e-6) and answers.same[0]
    assert answers["rank"].to_list() == [1, 2] and answers.distance.is_monotonic_increasing
    again = facecom.Gallery(gallery.path, gallery.verifier)
    pd.testing.assert_frame_equal(again.search([str(people / "p2" / "1.png")], k=2), answers)


def test_a_row_says_what_was_seen(gallery, people):
    gallery.add(people / "p1", name="Ann O'Neill")
    rows = gallery.store.read(["identity", "file", "sha256", "size", "added", "x", "quality", "embedding"]).to_pandas()
    assert set(rows.identity) == {"Ann O'Neill"} and set(rows.file) == {str(path) for path in (people / "p1").iterdir()}
    assert rows.sha256.str.len().eq(64).all() and (rows["size"] > 0).all() and rows.quality.between(0, 1).all()
    assert str(rows.added.dt.tz) == "UTC" and rows.x.isna().all()  # nobody looked for a face
    assert np.linalg.norm(np.stack(rows.embedding), axis=1) == pytest.approx(1, abs=1e-5)
    assert gallery.remove("Ann O'Neill") == 3


def test_only_new_and_changed_photos_are_looked_at(gallery, network, people):
    gallery.add(people)
    before = gallery.store.read(["file", "embedding"]).to_pandas().set_index("file").embedding
    os.utime(people / "p0" / "0.png")
    assert gallery.add(people).unchanged == 12 and network.seen == 12
    paint(people / "p0" / "1.png", (250, 10, 10))
    paint(people / "p9" / "0.png", (10, 250, 10))
    (people / "p3" / "2.png").unlink()
    found = gallery.add(people)
    assert (found.added, found.unchanged, found.replaced) == (1, 10, 1) and network.seen == 14
    assert counts(gallery) == {"p0": 3, "p1": 3, "p2": 3, "p3": 3, "p9": 1}
    assert gallery.search([str(people / "p0" / "1.png")], k=1).distance[0] == pytest.approx(0, abs=1e-6)
    assert not on_disk(gallery, before[str(people / "p0" / "1.png")])


def test_who_is_removed_is_gone_from_the_disk(gallery, people):
    gallery.add(people)
    rows = gallery.store.read(["identity", "embedding"]).to_pandas()
    gone, stays = (rows[rows.identity == name].embedding.iloc[0] for name in ("p1", "p2"))
    assert on_disk(gallery, gone)
    assert gallery.remove("p1") == 3
    assert counts(gallery) == {"p0": 3, "p2": 3, "p3": 3}
    assert "p1" not in set(gallery.search([str(people / "p1" / "0.png")], k=9).identity)
    assert not on_disk(gallery, gone) and on_disk(gallery, stays)
    gallery.remove("p0", "p2", "p3")
    assert counts(gallery) == {}
    with pytest.raises(FacecomError, match="the gallery is empty"):
        gallery.search([str(people / "p1" / "0.png")])
    assert gallery.add(people).added == 12


def test_an_unknown_name_is_said_with_those_near_it(gallery, people):
    gallery.add(people)
    with pytest.raises(FacecomError, match="nobody is called 'p22'; there are p2"):
        gallery.remove("p22")
    assert len(gallery.people()) == 4


def test_other_weights_are_refused(gallery, people, tmp_path, weights):
    gallery.add(people)
    other = tmp_path / "other.pt"
    other.write_bytes(b"others")
    for network, what in ((Colours(other), "other weights"), (Colours(weights, size=4), "off, 8 px, face; now off, 4")):
        strange = facecom.Gallery(gallery.path, network.verifier())
        for call in (lambda g=strange: g.add(people), lambda g=strange: g.search([str(people / "p1" / "0.png")])):
            with pytest.raises(FacecomError, match=what):
                call()
    assert gallery.add(people).unchanged == 12


def test_what_is_no_gallery_is_refused_and_left_alone(tmp_path, network, people):
    (tmp_path / "file").write_text("x")
    for path, what in ((people, "a folder of other files"), (tmp_path / "file", "a file, not a gallery")):
        with pytest.raises(FacecomError, match=what):
            facecom.Gallery(path, network.verifier())
    nowhere = facecom.Gallery(tmp_path / "typo.lance", network.verifier())
    assert nowhere.people().empty and not nowhere.path.exists()


def test_without_the_package_the_remedy_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    with pytest.raises(FacecomError, match=r'pip install "facecom\[gallery\]"'):
        facecom.Gallery(tmp_path / "people.lance")


def test_photos_need_a_name(gallery, people):
    with pytest.raises(FacecomError, match="photos need a name"):
        gallery.add([people / "p1" / "0.png"])
    with pytest.raises(FacecomError, match="a person needs a name"):
        gallery.add(people / "p1", name=" ")
    assert gallery.add([people / "p1" / "0.png"], name="Ann").added == gallery.add(people / "p2", "Bob").added - 2 == 1


def test_unreadable_photos_are_named(gallery, people):
    (people / "p1" / "bad.png").write_bytes(b"no photo")
    assert gallery.add(people).unreadable == [(str(people / "p1" / "bad.png"), "not an image")]
    with pytest.warns(UserWarning, match="bad.png: not an image"):
        found = gallery.search([str(people / "p1" / "bad.png"), str(people / "p1" / "0.png")], k=1)
    assert found.filename.to_list() == [str(people / "p1" / "0.png")]


def test_search_is_that_of_a_folder(gallery, network, people):
    gallery.add(people)
    probes = [str(path) for path in sorted(paint_people(people.parent / "probes", 6, 2, seed=5).rglob("*.png"))]
    folder, kept = network.verifier().identify(probes, people), gallery.search(probes, k=1)
    assert kept.identity.to_list() == folder.identity.to_list() and kept.same.to_list() == folder.same.to_list()
    assert kept.distance.to_numpy() == pytest.approx(folder.distance.to_numpy(), abs=1e-6)


def test_a_person_is_one_answer(gallery, network, people):
    gallery.add(people)
    probe = str(paint(people.parent / "probe.png", (90, 120, 200)))
    rows = gallery.store.read(["identity", "quality", "embedding"]).to_pandas()
    own = network.verifier().embed([probe])[0]
    best = rows.assign(d=[np.linalg.norm(own - e) for e in rows.embedding]).groupby("identity").d.min().sort_values()
    found = gallery.search(probe, k=9)
    assert found.identity.to_list() == best.index.to_list() and found.distance.to_numpy() == pytest.approx(
        best, abs=1e-5
    )
    assert found.same.to_list() == [distance <= THRESHOLD for distance in best]
    means = rows.groupby("identity")[["embedding"]].apply(lambda own: np.stack(own.embedding).sum(0))
    mean = means.map(lambda mean: np.linalg.norm(own - mean / np.linalg.norm(mean))).sort_values()
    found = gallery.search(probe, k=9, pool="mean")
    assert found.identity.to_list() == mean.index.to_list() and found.distance.to_numpy() == pytest.approx(
        mean, abs=1e-5
    )
    with pytest.raises(FacecomError, match="best, mean"):
        gallery.search(probe, pool="median")


def test_what_cannot_be_told_is_not_told(gallery, network, people):
    gallery.add(people)
    network.ensemble.members[0].limits["quality"] = 1.1
    assert gallery.search([str(people / "p1" / "0.png")], k=2).same.isna().all()


def test_how_many_strangers_pass(gallery, people):
    gallery.add(people)
    assert gallery.strangers() == pytest.approx(10_000 * (1 - (1 - FAR) ** 4))
    assert "4 people, 12 photos; of 10,000 strangers about 40 (119 if" in gallery.about()
    gallery.verifier.far = None
    assert gallery.strangers() is None and "nobody knows" in gallery.about()


def test_a_second_run_over_two_thousand_photos_takes_no_time(gallery, people, network):
    for person in range(200):
        (people / f"q{person}").mkdir()
        for photo in range(10):
            os.link(people / "p0" / "0.png", people / f"q{person}" / f"{photo}.png")
    assert gallery.add(people).added == 2012
    start = time.monotonic()
    assert gallery.add(people).unchanged == 2012 == network.seen
    assert time.monotonic() - start < 5


@pytest.mark.skipif(not (SHIPPED / "siamese.pt").is_file(), reason="no weights are shipped")
def test_drawn_people_and_the_shipped_weights(tmp_path):
    for person in range(3):
        (tmp_path / "people" / f"Ann {person}").mkdir(parents=True)
        Image.fromarray(draw_person(person, 0, 800)[0]).save(tmp_path / "people" / f"Ann {person}" / "a.png")
    verifier = facecom.FaceVerifier(device="cpu")
    gallery = facecom.Gallery(tmp_path / "people.lance", verifier)
    assert gallery.add(tmp_path / "people").added == 3
    probes = [draw_person(person, 1)[0] for person in range(3)]
    kept, folder = gallery.search(probes, k=1), verifier.identify(probes, tmp_path / "people")
    assert kept.identity.to_list() == folder.identity.to_list() == ["Ann 0", "Ann 1", "Ann 2"]
    assert kept.distance.to_numpy() == pytest.approx(folder.distance.to_numpy(), abs=1e-4)
    rows = gallery.store.read(["file", "x", "y", "width", "height", "confidence"]).to_pandas()
    for row in rows.itertuples():  # in pixels of the file, which is larger than what the network saw
        landmarks = draw_person(int(Path(row.file).parent.name[-1]), 0, 800)[1]
        inside = (landmarks > [row.x, row.y]) & (landmarks < [row.x + row.width, row.y + row.height])
        assert inside.all() and row.width < 800 and row.confidence > 0.5
