"""Data that several tests share, made once a session."""

import os
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
