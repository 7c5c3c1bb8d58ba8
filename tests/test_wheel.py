"""The wheel holds all that the library needs: it works from an empty folder, without the repository."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from facecom.synthetic import draw_person

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """`pip wheel .` of a copy of the repository: what lies in its `build/` from earlier would come in, too."""
    pytest.importorskip("setuptools", minversion="70.1", reason="needs setuptools to build")
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "facecom", copy / "facecom", ignore=shutil.ignore_patterns("__pycache__"))
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-w", folder, copy], check=True, timeout=300)
    return next(folder.glob("facecom-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The folder that the wheel is installed into; what it depends on comes from this environment."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", folder]
    subprocess.run([*pip, wheel], check=True, timeout=300)
    return folder


@pytest.fixture
def run(installed, here):
    """Runs a command in an empty folder on what was installed; returns its stdout."""

    def run(*command):
        env = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*map(str, command)], env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_every_module_and_weight_is_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "facecom").rglob("*") if path.suffix in (".py", ".pt", ".json")]
    missing = {path.relative_to(ROOT).as_posix() for path in files} - names
    assert not missing
    assert not [name for name in names if not name.startswith("facecom")]


def test_the_library_works_from_an_empty_folder(run, installed):
    code = """
import facecom, numpy
from facecom.synthetic import draw_person
assert facecom.FaceVerifier().embed([draw_person(5, 0)[0]]).shape == (1, 128)
assert facecom.GenderPredictor().predict([draw_person(5, 0)[0]]).p_female.between(0, 1).all()
print(facecom.__file__)
"""
    assert Path(run(sys.executable, "-c", code).strip()).is_relative_to(installed)


def test_the_command_works_from_an_empty_folder(run, installed, here):
    for name, seeds in (("a.png", (5, 0)), ("b.png", (8, 1))):
        Image.fromarray(draw_person(*seeds)[0]).save(name)
    command = (sys.executable, installed / "bin" / "facecom")
    found = json.loads(run(*command, "verify", "a.png", "b.png", "--json"))
    assert 0 < found["distance"] < 2 and found["far"] == 0.001
    answers = json.loads(run(*command, "gender", "a.png", "b.png", "--json", "--quiet"))["answers"]
    assert [row["filename"] for row in answers] == ["a.png", "b.png"]
    assert "facecom serve" in run(*command, "serve", "--help")
