"""Other machines: any number of workers, processes that are spawned, no shared memory, no home, a read-only folder."""

import os
import shutil
import subprocess
import sys

import pytest
import torch
from cuts import same_run, train
from scripts import ROOT, rows_of


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.mark.slow
@pytest.mark.parametrize("task, epochs", [("A", 1), ("B", 2)])
def test_training_is_the_same_with_any_number_of_workers(task, epochs, request, tmp_path):
    sample = request.getfixturevalue(f"sample_{task.lower()}")
    for workers in (0, 1, 3):
        train(task, sample, tmp_path / str(workers), "--workers", workers, "--epochs", epochs)
    same_run(tmp_path / "0", tmp_path / "1")
    same_run(tmp_path / "0", tmp_path / "3")


TRAINED = """
import multiprocessing, sys
if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.path[:0] = [sys.argv.pop(1)]
    import pathlib, torch
    from cuts import train
    torch.set_num_threads(1)
    train("B", pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *sys.argv[3:])
"""


@pytest.mark.slow
def test_training_is_the_same_with_spawned_workers(sample_b, tmp_path):
    """As on macOS and Windows, where the photos are read by such. Without `val`: each start takes seconds."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "train").symlink_to(sample_b / "train")
    (tmp_path / "spawned.py").write_text(TRAINED)
    call = [sys.executable, "spawned.py", ROOT / "tests", data, tmp_path / "spawned", "--workers", "1", "--epochs", "1"]
    subprocess.run([*map(str, call)], check=True, capture_output=True, timeout=280, cwd=tmp_path)
    train("B", data, tmp_path / "alone", "--workers", 0, "--epochs", 1)
    same_run(tmp_path / "alone", tmp_path / "spawned")


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root's own view of the disks")
def test_a_machine_with_nothing(sample_a, gender_file, tmp_path):
    """No shared memory, no home, the plainest locale, and a folder in which nothing may be written."""
    nowhere = tmp_path / "nowhere"
    nowhere.mkdir()
    script = ROOT / "comsys-hackathon-taskA" / "test.py"
    flags = f"--img_dir {sample_a / 'val'} --weights {gender_file} --device cpu --no-amp --workers 2 --quiet"
    bare = f"mount -t tmpfs -o ro,size=4k none /dev/shm && mount -t tmpfs -o ro none {nowhere} && cd {nowhere} &&"
    environment = {"PATH": os.environ["PATH"], "HOME": "/proc/none", "LC_ALL": "C", "PYTHONPATH": str(ROOT)}
    call = lambda more: subprocess.run(  # noqa: E731
        ["unshare", "-m", "sh", "-c", f"{bare} {sys.executable} {script} {flags} {more}"],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    done = call(f"--output {tmp_path / 'out.csv'} --report {tmp_path / 'report'}")
    if "permission denied" in done.stderr.lower() and "mount" in done.stderr:
        pytest.skip("may not mount here")
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if not line.startswith("note: little shared memory")] == []
    assert len(rows_of(tmp_path / "out.csv")) == 12
    done = call("")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: cannot write submission.csv: the file system is read-only")
