"""Data that several tests share, made once a session."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # a core each: threads that wait for each other would take longer
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the repository (or FACECOM_SHARED); without it the test is skipped."""
    folder = Path(os.environ.get("FACECOM_SHARED", ROOT.parent / "shared")).resolve()
    if not (folder / "data" / "facecom" / "task_b.zip").is_file():
        pytest.skip("real data: no ../shared/data/facecom/task_b.zip (FACECOM_SHARED names another folder)")
    return folder


@pytest.fixture(scope="session")
def facecom_val(shared, tmp_path_factory) -> Path:
    """FACECOM's val split of Task B, unpacked: 222 identity folders. Read only, for all tests."""
    folder = tmp_path_factory.mktemp("facecom")
    with zipfile.ZipFile(shared / "data" / "facecom" / "task_b.zip") as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith("val/")])
    return folder / "val"


@pytest.fixture(scope="session")
def sample_b(tmp_path_factory) -> Path:
    """Drawn people in Task B's layout, `train` and `val` with 4 people of 3 photos each. Read only, for all tests."""
    from facecom.synthetic import write_sample

    folder = tmp_path_factory.mktemp("sample") / "Task_B"
    write_sample(folder, people=8, photos=3, task="B")
    return folder


@pytest.fixture(scope="session")
def sample_a(tmp_path_factory) -> Path:
    """Drawn people in Task A's layout, `train` and `val` with 4 people of 3 photos each. Read only, for all tests."""
    from facecom.synthetic import write_sample

    folder = tmp_path_factory.mktemp("sample") / "Task_A"
    write_sample(folder, people=8, photos=3, task="A")
    return folder


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder that the test runs in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 12 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", place], capture_output=True)
    if made.returncode:
        pytest.skip("may not mount a small disk here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.fixture(scope="session")
def flat(sample_b, tmp_path_factory) -> Path:
    """Five clean photos in one folder: three of one person, two of another. Read only."""
    from facecom.data.folders import task_b_table

    folder = tmp_path_factory.mktemp("flat")
    people = task_b_table(sample_b / "val").query("condition == 'clean'").groupby("identity")
    for (_, table), count in zip(people, (3, 2), strict=False):
        for path in table.path[:count]:
            shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def siamese_file(tmp_path_factory) -> Path:
    """A Siamese checkpoint with random weights, 64 px, whole pictures, two operating points. Read only."""
    return _random_weights(
        tmp_path_factory,
        "siamese",
        {"quality": True},
        operating_points=[{"threshold": 0.8, "far": 1e-3}, {"threshold": 0.6, "far": 1e-4}],
    )


@pytest.fixture(scope="session")
def gender_file(tmp_path_factory) -> Path:
    """A gender checkpoint with random weights, 64 px, whole pictures, threshold 0.45, temperature 2. Read only."""
    return _random_weights(tmp_path_factory, "gender", {}, operating_points=[{"threshold": 0.45}], temperature=2.0)


def _random_weights(tmp_path_factory, task, config, **stored) -> Path:
    import torch

    from facecom.models import checkpoint
    from facecom.models.networks import build_model

    config |= {"backbone": "test_convnext", "img_size": 64}  # timm's own smallest, for tests
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model({"task": task, **config})
    path = tmp_path_factory.mktemp("weights") / f"{task}.pt"
    preprocessing = {"size": 64, "mean": (0.5, 0.45, 0.4), "std": (0.5, 0.25, 0.3), "align": "off", "colour": "rgb"}
    checkpoint.save(path, task=task, model=model, config=config, preprocessing=preprocessing, **stored)
    return path
