"""Killed at any moment: no file is ever broken, and what is started again ends as if nothing had happened."""

import csv
import os
import random
import resource
import subprocess
import sys
import time

import pytest
import torch
import yaml
from cuts import TINY, same_run, train
from forks import forked
from scripts import ROOT, rows_of, run

from facecom import files
from facecom.errors import FacecomError
from facecom.files import write_whole
from facecom.models import checkpoint

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="forks, kills and limits as Linux has them"
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def is_whole(folder):
    """Every file there can be read from end to end; what is not finished is hidden."""
    for path in folder.rglob("*"):
        if path.is_dir() or path.name.startswith("."):
            continue
        if path.suffix == ".pt":
            assert checkpoint.read(path)["epoch"] >= 0
        elif path.suffix == ".yaml":
            assert yaml.safe_load(path.read_text())["epochs"] == 4
        elif path.suffix == ".csv":
            rows = list(csv.reader(path.read_text().splitlines()))
            assert len({len(row) for row in rows}) == 1
        else:
            assert path.suffix == ".png" and path.read_bytes().endswith(b"IEND\xaeB`\x82")


@pytest.mark.slow
@pytest.mark.parametrize("task", ["A", "B"])
def test_training_killed_again_and_again_is_the_same_to_the_bit(task, sample_a, sample_b, tmp_path):
    """Before every step of the file system in turn, then at ten random moments."""
    data = {"A": sample_a, "B": sample_b}[task]
    train(task, data, tmp_path / "whole")  # here: what it imports, the forked need not
    began = time.monotonic()
    assert forked(lambda: train(task, data, tmp_path / "again")) == 0
    takes = time.monotonic() - began
    cut, rng, kills, ended = tmp_path / "cut", random.Random(0), 0, []
    for attempt in range(1, 200):
        late = kills >= 10
        how = (
            {"die_after": rng.uniform(0, takes / 2)}
            if late and kills < 20
            else {"die_at": attempt if not late else None}
        )
        code = forked(lambda: train(task, data, cut, "--resume"), **how)
        is_whole(tmp_path)
        kills += code == 137
        ended.append(code)
        if code == 0 and kills >= 20:
            break
        assert code in (0, 137)
    assert kills >= 20, ended
    same_run(tmp_path / "whole", cut)
    assert not [path for path in cut.rglob(".*")]  # what killed writers left is swept away


@pytest.mark.parametrize("task", ["A", "B"])
def test_a_run_cut_after_its_last_epoch_has_its_whole_log(task, sample_a, sample_b, tmp_path):
    """`last.pt` knows the epoch, `log.csv` does not yet."""
    data = {"A": sample_a, "B": sample_b}[task]
    train(task, data, tmp_path)
    log = tmp_path / "run/log.csv"
    whole = log.read_bytes()
    log.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    train(task, data, tmp_path, "--resume")
    assert log.read_bytes() == whole


@pytest.mark.parametrize("step", range(1, 6))
def test_a_table_is_the_old_one_or_the_new_one(step, sample_a, gender_file, tmp_path):
    output = tmp_path / "out" / "submission.csv"
    with write_whole(output) as file:
        file.write("an older result\n")

    def test():
        arguments = ("--img_dir", sample_a / "val", "--weights", gender_file, "--output", output)
        assert run("A", *arguments, "--workers", 0) == 0

    code = forked(test, die_at=step)
    assert code in (0, 137)
    if output.read_text() != "an older result\n":
        assert len(rows_of(output)) == 12
    else:
        assert code == 137
    files._SWEPT.clear()
    with write_whole(output) as file:
        file.write("next\n")
    assert [path.name for path in output.parent.iterdir()] == ["submission.csv"]


def test_what_another_is_writing_stays(tmp_path):
    with write_whole(tmp_path / "a") as file:
        file.write("half")
        file.flush()
        files._SWEPT.clear()
        with write_whole(tmp_path / "b") as other:
            other.write("whole")
    assert (tmp_path / "a").read_text() == "half" and (tmp_path / "b").read_text() == "whole"


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_a_disk_that_is_full_loses_nothing(tmp_path, mode):
    path = tmp_path / "result"
    path.write_text("whole")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(FacecomError, match="cannot write .*result: the file would be larger"):
            with write_whole(path, mode) as file:
                file.write("x" * 20_000 if mode == "w" else b"x" * 20_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "whole" and os.listdir(tmp_path) == ["result"]


@pytest.mark.slow
def test_training_on_a_disk_that_fills_up(small_disk, sample_b, capsys):
    """The first epoch has room, the next has not; with room again it goes on."""
    train("B", sample_b, small_disk, "--epochs", 1)
    kept = {path: path.read_bytes() for path in small_disk.rglob("*") if path.is_file()}
    ballast = small_disk / "ballast"
    with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    where = ("--data_dir", sample_b, "--run_dir", small_disk / "run", "--output", small_disk / "w" / "best.pt")
    capsys.readouterr()
    assert run("B", *where, *TINY.split(), "--resume", script="train") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write ") and "the disk is full" in said and said.count("\n") == 1
    assert all(path.read_bytes() == content for path, content in kept.items())
    ballast.unlink()
    assert run("B", *where, *TINY.split(), "--resume", script="train") == 0
    assert checkpoint.read(small_disk / "run/last.pt")["epoch"] == 4


@pytest.mark.slow
def test_enrolment_on_a_disk_that_fills_up(small_disk, sample_b, siamese_file, capsys):
    """Who was enrolled stays; with room again the others come."""
    pytest.importorskip("lancedb", reason="needs the extra gallery")
    gallery = ("--gallery", small_disk / "people.lance", "--weights", siamese_file)
    assert run("B", *gallery, "--img_dir", sample_b / "val", script="enroll") == 0
    ballast = small_disk / "ballast"
    with pytest.raises(OSError), open(ballast, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    capsys.readouterr()
    assert run("B", *gallery, "--img_dir", sample_b / "train", script="enroll") == 2
    said = capsys.readouterr().err
    assert (
        said.startswith("error: cannot write ") and said.endswith("choose another folder\n") and said.count("\n") == 1
    )
    assert run("B", *gallery, "--list", script="enroll") == 0
    assert "4 people, 12 photos" in capsys.readouterr().out
    ballast.unlink()
    assert run("B", *gallery, "--img_dir", sample_b / "train", script="enroll") == 0
    assert "8 people, 24 photos" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("number, code, whom", [(2, 130, "group"), (15, 143, "group"), (15, 143, "one")])
def test_signals_to_a_training_with_workers(number, code, whom, sample_b, tmp_path):
    """To the process alone, and to its workers too, as a terminal, `timeout` and containers send them."""
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    flags = [*TINY.split(), "--workers", "2", "--epochs", "1000", "--patience", "1000", "--data_dir", str(sample_b)]
    flags += ["--run_dir", str(tmp_path / "run"), "--output", str(tmp_path / "best.pt")]
    script = ROOT / "comsys-hackathon-taskB" / "train.py"
    start = f"{heard}import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    call = [sys.executable, "-c", start, script, *flags]
    with subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True) as running:
        until = time.monotonic() + 120
        while not (tmp_path / "run" / "last.pt").exists() and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(0.5)
        (os.killpg if whom == "group" else os.kill)(running.pid, number)
        said = running.stderr.read()
    assert (running.returncode, said) == (code, b"stopped\n")
    assert checkpoint.read(tmp_path / "run" / "last.pt")["epoch"] >= 1
