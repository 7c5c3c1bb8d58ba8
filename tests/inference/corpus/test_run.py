"""A corpus of photos: what its files hold, and that nothing is lost or done twice, whatever happens in between."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facecom import FaceVerifier
from facecom.errors import FacecomError
from facecom.inference.corpus import command, rows, worker
from facecom.inference.corpus.run import LOCK, embed_corpus
from facecom.inference.corpus.shards import Photos

pd = pytest.importorskip("pandas")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra ray")

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def folder(sample_b, tmp_path):
    """24 photos of people, a damaged one, and a text."""
    shutil.copytree(sample_b / "val", tmp_path / "photos")
    for copies in (tmp_path / "photos").glob("*/distortion"):
        for path in sorted(copies.iterdir())[3:]:
            path.unlink()
    (tmp_path / "photos" / "a" / "b").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "b" / "bad.jpg").write_bytes(b"no photo")
    (tmp_path / "photos" / "note.txt").write_text("no photo either")
    return tmp_path / "photos"


@pytest.fixture
def embed(siamese_file, tmp_path):
    def run(folder, output=tmp_path / "faces", faces="one", weights=siamese_file, shard=6, **more):
        network = {"weights": [str(weights)], "device": "cpu", "amp": False}
        photos = folder if isinstance(folder, Photos) else Photos(folder)
        return embed_corpus(photos, output, network, {"faces": faces, "workers": 0}, shard=shard, **more)

    return run


def read(folder):
    return pd.read_parquet(folder).sort_values(["file", "face"], ignore_index=True)


def alike(place):
    """Up to rounding: another process may calculate with another number of threads."""
    pd.testing.assert_frame_equal(read(place / "faces"), read(place / "whole"), atol=1e-5)


def test_a_row_a_photo_is_what_the_verifier_says(folder, embed, tmp_path, siamese_file):
    done = embed(folder)
    assert (done.photos, done.faces, done.unreadable, done.ignored) == (25, 24, 1, {".txt": 1})
    table = read(tmp_path / "faces")
    assert table.file.tolist() == sorted(map(str, folder.rglob("*.jpg")))
    bad = table[table.file.str.endswith("bad.jpg")].iloc[0]
    assert bad.reason == "not an image" and bad.embedding is None and bad["size"] == 8
    good = table[table.reason.isna()]
    verifier = FaceVerifier(siamese_file, device="cpu", amp=False, workers=0)
    np.testing.assert_allclose(np.stack(good.embedding), verifier.embed(good.file), atol=1e-5)
    assert (good["size"] == [os.path.getsize(file) for file in good.file]).all() and good.sha256.str.len().eq(64).all()
    left = sorted(path.name for path in (tmp_path / "faces").iterdir() if not path.name.startswith("faces-"))
    assert left == [".lock", "_corpus.json"]


def test_a_row_a_face_is_what_the_verifier_says(folder, embed, tmp_path, siamese_file):
    one, two = sorted(folder.glob("Drawn_Person_00[45]/*.jpg"))[::3][:2]
    pair = np.hstack([np.asarray(Image.open(path)) for path in (one, two)])
    shutil.rmtree(folder)
    folder.mkdir()
    Image.fromarray(pair).save(folder / "pair.png")
    Image.new("RGB", (64, 64), (90, 120, 90)).save(folder / "grass.png")
    assert embed(folder, faces="all").without == 1
    table = read(tmp_path / "faces")
    truth = FaceVerifier(siamese_file, device="cpu", amp=False, workers=0).faces([str(folder / "pair.png")])
    assert table.reason[0] == rows.NO_FACE and table.reason[1:].isna().all() and table.main.sum() == 1
    found = table[1:].reset_index(drop=True)
    for name in ("face", "x", "y", "width", "height", "rotation"):
        np.testing.assert_allclose(found[name].astype(float), truth[name].astype(float), rtol=1e-5)
    np.testing.assert_allclose(np.stack(found.embedding), np.stack(truth.embedding), atol=1e-5)


def test_columns_are_plain_and_say_who_made_them(folder, embed, tmp_path):
    embed(folder)
    for part in (tmp_path / "faces").glob("faces-*.parquet"):
        schema = parquet.read_schema(part)
        assert str(schema.field("embedding").type) == "fixed_size_list<element: float>[128]"
        assert len(schema.metadata[b"weights"]) == 64 and schema.metadata[b"prepared"].startswith(b"off, 64 px")
    duckdb = pytest.importorskip("duckdb")
    query = f"select count(*), count(embedding), max(len(embedding)) from '{tmp_path}/faces/*.parquet'"
    assert duckdb.sql(query).fetchall() == [(25, 24, 128)]


def test_a_later_run_looks_only_at_what_is_new_or_changed(folder, embed, tmp_path):
    embed(folder)
    whole = read(tmp_path / "faces")
    done = embed(folder)
    assert (done.photos, done.kept, done.removed) == (0, 25, 0)
    shutil.copy(folder / "Drawn_Person_005" / "Drawn_Person_005_0001.jpg", folder / "Drawn_Person_007" / "new.jpg")
    done = embed(folder)
    assert 0 < done.photos < 25 and done.kept + done.photos == 26
    assert set(read(tmp_path / "faces").file) - set(whole.file) == {str(folder / "Drawn_Person_007" / "new.jpg")}
    (folder / "a" / "b" / "bad.jpg").unlink()
    embed(folder)
    table = read(tmp_path / "faces")
    assert len(table) == 25 and table.file.is_unique and table.reason.isna().all()


def test_what_stops_in_the_middle_goes_on(folder, embed, tmp_path, monkeypatch):
    real, seen = worker.table_of, []

    def stops(names, *args, **kwargs):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(len(names))
        return real(names, *args, **kwargs)

    monkeypatch.setattr(worker, "table_of", stops)
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / ".facecom.first.part").write_bytes(b"killed before it had said what made it")
    with pytest.raises(KeyboardInterrupt):
        embed(folder, shard=2)  # at most 8 photos a shard, so there are 4 at least
    assert len(list((tmp_path / "faces").glob("faces-*.parquet"))) == 2
    (tmp_path / "faces" / ".facecom.abc.part").write_bytes(b"half")
    monkeypatch.setattr(worker, "table_of", real)
    done = embed(folder, shard=2)
    assert done.kept == sum(seen) and done.photos == 25 - sum(seen)
    embed(folder, tmp_path / "whole", shard=2)
    pd.testing.assert_frame_equal(read(tmp_path / "faces"), read(tmp_path / "whole"))
    assert [path.name for path in (tmp_path / "faces").glob(".*")] == [".lock"]


def test_what_only_bears_a_photos_name_is_a_row_with_a_reason(folder, embed, tmp_path):
    """A pipe was waited for, and a device read for ever, for their checksums."""
    os.mkfifo(folder / "pipe.jpg")
    (folder / "zero.jpg").symlink_to("/dev/zero")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    done = embed(folder)
    assert (done.photos, done.faces, done.unreadable) == (28, 24, 4)
    table = read(tmp_path / "faces").set_index("file")
    reasons = {name: table.reason[str(folder / f"{name}.jpg")] for name in ("pipe", "zero", "gone")}
    assert reasons["pipe"] == reasons["zero"] == "a pipe or a device, not a photo"
    assert reasons["gone"] == "a link that leads nowhere"
    assert table.sha256[[str(folder / f"{name}.jpg") for name in reasons]].isna().all()


def test_urls_are_fetched_and_bad_ones_are_rows(folder, embed, tmp_path):
    good = sorted(folder.glob("Drawn_Person_004/*.jpg"))[0]
    listed = tmp_path / "list.txt"
    listed.write_text(f"file://{good}\nfile://{tmp_path}/gone.jpg\n{good}\n")
    done = embed(Photos(listed=listed))
    assert (done.photos, done.faces, done.unreadable) == (3, 2, 1)
    table = read(tmp_path / "faces")
    names = dict(zip(table.file, table.itertuples(), strict=True))
    by_path, by_url, gone = names[str(good)], names[f"file://{good}"], names[f"file://{tmp_path}/gone.jpg"]
    assert by_url.sha256 == by_path.sha256 and by_url.modified == -1
    np.testing.assert_array_equal(by_url.embedding, by_path.embedding)
    assert gone.reason.startswith("could not be fetched (FileNotFoundError")
    listed.write_text("strange://x/y.jpg\n")
    with pytest.raises(FacecomError, match="strange://x/y.jpg: "):
        embed(Photos(listed=listed), tmp_path / "other")


def test_what_does_not_fit_is_refused(folder, embed, tmp_path, siamese_file):
    embed(folder)
    names = {path.name for path in (tmp_path / "faces").iterdir()}
    with pytest.raises(FacecomError, match="was made with shard 6, not 7: give the same"):
        embed(folder, shard=7)
    with pytest.raises(FacecomError, match="was made with other weights or flags"):
        embed(folder, weights=_other(siamese_file, tmp_path))
    with pytest.raises(FacecomError, match=r"photos: 1 photos, 25 at the last run: is every disk there\?"):
        shutil.move(folder / "a", tmp_path / "a")
        shutil.rmtree(folder)
        shutil.move(tmp_path / "a", folder / "a")
        embed(folder)
    assert {path.name for path in (tmp_path / "faces").iterdir()} - {".todo"} == names
    with pytest.raises(FacecomError, match="a folder of other files, no corpus"):
        embed(folder, tmp_path)
    shutil.rmtree(folder / "a")
    with pytest.raises(FacecomError, match="photos: no photos"):
        embed(folder, tmp_path / "none")


def _other(weights, tmp_path):
    import torch

    content = torch.load(weights, weights_only=True)
    content["epoch"] = 7
    torch.save(content, tmp_path / "other.pt")
    return tmp_path / "other.pt"


@pytest.mark.skipif(sys.platform == "win32", reason="nobody watches there")
def test_two_runs_at_once_are_one_too_many(folder, embed, tmp_path):
    import fcntl

    (tmp_path / "faces").mkdir()
    with open(tmp_path / "faces" / LOCK, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FacecomError, match="another run is at work on it"):
            embed(folder)


def test_without_pyarrow_a_line_says_what_to_install(folder, embed, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FacecomError, match=r'needs the package pyarrow: pip install "facecom\[ray\]"'):
        embed(folder)


def test_the_command_names_one_source(folder, here):
    parse = command.get_args_parser().parse_args
    assert command.photos_of(parse([str(folder)])).folder == folder
    assert list(command.photos_of(parse(["a.jpg", "s3://b/c.jpg"]))) == [str(here / "a.jpg"), "s3://b/c.jpg"]
    for words in ([], [str(folder), "--list", "x"], ["--img_dir", str(folder), "a.jpg"]):
        with pytest.raises(FacecomError, match=r"give a folder \(--img_dir\), --list FILE, or paths and URLs"):
            command.photos_of(parse(words))


def flags_of(folder, siamese_file, output):
    flags = ["--img_dir", folder, "--output", output, "--weights", siamese_file, "--device", "cpu", "--no-amp"]
    return [str(word) for word in (*flags, "--quiet", "--faces", "one", "--shard", 2)]


@pytest.mark.slow
def test_a_run_that_is_killed_loses_nothing(folder, embed, tmp_path, siamese_file):
    flags = flags_of(folder, siamese_file, tmp_path / "faces")
    words = [sys.executable, "-m", "facecom.inference.corpus", *flags]
    where = {"cwd": ROOT, "env": os.environ | {"PYTHONPATH": str(ROOT)}}
    run = subprocess.Popen(words, **where)
    while not list((tmp_path / "faces").glob("faces-*.parquet")):
        assert run.poll() is None
        time.sleep(0.001)
    run.kill()
    run.wait()
    there = len(list((tmp_path / "faces").glob("faces-*.parquet")))
    subprocess.run(words, check=True, **where)
    embed(folder, tmp_path / "whole", shard=2)
    alike(tmp_path)
    assert 1 <= there <= len(list((tmp_path / "faces").glob("faces-*.parquet")))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_worker_of_ray_that_is_killed_loses_nothing(folder, embed, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    killed = threading.Event()

    def kill():
        while not killed.is_set():
            for place in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    title = place.read_bytes()
                    if b"ray::" in title and b"RayWorker" in title and list((tmp_path / "faces").glob("*.parquet")):
                        os.kill(int(place.parent.name), signal.SIGKILL)
                        killed.set()
                        return
            time.sleep(0.001)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        done = embed(folder, shard=1, ray=True, concurrency=1)
    finally:
        was_killed = killed.is_set()
        killed.set()
        killer.join()
    assert was_killed and done.photos == 25
    embed(folder, tmp_path / "whole", shard=1)
    mine, truth = read(tmp_path / "faces"), read(tmp_path / "whole")
    np.testing.assert_allclose(np.stack(mine.embedding.dropna()), np.stack(truth.embedding.dropna()), atol=1e-5)
    pd.testing.assert_frame_equal(mine.drop(columns="embedding"), truth.drop(columns="embedding"), rtol=1e-4)
