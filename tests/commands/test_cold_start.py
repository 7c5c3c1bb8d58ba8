"""What a command does not need it does not wait for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from facecom.data.folders import flat_table
from facecom.models.checkpoint import SHIPPED
from facecom.synthetic import write_sample

ROOT = Path(__file__).resolve().parents[2]

#: Packages that take long to import and belong to training, reports and other networks.
SLOW = {"albumentations", "gradio", "lancedb", "matplotlib", "scipy", "sklearn", "sympy", "timm", "torchvision"}

#: Runs a script as Python does, and says at its end what was imported.
RUN = """
import atexit, json, runpy, sys
atexit.register(lambda: print("\\nimported", json.dumps(sorted({name.split(".")[0] for name in sys.modules}))))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

pytestmark = pytest.mark.skipif(not (SHIPPED / "siamese.pt").is_file(), reason="no weights are shipped")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[str]:
    """Two photos, alone in a folder."""
    folder = tmp_path_factory.mktemp("cold")
    write_sample(folder / "sample", task="A", splits=("val",))
    found = sorted((folder / "sample").rglob("*.jpg"))[:2]
    (folder / "two").mkdir()
    for path in found:
        path.rename(folder / "two" / path.name)
    return [str(path) for path in flat_table(folder / "two").path]


def imported_by(*words: str, folder: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.rsplit("imported", 1)[1]))


@pytest.mark.parametrize("task", "AB")
def test_the_test_scripts_load_no_more_than_they_use(task, photos, tmp_path):
    script = ROOT / f"comsys-hackathon-task{task}" / "test.py"
    found = imported_by(str(script), "--img_dir", str(Path(photos[0]).parent), folder=tmp_path)
    assert "torch" in found and not found & SLOW
    assert (tmp_path / "submission.csv").is_file()


def test_verify_loads_no_more_than_it_uses(photos, tmp_path):
    script = tmp_path / "facecom"  # as `pip install` writes it
    script.write_text("from facecom.commands.main import main\n\nmain()\n")
    found = imported_by(str(script), "verify", *photos, folder=tmp_path)
    assert "torch" in found and not found & SLOW
