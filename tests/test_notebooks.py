"""The notebooks run from start to end on drawn people, and hold no output."""

import json
import shutil
from pathlib import Path

import matplotlib
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = {
    "A": "comsys-hackathon-taskA/gender_classification_convnext.ipynb",
    "B": "comsys-hackathon-taskB/face_recognition_siamese.ipynb",
}


def cells(task):
    return json.loads((ROOT / NOTEBOOKS[task]).read_text(encoding="utf-8"))["cells"]


@pytest.mark.parametrize("task", NOTEBOOKS)
def test_nothing_that_ran_is_committed(task):
    code = [cell for cell in cells(task) if cell["cell_type"] == "code"]
    assert len(code) >= 6
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("task", NOTEBOOKS)
def test_it_runs_from_start_to_end(task, sample_a, sample_b, tmp_path, monkeypatch):
    pytest.importorskip("pytorch_grad_cam", reason="needs the package grad-cam")
    matplotlib.use("agg")
    torch.set_num_threads(1)
    folder = tmp_path / f"comsys-hackathon-task{task}"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "sample").symlink_to({"A": sample_a, "B": sample_b}[task])
    shutil.copy(ROOT / folder.name / "train.py", folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(folder)
    names = {}
    for number, cell in enumerate(cells(task)):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{NOTEBOOKS[task]}, cell {number}", "exec"), names)
    assert (folder / "runs" / f"tour_{task.lower()}" / "tour.pt").is_file()
    assert len(names["scores"]) and names["scores"].value.dropna().between(-1, 1).all()
