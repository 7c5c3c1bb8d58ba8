"""Ctrl-C and SIGTERM while a program is still importing: one line, 130 and 143."""

import os
import random
import signal
import subprocess
import sys

import pytest
from scripts import ROOT

from facecom import signals

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")

#: Runs a script, or a module (-m), that gets a signal at an import: of this name, or the so-manieth.
RUN = """
import os, runpy, signal, sys
number, where, way = int(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.argv = sys.argv[3 + (way == "-m"):]
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job's children would ignore it
class Finder:
    count = 0
    def find_spec(self, name, path=None, target=None):
        Finder.count += 1
        if where in (name, str(Finder.count)):
            os.kill(os.getpid(), number)
sys.meta_path.insert(0, Finder())
try:
    if way == "-m":
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print("imports", Finder.count)
"""

A, B = ROOT / "comsys-hackathon-taskA", ROOT / "comsys-hackathon-taskB"
PROGRAMS = {
    "test A": (A / "test.py", "--img_dir", "nowhere"), "test B": (B / "test.py", "--img_dir", "nowhere"),
    "train A": (A / "train.py", "--data_dir", "nowhere"), "train B": (B / "train.py", "--data_dir", "nowhere"),
    "enroll": (B / "enroll.py", "--list"), "group": (B / "group.py", "--img_dir", "nowhere"),
    "download A": (A / "download_data.py", "--archive", "nowhere"), "weights B": (B / "download_weights.py", "--help"),
    "app": (ROOT / "app.py", "--help"), "facecom": ("-m", "facecom.commands.console", "verify", "a.jpg", "b.jpg"),
    "export": ("-m", "facecom.export", "--task", "gender", "--weights", "nowhere.pt", "--output", "a.onnx"),
    "corpus": ("-m", "facecom.inference.corpus", "nowhere"),
}  # fmt: skip


def ended(program, number, where, folder):
    """(exit code, stderr, imports) of a program that gets a signal."""
    call = [sys.executable, "-c", RUN, str(int(number)), str(where), *map(str, PROGRAMS[program])]
    done = subprocess.run(call, cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    return done.returncode, done.stderr, int(done.stdout.split()[-1]) if done.stdout else None


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_signal_at_the_first_import(program, tmp_path):
    assert ended(program, signal.SIGINT, "argparse", tmp_path)[:2] == (130, "stopped\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "program, where",
    [("test B", "yaml"), ("test B", "numpy"), ("facecom", "yaml"), ("facecom", "numpy"), ("facecom", "torch")],
)
def test_a_signal_before_and_within_the_command(program, number, code, where, tmp_path):
    assert ended(program, number, where, tmp_path)[:2] == (code, "stopped\n")


@pytest.mark.slow
@pytest.mark.parametrize("program", ["test A", "train B", "facecom", "export"])
def test_signals_at_random_imports(program, tmp_path):
    """From the guard on; the interpreter's own start is not the program's."""
    code, said, count = ended(program, signal.SIGINT, "none", tmp_path)
    assert code == 2 and said.startswith("error: ") and count > 100
    rng = random.Random(program)
    for turn in range(4):
        number, code = ((signal.SIGINT, 130), (signal.SIGTERM, 143))[turn % 2]
        where = rng.randint(20, count)
        assert ended(program, number, where, tmp_path)[:2] == (code, "stopped\n"), (where, count)


#: A program that gets a signal when its command has ended.
ENDED = """
import atexit, os, signal, sys
from argparse import ArgumentParser
from facecom import cli, signals
from facecom.errors import FacecomError
signal.signal(signal.SIGINT, signal.default_int_handler)
signals.end_in_one_line()
atexit.register(os.kill, os.getpid(), int(sys.argv[1]))
def main(args):
    {}
cli.run(main, ArgumentParser(), [])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "command, code, said",
    [
        ("raise FacecomError('wrong')", 2, "error: wrong\n"),
        ("raise SystemExit(2)", 2, ""),
        ("return 3", 3, ""),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "stopped\n"),
        ("return 0", None, "stopped\n"),
    ],
)
def test_a_signal_after_the_end_adds_no_line(number, command, code, said):
    """As `torchrun` sends it to the process that has told of a dead one."""
    call = [sys.executable, "-c", ENDED.format(command), str(int(number))]
    done = subprocess.run(call, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code or 128 + number, said)


#: A program that is stopped when a library was about to wait for something.
CUT_OFF = """
import os, signal, time
from argparse import ArgumentParser
from facecom import cli
async def version():
    pass
def wait(coroutine):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
cli.run(lambda args: wait(version()), ArgumentParser(), [])
"""


def test_a_library_that_was_cut_off_adds_no_line():
    call, env = [sys.executable, "-c", CUT_OFF], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (143, "stopped\n")


#: A program to which something happens while it says why it ended.
SAYS = """
import os, signal, sys, time
from argparse import ArgumentParser
from facecom import cli, signals
signal.signal(signal.SIGINT, signal.default_int_handler)
signals.end_in_one_line()
class Words:
    first = True
    def write(self, text):
        if Words.first:
            Words.first = False
            {within}
        os.write(2, text.encode())
    def flush(self): pass
def raised(*_):
    raise RuntimeError("DataLoader worker exited unexpectedly")
def worker():
    signal.signal(signal.SIGCHLD, raised)
    if not os.fork():
        time.sleep(0.1)
        os._exit(1)
def main(args):
    {command}
sys.stderr = Words()
cli.run(main, ArgumentParser(), [])
"""


def said(within, command):
    call = [sys.executable, "-c", SAYS.format(within=within, command=command)]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_while_the_end_is_said(number):
    assert said(f"os.kill(os.getpid(), signal.{number})", "os.kill(os.getpid(), signal.SIGINT)") == (130, "stopped\n")


def test_a_worker_that_ends_while_the_end_is_said():
    """torch raises from its handler of SIGCHLD."""
    assert said("time.sleep(0.3)", "worker(); os.kill(os.getpid(), signal.SIGTERM)") == (143, "stopped\n")


def test_a_forked_worker_leaves_the_words_to_its_parent():
    command = "child = os.fork(); time.sleep(60 if child == 0 else 0.3); os.kill(child, signal.SIGTERM); "
    command += "assert os.waitstatus_to_exitcode(os.wait()[1]) == 143; os.kill(os.getpid(), signal.SIGTERM)"
    assert said("pass", command) == (143, "stopped\n")


def test_what_a_caller_has_set_stays(monkeypatch):
    """A shell's background job ignores Ctrl-C."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, signal.SIG_IGN)
        signals.end_in_one_line()
        assert all(signal.getsignal(number) is signal.SIG_IGN for number in before)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
