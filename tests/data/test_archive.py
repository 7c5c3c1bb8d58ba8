import os
import stat
import zipfile
from types import SimpleNamespace

import pytest

from facecom.data import archive
from facecom.errors import FacecomError


def make_zip(path, names, size=10, top="Comys_Hackathon5/Task_B/"):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name if isinstance(name, zipfile.ZipInfo) else top + name, os.urandom(size))
    return path


GOOD = ["train/Ann/Ann_0001.jpg", "train/Ann/distortion/Ann_0001_foggy.jpg", "val/Bo/Bo_0001.jpg"]


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("top", ["Comys_Hackathon5/Task_B/", "Task_B/", ""])
def test_unpack_takes_the_splits_of_the_task(tmp_path, top):
    path = make_zip(tmp_path / "a.zip", [*GOOD], top=top)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("Comys_Hackathon5/Task_A/train/male/x.jpg", b"")
        file.writestr(f"__MACOSX/{top}train/Ann/._Ann_0001.jpg", b"")
    archive.unpack(path, tmp_path / "data" / "Task_B", "B")
    assert files_below(tmp_path / "data") == [f"Task_B/{name}" for name in GOOD]


def link(name):
    entry = zipfile.ZipInfo(name)
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (zipfile.ZipInfo("Task_B/train/../../../evil.jpg"), "leads outside"),
        (zipfile.ZipInfo("/etc/evil.jpg"), "leads outside"),
        (zipfile.ZipInfo("C:/evil.jpg"), "characters"),
        (zipfile.ZipInfo("Task_B\\train\\..\\evil.jpg"), "characters"),
        (link("Comys_Hackathon5/Task_B/train/Ann/link.jpg"), "link"),
        ("train/ann/ANN_0001.jpg", "several files of the same name"),
    ],
)
def test_unpack_refuses_what_leads_elsewhere(tmp_path, name, reason):
    path = make_zip(tmp_path / "a.zip", [*GOOD, name])
    with pytest.raises(FacecomError, match=f"a.zip: refused, .*{reason}"):
        archive.unpack(path, tmp_path / "data" / "Task_B", "B")
    assert files_below(tmp_path) == ["a.zip"]
    assert os.listdir(tmp_path / "data") == []


def test_unpack_refuses_a_zip_bomb(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("Task_B/train/Ann/a.jpg", bytes(20_000_000))
        file.writestr("Task_B/val/Bo/a.jpg", b"")
    with pytest.raises(FacecomError, match="refused, it expands more than 100 times"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_unpack_asks_for_room_first(tmp_path, monkeypatch):
    path = make_zip(tmp_path / "a.zip", GOOD, size=1_000_000)
    free = archive.RESERVE + 2_999_999
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    with pytest.raises(FacecomError, match="3 MB are to be unpacked, 70 MB are free; free some space"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]
    free += 1
    archive.unpack(path, tmp_path / "Task_B", "B")


def test_a_full_disk_while_unpacking_leaves_nothing(tmp_path, monkeypatch):
    def full(source, target, length):
        target.write(source.read(4))
        raise OSError(28, "No space left on device")

    path = make_zip(tmp_path / "a.zip", GOOD)
    monkeypatch.setattr(archive.shutil, "copyfileobj", full)
    with pytest.raises(FacecomError, match="cannot write .*Task_B: the disk is full"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_unpack_after_a_killed_run(tmp_path):
    (tmp_path / ".Task_B.part" / "train").mkdir(parents=True)
    (tmp_path / ".Task_B.part" / "train" / "half.jpg").write_bytes(b"x")
    archive.unpack(make_zip(tmp_path / "a.zip", GOOD), tmp_path / "Task_B", "B")
    assert files_below(tmp_path / "Task_B") == GOOD


def damaged(path):
    data = bytearray(path.read_bytes())
    data[80] ^= 255
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda p: p, "no such file"),
        (lambda p: p.write_text("text") and p, "not a whole zip archive"),
        (lambda p: p.write_bytes(make_zip(p, GOOD).read_bytes()[:-30]) and p, "not a whole zip archive"),
        (lambda p: damaged(make_zip(p, GOOD, size=1000)), "not a whole zip archive"),
        (lambda p: make_zip(p, ["x.txt"]), "neither Task_B/train nor train/ is in it"),
        (lambda p: make_zip(p, GOOD[:2]), "has only `train` in it"),
    ],
)
def test_unpack_says_what_is_wrong_with_an_archive(tmp_path, make, reason):
    path = make(tmp_path / "a.zip")
    with pytest.raises(FacecomError, match=f"a.zip: .*{reason}"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert not (tmp_path / "Task_B").exists()
