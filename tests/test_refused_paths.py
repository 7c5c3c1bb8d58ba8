"""Paths that are too long, or lie below a folder one may not enter: one line from every program, for every flag."""

import ctypes
import os
import runpy
import sys
from pathlib import Path

import pytest
from forks import forked
from PIL import Image
from scripts import ROOT, module_of

from facecom import cli
from facecom.commands import main as console
from facecom.commands.training import RECIPES
from facecom.inference.corpus import command as corpus

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="permissions as Linux has them")

PATHS = ["x" * 300, "locked/photos"]

#: (program below the repository, its flags before the path)
FLAGS = [
    ("comsys-hackathon-taskA/test.py", "--img_dir"),
    ("comsys-hackathon-taskB/test.py", "--img_dir"),
    ("comsys-hackathon-taskB/test.py", "--img_dir . --gallery"),
    ("comsys-hackathon-taskB/test.py", "--pairs"),
    ("comsys-hackathon-taskA/test.py", "--img_dir . --report"),
    ("comsys-hackathon-taskA/test.py", "--img_dir . --output"),
    ("comsys-hackathon-taskA/test.py", "--img_dir . --weights"),
    ("comsys-hackathon-taskA/train.py", "--data_dir"),
    ("comsys-hackathon-taskB/train.py", "--data_dir"),
    ("comsys-hackathon-taskB/train.py", "--run_dir"),
    ("comsys-hackathon-taskB/train.py", "--resume --run_dir"),
    ("comsys-hackathon-taskB/train.py", "--config"),
    ("comsys-hackathon-taskB/enroll.py", "--list --gallery"),
    ("comsys-hackathon-taskB/enroll.py", "--img_dir"),
    ("comsys-hackathon-taskB/enroll.py", "--from"),
    ("comsys-hackathon-taskB/group.py", "--img_dir"),
    ("comsys-hackathon-taskB/group.py", "--img_dir . --gallery"),
    ("comsys-hackathon-taskA/download_data.py", "--archive"),
    ("comsys-hackathon-taskB/download_data.py", "--output"),
    ("corpus", "--list"),
    ("corpus", "--img_dir"),
    ("facecom", "verify a.jpg"),
    ("facecom", "identify"),
    ("facecom", "gender"),
    ("facecom", "group"),
    ("facecom", "enroll"),
]


def powerless():
    """Permissions count for root, too, from now on: its capabilities are gone."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert ctypes.CDLL(None).capset(header, none) == 0


def call(program, flags):
    if program == "facecom":
        console.main(flags)
    if program.endswith("download_data.py"):
        sys.argv = [program, *flags]
        runpy.run_path(str(ROOT / program), run_name="__main__")
    module = corpus if program == "corpus" else module_of(ROOT / program)
    recipes = RECIPES["gender" if "taskA" in program else "siamese"] if program.endswith("train.py") else None
    cli.run(module.main, module.get_args_parser(), flags, recipes)


@pytest.mark.parametrize("path", PATHS, ids=["long", "locked"])
@pytest.mark.parametrize(("program", "flags"), FLAGS)
def test_a_path_that_is_refused_is_one_line(program, flags, path, here):
    Image.new("RGB", (64, 64)).save("a.jpg")
    Path("locked").mkdir(mode=0)

    def test():
        powerless()
        sys.stdout, sys.stderr = open("out", "w"), open("said", "w", buffering=1)
        call(program, [*flags.split(), path])

    try:
        code = forked(test, silent=False)
        said = Path("said").read_text()
    finally:
        Path("locked").chmod(0o755)
    assert (code, said.count("\n")) == (2, 1), said
    assert said.startswith("error: ") and path in said
    assert sorted(os.listdir()) == ["a.jpg", "locked", "out", "said"] and os.listdir("locked") == []
