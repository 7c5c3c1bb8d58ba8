"""A corpus, and the gallery that is filled from it, killed at any moment: the same rows in the end, nothing broken."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from forks import forked
from scripts import ROOT, run

pd = pytest.importorskip("pandas")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra ray")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks and kills as Linux has them"),
]

SHARDS, ROWS = 24, 40

KEY = ["identity", "file", "modified"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def rows_in(folder):
    """Of all whole files of a corpus; one that is broken could not be read."""
    parts = [parquet.read_table(path).to_pandas() for path in sorted(folder.glob("faces-*.parquet"))]
    return pd.concat(parts).sort_values("file", ignore_index=True) if parts else pd.DataFrame(columns=["file"])


def test_a_corpus_killed_again_and_again_has_the_same_rows(sample_b, siamese_file, tmp_path):
    """Before each of the first steps of the file system, then at random moments; each time it goes on."""
    from facecom import cli
    from facecom.inference.corpus import command

    def corpus(output):
        words = ["--img_dir", sample_b / "val", "--output", output, "--weights", siamese_file, "--faces", "one"]
        words += ["--device", "cpu", "--no-amp", "--quiet", "--shard", 3, "--workers", 0]
        with pytest.raises(SystemExit) as left:
            cli.run(command.main, command.get_args_parser(), [*map(str, words)])
        assert not left.value.code

    corpus(tmp_path / "whole")
    began = time.monotonic()
    assert forked(lambda: corpus(tmp_path / "again")) == 0
    takes = time.monotonic() - began
    truth, cut = rows_in(tmp_path / "whole"), tmp_path / "cut"
    rng, kills, seen, code, latest = random.Random(0), 0, [], None, takes
    for attempt in range(90):
        how = {"die_at": 1 + 2 * attempt} if attempt < 6 else {"die_after": rng.uniform(latest / 4, latest)}
        code = forked(lambda: corpus(cut), **(how if kills < 20 else {}))
        assert code in (0, 137)
        kills += code == 137
        rows = rows_in(cut)
        assert rows.file.is_unique and set(rows.file) <= set(truth.file)
        seen.append(len(rows))
        if code == 0 and kills >= 20:
            break
        if code == 0:  # done before it was to be killed: once more, from a part of it, and sooner
            latest *= 0.8
            for path in sorted(cut.glob("faces-*.parquet"))[::2]:
                path.unlink()
    assert code == 0 and kills >= 20, seen
    pd.testing.assert_frame_equal(rows_in(cut), truth, atol=1e-5)
    left = {path.name for path in cut.iterdir() if not path.name.startswith("faces-")}
    assert left == {".lock", "_corpus.json"} and json.loads((cut / "_corpus.json").read_text())["photos"] == len(truth)


def test_a_corpus_on_a_disk_that_fills_up(small_disk, flat, siamese_file, tmp_path, capsys):
    """What was written stays as it is; with room again the same command does the others."""
    from facecom import cli
    from facecom.inference.corpus import command

    (tmp_path / "photos").mkdir()
    for number, path in enumerate(sorted(flat.iterdir()) * 12):
        (tmp_path / "photos" / f"{number}.jpg").symlink_to(path)

    def corpus():
        words = ["--img_dir", tmp_path / "photos", "--output", small_disk / "faces", "--weights", siamese_file]
        words += ["--faces", "one", "--device", "cpu", "--no-amp", "--quiet", "--shard", 4, "--workers", 0]
        with pytest.raises(SystemExit) as left:
            cli.run(command.main, command.get_args_parser(), [*map(str, words)])
        return left.value.code or 0

    ballast = small_disk / "ballast"
    with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, ballast.stat().st_size - 100_000)
    assert corpus() == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write ") and "the disk is full" in said and said.count("\n") == 1
    kept = {path: path.read_bytes() for path in (small_disk / "faces").glob("faces-*.parquet")}
    assert 0 < len(rows_in(small_disk / "faces")) < 60 and not list(small_disk.rglob("*.part"))
    ballast.unlink()
    assert corpus() == 0
    assert all(path.read_bytes() == content for path, content in kept.items())
    assert sorted(rows_in(small_disk / "faces").file) == sorted(map(str, (tmp_path / "photos").iterdir()))


@pytest.mark.timeout(600)
def test_a_run_over_ray_whose_driver_is_killed_goes_on(sample_b, siamese_file, tmp_path):
    """Its workers live on for a moment, and may still write; the folder is free at once."""
    pytest.importorskip("ray", reason="needs the extra ray")
    words = [sys.executable, "-W", "ignore", "-m", "facecom.inference.corpus", "--img_dir", sample_b / "val"]
    words += ["--weights", siamese_file, "--faces", "one", "--device", "cpu", "--no-amp", "--quiet", "--shard", 1]
    words, env = [*map(str, words), "--output"], os.environ | {"PYTHONPATH": str(ROOT)}
    driver = subprocess.Popen([*words, str(tmp_path / "cut"), "--ray"], env=env, cwd=tmp_path)
    while len(list((tmp_path / "cut").glob("faces-*.parquet"))) < 2:
        assert driver.poll() is None
        time.sleep(0.001)
    driver.kill()
    driver.wait()
    there = len(rows_in(tmp_path / "cut"))
    subprocess.run([*words, str(tmp_path / "cut")], env=env, cwd=tmp_path, check=True)
    subprocess.run([*words, str(tmp_path / "whole")], env=env, cwd=tmp_path, check=True)
    rows, truth = rows_in(tmp_path / "cut"), rows_in(tmp_path / "whole")
    pd.testing.assert_frame_equal(rows, truth, atol=1e-5)
    assert 0 < there < len(truth)
    left = {path.name for path in (tmp_path / "cut").iterdir() if not path.name.startswith("faces-")}
    assert left == {".lock", "_corpus.json"}


def write_corpus(folder, weights, modified):
    """Embeddings of nobody, as a corpus of these weights has them: 24 files of 40 photos. modified: seeds them, too."""
    import pyarrow

    from facecom.inference import ensemble
    from facecom.inference.corpus.rows import schema_of
    from facecom.inference.gallery.rows import made_by_of

    schema = schema_of(128, made_by_of(ensemble.load([str(weights)], "siamese")))
    rng = np.random.default_rng(modified)
    folder.mkdir()
    for shard in range(SHARDS):
        faces = rng.normal(size=(ROWS, 128)).astype(np.float32)
        faces /= np.linalg.norm(faces, axis=1, keepdims=True)
        rows = [
            {"file": f"/photos/p{shard}/{row}.jpg", "face": 1, "main": True, "told": True, "embedding": face,
             "size": 1000 + row, "modified": modified, "sha256": f"{shard:031}{row:031}{modified:02}", "quality": 0.5}
            for row, face in enumerate(faces)
        ]  # fmt: skip
        columns = {field.name: pyarrow.array([row.get(field.name) for row in rows], field.type) for field in schema}
        parquet.write_table(pyarrow.table(columns, schema=schema), folder / f"faces-{shard:020x}.parquet")


def enrol_and_kill(weights, folder):
    """In a process of its own, which has imported LanceDB and never used it: its threads do not live on in a fork.

    By turns into an empty gallery, and into one of the same photos as they were before, which are all replaced. Prints
    how often it was killed, and how many of the new rows were there each time.
    """
    import lancedb  # noqa: F401

    from facecom.commands import enroll  # noqa: F401
    from facecom.inference.gallery import Gallery

    torch.set_num_threads(1)
    for name, modified in (("before", 6), ("now", 7)):
        write_corpus(folder / name, weights, modified)

    def enrol(faces, gallery):
        flags = ["--from", folder / faces, "--weights", weights, "--no-amp", "--gallery", gallery]
        assert run("B", *flags, script="enroll") == 0

    def dump(gallery):
        """All rows, read as anybody reads a gallery."""
        rows = Gallery(gallery).store.read(["identity", "file", "size", "modified", "sha256", "embedding"])
        if rows is not None:
            rows.to_pandas().sort_values(["identity", "file"], ignore_index=True).to_pickle(folder / "rows")

    def dumped(gallery):
        (folder / "rows").unlink(missing_ok=True)
        assert not gallery.exists() or forked(lambda: dump(gallery)) == 0
        return pd.read_pickle(folder / "rows") if (folder / "rows").exists() else pd.DataFrame(columns=KEY)

    began = time.monotonic()
    for name in ("before", "now"):
        assert forked(lambda name=name: enrol(name, folder / f"{name}.lance")) == 0
    takes = (time.monotonic() - began) / 2
    truth = pd.concat([dumped(folder / "before.lance"), dumped(folder / "now.lance")])
    assert len(truth) == 2 * SHARDS * ROWS
    rng, kills, there, least, latest = random.Random(1), 0, [], 0, takes
    for attempt in range(90):
        how = {"die_after": rng.uniform(0.2, 1) * latest} if kills < 20 else {}
        code = forked(lambda: enrol("now", folder / "cut.lance"), **how)
        assert code in (0, 137), code
        kills += code == 137
        rows = dumped(folder / "cut.lance")
        assert len(rows) % ROWS == 0 and len(rows) >= least and not rows.duplicated(KEY[:2]).any()
        wanted = rows[KEY].merge(truth, how="left")
        pd.testing.assert_frame_equal(rows, wanted[rows.columns], check_dtype=False)
        there.append(int((rows.modified == 7).sum()))
        if code == 0:
            assert there[-1] == SHARDS * ROWS
            if kills >= 20:
                break
            latest *= 0.8  # done before it was to be killed
            os.rename(folder / "cut.lance", folder / f"done{attempt}.lance")
            least = SHARDS * ROWS - least  # every other time
            if least:
                shutil.copytree(folder / "before.lance", folder / "cut.lance")
    print(json.dumps({"kills": kills, "there": there, "last": code}))


def test_an_enrolment_from_a_corpus_killed_again_and_again_has_the_same_rows(siamese_file, tmp_path):
    pytest.importorskip("lancedb", reason="needs the extra gallery")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    words = [sys.executable, "-W", "ignore", __file__, siamese_file, tmp_path]
    done = subprocess.run([*map(str, words)], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["kills"] >= 20 and told["last"] == 0 and told["there"][-1] == SHARDS * ROWS
    assert any(0 < count < SHARDS * ROWS for count in told["there"]), told  # or no kill came in between
    assert {path.name for path in (tmp_path / "cut.lance").iterdir()} == {"faces.lance", "lock"}


if __name__ == "__main__":
    enrol_and_kill(*map(Path, sys.argv[1:]))
