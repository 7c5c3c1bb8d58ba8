"""The notebooks run from start to end on drawn people, and hold no output."""

import json
import shutil
from pathlib import Path

import matplotlib
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {
    "a": "comsys-hackathon-taskA/gender_classification_convnext.ipynb",
    "b": "comsys-hackathon-taskB/face_recognition_siamese.ipynb",
    "camera": "comsys-hackathon-taskB/your_own_camera.ipynb",
}


def cells(tour):
    return json.loads((ROOT / NOTEBOOKS[tour]).read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("tour", NOTEBOOKS)
def test_nothing_that_ran_is_committed(tour):
    code = [cell for cell in cells(tour) if cell["cell_type"] == "code"]
    assert len(code) >= 6 and len(cells(tour)) < 25
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("tour", ["a", "b", pytest.param("camera", marks=pytest.mark.slow)])
def test_it_runs_from_start_to_end(tour, sample_a, sample_b, tmp_path, monkeypatch):
    pytest.importorskip("pytorch_grad_cam", reason="needs the package grad-cam")
    matplotlib.use("agg")
    torch.set_num_threads(1)
    folder = tmp_path / Path(NOTEBOOKS[tour]).parent
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "sample").symlink_to(sample_a if tour == "a" else sample_b)
    shutil.copy(ROOT / folder.name / "train.py", folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(folder)
    names = {}
    for number, cell in enumerate(cells(tour)):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{NOTEBOOKS[tour]}, cell {number}", "exec"), names)
    assert (folder / "runs" / f"tour_{tour}" / "tour.pt").is_file()
    assert len(names["scores"]) and names["scores"].value.dropna().between(-1, 1).all()
