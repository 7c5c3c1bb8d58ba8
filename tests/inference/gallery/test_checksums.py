"""A photo that changes meanwhile never has a checksum of other bytes than those that were looked at."""

import os
import time
from hashlib import sha256

import pandas as pd
import pytest
from enrolled import counts, paint, paint_people

from facecom.inference import pipeline
from facecom.inference.corpus import worker
from facecom.inference.corpus.run import embed_corpus
from facecom.inference.corpus.shards import Photos
from facecom.inference.gallery.checksums import CHANGED, Seen, is_still, seen

pytest.importorskip("lancedb", reason="needs the extra gallery")


def repainted(path):
    """Renamed over, as careful programs save."""
    paint(path.with_suffix(".new.png"), (250, 250, 1))
    path.with_suffix(".new.png").replace(path)


def patched(path):
    """As many bytes, and the time put back."""
    times = os.stat(path)
    with open(path, "r+b") as file:
        file.seek(-20, os.SEEK_END)
        file.write(b"??")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def touched(path):
    os.utime(path, ns=(5, 5))


def gone(path):
    path.unlink()


CHANGES = (repainted, patched, touched, gone)


@pytest.fixture
def reading(monkeypatch):
    """A function that makes a photo change when it is read, before or after, the first time or each time. What it
    returns has the checksum of the bytes that were read last, by path."""

    def make(path, change, moment, always=False):
        real, read, left = pipeline.read_photo, {}, [True]

        def call(photo):
            now = str(photo) == str(path) and (left or always) and path.exists()
            left[:] = [] if now else left
            if now and moment == "before":
                change(path)
            content = open(photo, "rb").read() if os.path.exists(photo) else b""
            found = real(photo)
            read[str(photo)] = sha256(content).hexdigest()
            if now and moment == "after":
                change(path)
            return found

        monkeypatch.setattr(pipeline, "read_photo", call)
        return read

    return make


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_a_gallery_remembers_what_it_looked_at(change, moment, gallery, people, reading):
    """What changes once has a second chance; what goes is named."""
    victim = people / "p1" / "1.png"
    read = reading(victim, change, moment)
    found = gallery.add(people)
    table = gallery.store.read(["file", "sha256", "size", "modified"]).to_pandas().set_index("file")
    assert table.sha256.to_dict() == {file: read[file] for file in table.index}
    assert all(table.loc[file, ["size", "modified"]].tolist() == [os.stat(file).st_size, os.stat(file).st_mtime_ns]
               for file in table.index)  # fmt: skip
    assert len(table) + len(found.unreadable) == 12 and len(table) >= 11
    if change in (repainted, touched):
        assert found.added == 12
    if change is gone:
        assert [file for file, _ in found.unreadable] == [str(victim)]


def test_what_changes_all_the_time_is_named_and_comes_later(gallery, people, reading, monkeypatch):
    victim = people / "p1" / "1.png"
    reading(victim, repainted, "after", always=True)
    found = gallery.add(people)
    assert found.unreadable == [(str(victim), CHANGED)] and found.added == 11
    monkeypatch.undo()
    found = gallery.add(people)
    assert (found.added, found.unchanged) == (1, 11)
    before = gallery.store.read(["file", "sha256"]).to_pandas().set_index("file").sha256
    paint(victim, (4, 5, 6))
    reading(victim, repainted, "after", always=True)
    assert gallery.add(people).unreadable == [(str(victim), CHANGED)]  # what was known of it stays
    after = gallery.store.read(["file", "sha256"]).to_pandas().set_index("file").sha256
    pd.testing.assert_series_equal(after.sort_index(), before.sort_index())
    assert counts(gallery) == {f"p{number}": 3 for number in range(4)}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_a_corpus_does_too(change, moment, network, tmp_path, reading, monkeypatch):
    monkeypatch.setattr(worker.ensemble, "load", lambda *args, **options: network.ensemble)
    people = paint_people(tmp_path / "people", 2, 3)
    victim = people / "p1" / "1.png"

    def embed():
        flags = {"weights": [], "device": "cpu", "amp": False}
        return embed_corpus(Photos(people), tmp_path / "faces", flags, {"faces": "one", "workers": 0}, shard=2)

    read = reading(victim, change, moment)
    done = embed()
    assert (done.photos, done.faces, done.unreadable) == (6, 5, 1)
    table = pd.read_parquet(tmp_path / "faces").set_index("file")
    row = table.loc[str(victim)]
    assert row.embedding is None and pd.isna(row.sha256) and row["size"] == -1
    assert row.reason == CHANGED or (change in (gone, patched) and moment == "before")
    others = table[table.reason.isna()]
    assert others.sha256.to_dict() == {file: read[file] for file in others.index}
    if change in (repainted, touched):  # the next run sees that its time is another
        monkeypatch.undo()
        monkeypatch.setattr(worker.ensemble, "load", lambda *args, **options: network.ensemble)
        embed()
        table = pd.read_parquet(tmp_path / "faces").set_index("file")
        assert table.reason.isna().all() and len(table) == 6
        assert table.sha256[str(victim)] == sha256(victim.read_bytes()).hexdigest()


def test_a_file_whose_times_may_hide_a_change_is_read_again(tmp_path):
    path = paint(tmp_path / "a.png", (1, 2, 3))
    one = seen(str(path))
    assert one.young and is_still(str(path), one)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    now = seen(str(path))
    assert not is_still(str(path), Seen(one.state, now.mark, one.young))  # as if its times had stayed
    assert is_still(str(path), Seen(one.state, now.mark, False)), "or this test could not fail"
    old = time.time() - 100
    os.utime(path, (old, old))
    assert seen(str(path)).state[2] == sha256(path.read_bytes()).hexdigest()
    assert seen(str(path), seen(str(path)).state).state == seen(str(path)).state


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "gone"])
def test_what_is_no_file_has_no_checksum(kind, tmp_path):
    path = tmp_path / "a.png"
    {"pipe": lambda: os.mkfifo(path), "device": lambda: path.symlink_to("/dev/zero"), "folder": path.mkdir,
     "gone": lambda: None}[kind]()  # fmt: skip
    assert seen(str(path)) == Seen(None) and not is_still(str(path), Seen(None))
