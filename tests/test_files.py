import os

import pytest

from facecom.errors import FacecomError
from facecom.files import check_writable, whole_folder, write_whole


def test_writes_text_and_bytes_whole(tmp_path):
    with write_whole(tmp_path / "new" / "text.csv", newline="") as file:
        file.write("é,1\r\n")
        assert not (tmp_path / "new" / "text.csv").exists()
    assert (tmp_path / "new" / "text.csv").read_bytes() == "é,1\r\n".encode()
    with write_whole(tmp_path / "bytes", "wb") as file:
        file.write(b"\0\1")
    assert (tmp_path / "bytes").read_bytes() == b"\0\1"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "result.csv"
    target.write_text("old")
    with pytest.raises(KeyError), write_whole(target) as file:
        file.write("half")
        raise KeyError
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.csv"]


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FacecomError, match="result.csv: the disk is full; free some space"):
        with write_whole(tmp_path / "result.csv") as file:
            file.write("x")
    assert os.listdir(tmp_path) == []


def test_a_file_in_the_way_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(FacecomError, match="a file stands where a folder is needed"):
        with write_whole(tmp_path / "taken" / "result.csv"):
            pass


def test_places_that_cannot_be_written_are_found_before_the_work(tmp_path):
    check_writable(tmp_path / "new" / "folder" / "a.csv")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for path, reason in ((tmp_path, "that is a folder"), (tmp_path / "file" / "a.csv", "a file stands where")):
        with pytest.raises(FacecomError, match=reason):
            check_writable(path)


def test_the_result_is_readable_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        with write_whole(tmp_path / "result.csv") as file:
            file.write("x")
    finally:
        os.umask(mask)
    assert (tmp_path / "result.csv").stat().st_mode & 0o777 == 0o644


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    target = tmp_path / "new" / "data"
    with whole_folder(target) as place:
        (place / "a").write_text("1")
        assert not target.exists()
    assert (target / "a").read_text() == "1" and os.listdir(tmp_path / "new") == ["data"]
    with pytest.raises(KeyError), whole_folder(tmp_path / "other") as place:
        (place / "a").write_text("1")
        raise KeyError
    assert os.listdir(tmp_path) == ["new"]


def test_a_folder_with_something_in_it_is_not_overwritten(tmp_path):
    (tmp_path / "data").mkdir()
    with whole_folder(tmp_path / "data") as place:
        (place / "a").write_text("1")
    with pytest.raises(FacecomError, match="data exists already; remove it"):
        with whole_folder(tmp_path / "data") as place:
            (place / "b").write_text("2")
    assert os.listdir(tmp_path / "data") == ["a"] and os.listdir(tmp_path) == ["data"]
