"""A program that has nothing else to do ends without unloading what it has loaded, and leaves nothing undone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

PROGRAM = """
import argparse, atexit, os, sys, threading, time
sys.path.insert(0, {root!r})
from facecom import cli
from facecom.errors import FacecomError

class Loaded:
    def __del__(self):
        os.write(1, b"unloaded ")

def main(args):
    sys.stdout.write("said ")  # without an end of line: it stays in the buffer
    {work}

loaded = Loaded()
atexit.register(lambda: print("tidied ", end=""))
if __name__ == "__main__":
    cli.run(main, argparse.ArgumentParser(), last={last})
"""


def ended(tmp_path, work="return 0", last=True, start=()):
    """(exit code, what was written to stdout, to stderr) of a program."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(root=str(ROOT), work=work, last=last))
    done = subprocess.run([sys.executable, *start, str(program)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("work, code", [("return 0", 0), ("return 3", 3), ("raise FacecomError('bad')", 2)])
def test_what_is_to_be_done_is_done_and_nothing_is_unloaded(tmp_path, work, code):
    told = ended(tmp_path, work)
    assert told == (code, "said tidied ", "error: bad\n" if code == 2 else "")


def test_other_programs_unload(tmp_path):
    """What only calls `cli.run` goes on, and so does a program that runs another: a notebook, a profiler."""
    assert ended(tmp_path, last=False) == (0, "said tidied unloaded ", "")
    start = ("-c", "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')")
    code, said, _ = ended(tmp_path, start=start)
    assert code == 0 and "unloaded" in said
    code, said, _ = ended(tmp_path, start=("-m", "cProfile"))
    assert code == 0 and "unloaded" in said and "function calls" in said


def test_threads_that_are_at_work_are_waited_for(tmp_path):
    work = "threading.Thread(target=lambda: time.sleep(0.5) or os.write(1, b'worked ')).start()"
    code, said, _ = ended(tmp_path, work)
    assert code == 0 and "worked" in said and said.index("worked") < said.index("unloaded")


def test_nobody_reads_any_more(tmp_path):
    """A pipe whose reader has gone is no failure."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(root=str(ROOT), work="time.sleep(0.5)", last=True))
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        running.stdout.close()
        said = running.stderr.read()
    assert running.returncode == 0 and said == b""


def test_a_defect_shows_its_traceback(tmp_path):
    code, _, said = ended(tmp_path, "1 / 0")
    assert code == 1 and "ZeroDivisionError" in said
