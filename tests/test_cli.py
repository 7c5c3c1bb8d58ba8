import argparse
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from facecom import cli
from facecom.errors import FacecomError


def parser():
    parser = argparse.ArgumentParser(parents=[cli.shared_arguments()])
    parser.add_argument("--config")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--data_dir", default="data")
    parser.add_argument("--extra_data", nargs="*", default=[])
    parser.add_argument("--resume", action="store_true")
    return parser


def test_config_stands_over_defaults_and_flags_over_the_config(tmp_path):
    first = cli.parse(parser(), ["--lr", "0.5", "--no-amp", "--quiet", "--extra_data", "a b", "c", "--align", "fixed"])
    cli.save_settings(tmp_path / "args.yaml", first)
    assert "resume" not in (tmp_path / "args.yaml").read_text()  # a new run from old settings is a new run
    again = cli.parse(parser(), ["--config", str(tmp_path / "args.yaml"), "--seed", "7", "--align=off"])
    expected = {**vars(first), "config": str(tmp_path / "args.yaml"), "seed": 7, "align": "off"}
    assert vars(again) == expected
    assert again.lr == 0.5 and again.amp is False and again.extra_data == ["a b", "c"]


def test_unknown_and_wrong_settings_are_refused(tmp_path, capsys):
    path = tmp_path / "args.yaml"
    path.write_text("lr: 0.1\nlearning_rat: 0.2\n")
    with pytest.raises(FacecomError, match=r"args\.yaml: unknown settings learning_rat"):
        cli.parse(parser(), ["--config", str(path)])
    path.write_text("align: sideways\n")
    with pytest.raises(SystemExit):
        cli.parse(parser(), ["--config", str(path)])
    assert "invalid choice: 'sideways'" in capsys.readouterr().err
    path.write_text("just text\n")
    with pytest.raises(FacecomError, match="holds no settings"):
        cli.parse(parser(), ["--config", str(path)])
    with pytest.raises(FacecomError, match="cannot be read as settings"):
        cli.parse(parser(), ["--config", str(tmp_path / "none.yaml")])


def test_run_turns_errors_into_one_line_and_an_exit_code(capsys):
    def fails(args):
        raise FacecomError("photo.jpg: truncated: fetch it again")

    def stopped(args):
        raise KeyboardInterrupt

    says = [(fails, 2), (stopped, 130), (lambda args: 3, 3), (lambda args: None, 0), (lambda args: {"a": 1}, 0)]
    for main, code in says:
        with pytest.raises(SystemExit) as left:
            cli.run(main, parser(), [])
        assert left.value.code == code
    assert capsys.readouterr().err == "error: photo.jpg: truncated: fetch it again\nstopped\n"
    with pytest.raises(ZeroDivisionError):
        cli.run(lambda args: 1 / 0, parser(), [])


def test_device_and_half_precision(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cli.pick_device("auto") == torch.device("cpu") == cli.pick_device("cpu")
    with pytest.raises(FacecomError, match="no CUDA device"):
        cli.pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert cli.pick_device("auto").type == "cuda"
    assert cli.pick_amp(True, torch.device("cuda")) == torch.float16
    for has, expected in ((True, torch.bfloat16), (False, None)):
        monkeypatch.setattr(cli, "cpu_has_bf16", lambda has=has: has)
        assert cli.pick_amp(True, torch.device("cpu")) == expected
        assert cli.pick_amp(False, torch.device("cpu")) is None


@pytest.mark.parametrize("held_to, has", [("", True), ("AVX2", False), ("avx512_core", False), ("DEFAULT", True)])
def test_bfloat16_is_left_alone_where_onednn_is_held_to_less(monkeypatch, held_to, has):
    monkeypatch.setattr(cli.Path, "read_text", lambda self: "flags : avx2 avx512f avx512_bf16")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held_to)
    assert cli.cpu_has_bf16.__wrapped__() is has


def test_importing_it_does_not_import_torch():
    code = "import sys, facecom.cli; facecom.cli.shared_arguments(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


LONG = """
import argparse, sys, time
from pathlib import Path
from facecom import cli

def main(args):
    print("first", flush=True)
    sys.stdin.read()  # until the reader has left
    for _ in range(1000):
        print("x" * 1000, flush=True)
    Path(sys.argv[1]).write_text("done")

cli.run(main, argparse.ArgumentParser(), [])
"""

WAITING = """
import argparse, time
from facecom import cli

def main(args):
    print("ready", flush=True)
    time.sleep(60)

cli.run(main, argparse.ArgumentParser(), [])
"""


def test_a_reader_that_leaves_does_not_end_the_work(tmp_path):
    command = [sys.executable, "-c", LONG, str(tmp_path / "result")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"first\n"
        running.stdout.close()
        running.stdin.close()
        said = running.stderr.read()
    assert (running.returncode, said) == (0, b"") and (tmp_path / "result").read_text() == "done"


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_in_one_line_and_their_code(number, code):
    # A shell's background jobs ignore SIGINT, and so would what they start: this process shall not.
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", heard + WAITING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline() == b"ready\n"
        running.send_signal(number)
        said = running.stderr.read()
    assert (running.returncode, said) == (code, b"stopped\n")


def test_a_quoted_home_is_found(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    parser = argparse.ArgumentParser()
    parser.add_argument("--img_dir", type=Path)
    parser.add_argument("--weights", nargs="+")
    args = cli.parse(parser, ["--img_dir", "~/photos", "--weights", "~/a.pt", "b.pt"])
    assert args.img_dir == Path("/home/ann/photos") and args.weights == ["/home/ann/a.pt", "b.pt"]


def test_a_path_that_the_system_refuses_is_one_line_and_other_errors_are_defects(capsys, tmp_path):
    def refused(number):
        def main(args):
            raise OSError(number, os.strerror(number), str(tmp_path / "a"))

        return main

    for number in (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP):
        with pytest.raises(SystemExit) as left:
            cli.run(refused(number), parser(), [])
        assert left.value.code == 2
        assert capsys.readouterr().err == f"error: {tmp_path}/a: {os.strerror(number).lower()}: check the path\n"
    for number in (errno.ENOENT, errno.ENOSPC):
        with pytest.raises(OSError):
            cli.run(refused(number), parser(), [])

    def nameless(args):
        raise OSError(errno.EACCES, "Permission denied")

    with pytest.raises(PermissionError):
        cli.run(nameless, parser(), [])


@pytest.mark.parametrize("number", cli.MACHINE_ERRORS)
@pytest.mark.parametrize("name", [None, "a photo.jpg"])
def test_a_machine_that_fails_is_one_line_with_what_to_do(number, name, capsys):
    def main(args):
        raise OSError(number, os.strerror(number), *[name] * (name is not None))

    with pytest.raises(SystemExit) as left:
        cli.run(main, parser(), [])
    place = f"{name}: " if name else ""
    expected = f"error: {place}{os.strerror(number).lower()}: {cli.MACHINE_ERRORS[number]}\n"
    assert (left.value.code, capsys.readouterr().err) == (2, expected)


KEEPING = """
import resource
import numpy as np
from facecom import cli
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(8_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
given_back = faults()
if cli.pool_memory():
    faults()
    print(given_back, faults())
"""


def test_freed_memory_is_kept():
    done = subprocess.run([sys.executable, "-c", KEEPING], capture_output=True, text=True, check=True, timeout=60)
    if not done.stdout:
        pytest.skip("this machine's C library has no such setting")
    given_back, kept = map(int, done.stdout.split())
    assert kept < given_back / 10
