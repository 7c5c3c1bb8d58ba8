import zipfile
from pathlib import Path

import pytest

from facecom.commands import download
from facecom.errors import FacecomError

FILES = ["train/Ann/Ann_0001.jpg", "train/Ann/distortion/Ann_0001_foggy.jpg", "val/Bo/Bo_0001.jpg"]


def run_data(task, here, *flags):
    args = download.data_arguments(task, here).parse_args(flags)
    download.download_data(args, task)


def test_download_data_draws_a_sample_once(tmp_path, capsys, monkeypatch):
    import facecom.synthetic

    draw = facecom.synthetic.write_sample
    monkeypatch.setattr(facecom.synthetic, "write_sample", lambda folder, task: draw(folder, people=4, task=task))
    run_data("B", tmp_path, "--sample")
    said = capsys.readouterr().out
    assert "not accuracy" in said and "val: 2 identities, 6 photos, 42 distorted copies\n" in said
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "data" / "Task_B").rglob("*")}
    run_data("B", tmp_path, "--sample")
    assert "is there already, nothing to do" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "data" / "Task_B").rglob("*")} == before
    with pytest.raises(FacecomError, match="holds drawn people: remove it"):
        run_data("B", tmp_path)
    run_data("A", tmp_path, "--sample", "--output", str(tmp_path / "a"))
    assert "train: 2 identities, 6 photos (3 male, 3 female)" in capsys.readouterr().out


def test_download_data_without_network_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    with pytest.raises(FacecomError, match="no connection; .*--archive FILE, or draw people by --sample"):
        run_data("B", tmp_path)


def test_download_data_counts_what_is_short(tmp_path, capsys):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name in FILES:
            file.writestr(f"Task_B/{name}", b"")
    run_data("B", tmp_path, "--archive", str(path))
    assert "train: 1 identities, 1 photos, 1 distorted copies (6 short of seven a photo)" in capsys.readouterr().out


def test_download_data_takes_the_organisers_archive(shared, tmp_path, capsys, monkeypatch):
    """A twentieth of the real archive, in the organisers' layout."""
    whole = tmp_path / "Comys_Hackathon5.zip"
    with zipfile.ZipFile(shared / "data/facecom/task_b.zip") as real, zipfile.ZipFile(whole, "w") as part:
        people = sorted({"/".join(name.split("/")[:2]) for name in real.namelist()})[::20]
        for name in real.namelist():
            if "/".join(name.split("/")[:2]) in people:
                part.writestr(f"Comys_Hackathon5/Task_B/{name}", real.read(name))
    run_data("B", tmp_path, "--archive", str(whole))
    said = capsys.readouterr().out
    assert "train: 40 identities" in said and "val: 11 identities" in said and "short" not in said


def test_requirements_are_those_of_the_package():
    tomllib = pytest.importorskip("tomllib")  # Python 3.11
    root = Path(__file__).resolve().parents[2]
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["dependencies"]
    for task in "AB":
        assert (root / f"comsys-hackathon-task{task}" / "requirements.txt").read_text().split() == wanted
