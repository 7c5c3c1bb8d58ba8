"""Ctrl-C and SIGTERM in the middle of the work: one line, 130 and 143, and nothing half written is left."""

import os
import signal
import subprocess
import sys
import time
import zipfile

import pytest
from scripts import ROOT

from facecom.files import PREFIX

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not sys.platform.startswith("linux"), reason="signals and groups of processes as Linux has them"
    ),
]

B = ROOT / "comsys-hackathon-taskB"

#: What a shell's background job ignores is heard all the same.
START = "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); del sys.argv[0]; "
SCRIPT = START + "runpy.run_path(sys.argv[0], run_name='__main__')"
MODULE = START + "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"

SIGNALS = pytest.mark.parametrize("number, code, whom", [(signal.SIGINT, 130, "group"), (signal.SIGTERM, 143, "one")])


@pytest.fixture(scope="module")
def many(flat, tmp_path_factory):
    """So many links to five photos that nobody is done before the signal comes. Read only."""
    folder = tmp_path_factory.mktemp("many") / "Ann"
    folder.mkdir()
    photos = sorted(flat.iterdir())
    for number in range(3000):
        (folder / f"{number:05}.jpg").symlink_to(photos[number % len(photos)])
    return folder.parent


def stopped(start, *words, number, whom, there, folder):
    """(exit code, stderr) of a program that gets a signal as soon as `there()`. whom: the process alone (`one`), or its
    workers too (`group`), as terminals send it."""
    call = [sys.executable, "-c", start, *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    where = {"cwd": folder, "env": env, "start_new_session": True}
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **where) as running:
        until = time.monotonic() + 120
        while not there() and running.poll() is None and time.monotonic() < until:
            time.sleep(0.001)
        assert running.poll() is None and there(), running.stderr.read()
        (os.killpg if whom == "group" else os.kill)(running.pid, number)
        said = running.stderr.read().decode()
    return running.returncode, said


def unfinished(folder):
    return [path for path in folder.rglob("*") if path.name.startswith(PREFIX) or path.name.endswith(".part")]


@SIGNALS
def test_identifying_photos(number, code, whom, many, sample_b, siamese_file, tmp_path):
    """With two workers; rows are there already, under the name that is not yet the output's."""
    flags = ["--img_dir", many / "Ann", "--gallery", sample_b / "val", "--weights", siamese_file, "--workers", 2]
    flags += ["--threshold", 1, "--batch_size", 16, "--device", "cpu", "--quiet", "--output", tmp_path / "out.csv"]
    (tmp_path / "out.csv").write_text("an older result\n")

    def there():
        return any(path.stat().st_size for path in unfinished(tmp_path))

    how = {"number": number, "whom": whom, "there": there, "folder": tmp_path}
    assert stopped(SCRIPT, B / "test.py", *flags, **how) == (code, "stopped\n")
    assert os.listdir(tmp_path) == ["out.csv"] and (tmp_path / "out.csv").read_text() == "an older result\n"


@SIGNALS
def test_enrolling(number, code, whom, many, siamese_file, tmp_path):
    """Whole batches are in the gallery, and nothing else."""
    lancedb = pytest.importorskip("lancedb", reason="needs the extra gallery")
    gallery = tmp_path / "people.lance"
    flags = ["--gallery", gallery, "--img_dir", many, "--weights", siamese_file, "--workers", 2, "--batch_size", 32]

    def there():
        return len(list(gallery.glob("faces.lance/_versions/*.manifest"))) >= 3

    how = {"number": number, "whom": whom, "there": there, "folder": tmp_path}
    assert stopped(SCRIPT, B / "enroll.py", *flags, "--device", "cpu", "--quiet", **how) == (code, "stopped\n")
    assert os.listdir(tmp_path) == ["people.lance"] and not unfinished(tmp_path)
    assert {path.name for path in gallery.iterdir()} == {"faces.lance", "lock"}
    rows = lancedb.connect(gallery).open_table("faces").count_rows()
    assert 0 < rows < 3000 and rows % 32 == 0


@SIGNALS
def test_a_corpus(number, code, whom, many, siamese_file, tmp_path):
    """Whole files are there, and what the next run goes on from."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra ray")
    faces = tmp_path / "faces"
    flags = ["--img_dir", many, "--output", faces, "--weights", siamese_file, "--faces", "one", "--shard", 50]

    def there():
        return len(list(faces.glob("faces-*.parquet"))) >= 2

    how = {"number": number, "whom": whom, "there": there, "folder": tmp_path}
    words = ("facecom.inference.corpus", *flags, "--workers", 2, "--device", "cpu", "--quiet")
    assert stopped(MODULE, *words, **how) == (code, "stopped\n")
    files = list(faces.glob("faces-*.parquet"))
    assert 0 < sum(parquet.read_table(path).num_rows for path in files) < 3000
    assert {path.name for path in faces.iterdir()} - {path.name for path in files} <= {".lock", ".todo", "_corpus.json"}


@SIGNALS
def test_unpacking_an_archive(number, code, whom, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for photo in range(8000):
            file.writestr(f"Task_B/{('train', 'val')[photo % 2]}/Ann/{photo}.jpg", b"photo")
    place = tmp_path / "data"
    flags = ["--archive", tmp_path / "a.zip", "--output", place / "Task_B"]

    def there():
        return any(path.is_file() for path in place.rglob("*"))

    how = {"number": number, "whom": whom, "there": there, "folder": tmp_path}
    assert stopped(SCRIPT, B / "download_data.py", *flags, **how) == (code, "stopped\n")
    assert not list(place.iterdir())
