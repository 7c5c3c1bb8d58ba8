import os
import socket
import stat
import threading

import pytest

from facecom.errors import FacecomError
from facecom.files import check_folder, check_writable, place_of, remove_file, sha256_of, whole_folder, write_whole


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


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode_and_its_owner(mode, tmp_path):
    target, link = tmp_path / "result.csv", tmp_path / "link"
    target.write_text("old")
    link.symlink_to(target)
    owner = (12345, 23456) if os.getuid() == 0 else (os.getuid(), os.getgid())
    os.chown(target, *owner)
    target.chmod(mode)
    for path in (target, link):
        with write_whole(path) as file:
            file.write("new")
    found = target.stat()
    assert (stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)) == (mode, owner) and target.read_text() == "new"


def test_who_may_not_give_a_file_away_keeps_it(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "chown", refused)
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o600)
    with write_whole(tmp_path / "a") as file:
        file.write("new")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600 and (tmp_path / "a").read_text() == "new"


def test_a_folder_to_write_into_is_named_as_it_was_given(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    check_folder(tmp_path / "new" / "folder")
    for path, reason in (
        (os.devnull, "a file stands where a folder is needed"),
        (tmp_path / "file", "a file stands where a folder is needed"),
        (tmp_path / "circle", "links lead in a circle"),
        (tmp_path / ("x" * 300), "the name is too long"),
    ):
        with pytest.raises(FacecomError) as caught:
            check_folder(path)
        assert str(caught.value).startswith(f"cannot write {path}: {reason}")
    assert sorted(os.listdir(tmp_path)) == ["circle", "file"]


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


def test_a_link_is_followed_and_its_target_written_whole(tmp_path):
    target, link = tmp_path / "there" / "result.csv", tmp_path / "link.csv"
    target.parent.mkdir()
    target.write_text("old")
    link.symlink_to(target)
    with pytest.raises(KeyError), write_whole(link) as file:
        file.write("half")
        raise KeyError
    assert target.read_text() == "old" and os.listdir(target.parent) == ["result.csv"]
    with write_whole(link) as file:
        file.write("new")
    assert link.is_symlink() and target.read_text() == "new" and os.listdir(tmp_path / "there") == ["result.csv"]


def test_a_link_to_nothing_gets_its_target(tmp_path):
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "new" / "result.csv")
    check_writable(link)
    with write_whole(link) as file:
        file.write("new")
    assert link.is_symlink() and (tmp_path / "new" / "result.csv").read_text() == "new"


def test_links_in_a_circle_are_one_line(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for call in (check_writable, lambda path: write_whole(path).__enter__()):
        with pytest.raises(FacecomError, match="cannot write .*a: links lead in a circle"):
            call(tmp_path / "a")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_a_pipe_gets_the_bytes_and_stays_a_pipe(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    check_writable(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    with write_whole(pipe, newline="") as file:
        file.write("a,b\n")
    reader.join(timeout=10)
    assert got == [b"a,b\n"] and stat.S_ISFIFO(pipe.stat().st_mode) and os.listdir(tmp_path) == ["pipe"]


def test_a_device_is_written_to_and_stays_a_device(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))  # as /dev/null
        device.write_bytes(b"")
    except PermissionError:
        pytest.skip("device files cannot be made, or not be used, here")
    check_writable(device)
    with write_whole(device) as file:
        file.write("x")
    remove_file(device)
    assert stat.S_ISCHR(device.stat().st_mode) and os.listdir(tmp_path) == ["null"]


def test_a_socket_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("taken")
        for call in (check_writable, lambda path: write_whole(path).__enter__()):
            with pytest.raises(FacecomError, match="cannot write taken: that is a socket"):
                call("taken")
    assert stat.S_ISSOCK((tmp_path / "taken").lstat().st_mode)


def test_this_program_s_own_output_is_a_stream_wherever_it_leads(tmp_path):
    with open(tmp_path / "redirected", "w") as file:
        assert place_of(f"/dev/fd/{file.fileno()}").stream
        with write_whole(f"/dev/fd/{file.fileno()}") as whole:
            whole.write("x")
    assert (tmp_path / "redirected").read_text() == "x"


def test_only_files_are_removed(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "kept").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    (tmp_path / "folder").mkdir()
    for name in ("file", "link", "folder", "nothing"):
        remove_file(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["folder", "kept", "link"]


def test_sha256_is_that_of_the_standard_and_waits_for_nothing(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "", "gone"):
        with pytest.raises(OSError):
            sha256_of(tmp_path / name)


def test_a_folder_behind_a_link_is_filled(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with whole_folder(tmp_path / "link") as place:
        (place / "a").write_text("1")
    assert (tmp_path / "link").is_symlink() and os.listdir(tmp_path / "there") == ["a"]
