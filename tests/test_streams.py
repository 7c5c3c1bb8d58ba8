"""Standard output and errors that are full or closed: the exit code says it, and no file takes their place."""

import os
import subprocess
import sys

import pytest
from forks import forked
from scripts import ROOT, rows_of, run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="streams and /dev/full as Linux has them")

FULL = "error: cannot write standard output: the disk is full; free some space or choose another folder\n"


#: The quickest script that says something, and the console command.
SCRIPT = (ROOT / "comsys-hackathon-taskB" / "download_data.py",)
CONSOLE = ("-m", "facecom.commands.console")


def shell(redirected, *words, program=SCRIPT):
    """(exit code, stdout, stderr) of a program."""
    line = f'exec "$0" "$@" {redirected}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable, *map(str, (*program, *words))],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("redirected", "code", "said"), [(">/dev/full", 2, FULL), (">&-", 0, ""), ("<&- >&-", 0, ""), (">/dev/null", 0, "")]
)
def test_what_is_said_goes_nowhere(redirected, code, said, sample_b):
    assert shell(redirected, "--sample", "--output", sample_b) == (code, "", said)


@pytest.mark.parametrize("program", [SCRIPT, CONSOLE])
def test_help_that_cannot_be_written_is_no_success(program):
    assert shell(">/dev/full", "--help", program=program) == (2, "", FULL)
    assert shell(">/dev/null", "--help", program=program) == (0, "", "")


def test_what_the_terminal_has_no_letters_for_is_shown_by_numbers(tmp_path, sample_b, monkeypatch):
    """A file name that is no text, too."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "l\udce9on é").symlink_to(sample_b)
    code, out, err = shell("", "--sample", "--output", tmp_path / "l\udce9on é")
    assert (code, err) == (0, "") and "l\\udce9on \\xe9 is there already" in out


def test_errors_that_cannot_be_said_are_in_the_exit_code(tmp_path):
    assert shell("2>&-", "--archive", tmp_path / "nowhere.zip", "--output", tmp_path / "data") == (2, "", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
def test_no_file_takes_the_place_of_a_closed_stream(closed, here, sample_a, gender_file):
    """What a library prints to number 1 or 2 would land in the file that was opened first."""

    def test():
        for number in closed:
            os.close(number)
        sys.stdout = None if 1 in closed else open(1, "w", closefd=False)
        sys.stderr = None if 2 in closed else open(2, "w", closefd=False)
        flags = ("--img_dir", sample_a / "val", "--weights", gender_file, "--workers", 0, "--output", "a.csv")
        assert run("A", *flags) == 0
        for number in range(3):
            os.write(number, b"a library's own words") if number else None
        assert all(os.path.realpath(f"/proc/self/fd/{number}") == os.devnull for number in closed)

    assert forked(test) == 0
    assert len(rows_of("a.csv")) == 12 and "own words" not in open("a.csv").read()
    assert os.listdir(".") == ["a.csv"]


def test_the_work_is_done_before_a_full_disk_is_said(here, sample_a, gender_file):
    def test():
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        sys.stdout = open(1, "w", closefd=False)
        with open("said", "w") as sys.stderr:
            flags = ("--img_dir", sample_a / "val", "--weights", gender_file, "--workers", 0, "--output", "a.csv")
            assert run("A", *flags) == 2

    assert forked(test) == 0
    assert len(rows_of("a.csv")) == 12 and open("said").read() == FULL
