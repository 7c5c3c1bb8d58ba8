import os
import random
import stat
import zipfile
from types import SimpleNamespace

import pytest

from facecom.data import archive
from facecom.errors import FacecomError, FacecomWarning


def make_zip(path, names, size=10, top="Comys_Hackathon5/Task_B/"):
    with zipfile.ZipFile(path, "w") as file:
        for name in names:
            file.writestr(name if isinstance(name, zipfile.ZipInfo) else top + name, os.urandom(size))
    return path


GOOD = ["train/Ann/Ann_0001.jpg", "train/Ann/distortion/Ann_0001_foggy.jpg", "val/Bo/Bo_0001.jpg"]


def files_below(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("top", ["Comys_Hackathon5/Task_B/", "Task_B/", ""])
def test_unpack_takes_the_splits_of_the_task(tmp_path, top, recwarn):
    path = make_zip(tmp_path / "a.zip", [*GOOD], top=top)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("Comys_Hackathon5/Task_A/train/male/x.jpg", b"")
        for litter in ("__MACOSX/{}train/Ann/._Ann_0001.jpg", "{}train/.DS_Store", "{}train/Ann/Icon\r"):
            file.writestr(litter.format(top), b"")
    archive.unpack(path, tmp_path / "data" / "Task_B", "B")
    assert files_below(tmp_path / "data") == [f"Task_B/{name}" for name in GOOD] and not len(recwarn)


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
        ("train/Ann/Ann\n0001.jpg", "characters"),
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


PACKINGS = {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED, "bzip2": zipfile.ZIP_BZIP2,
            "LZMA": zipfile.ZIP_LZMA}  # fmt: skip


def packed(path, method):
    """A small archive of bytes that can be packed, and what is in it."""
    contents = {f"Task_B/{name}": random.Random(name).randbytes(40) * 8 for name in GOOD}
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return {name.removeprefix("Task_B/"): content for name, content in contents.items()}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_damaged_member(tmp_path, packing):
    path = tmp_path / "a.zip"
    packed(path, PACKINGS[packing])
    data = bytearray(path.read_bytes())
    start = 30 + len("Task_B/" + GOOD[0])  # behind the head of the first member
    data[start + 8 : start + 30] = bytes(22)
    path.write_bytes(data)
    with pytest.raises(FacecomError, match=r"a\.zip: not a whole zip archive \(.+\); remove it and fetch it again$"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("packing", PACKINGS)
def test_any_byte_may_be_damaged(tmp_path, packing):
    """The archive is unpacked as it was, or refused in one line, and then nothing is left."""
    path, target = tmp_path / "a.zip", tmp_path / "Task_B"
    contents = packed(path, PACKINGS[packing])
    good, drawn, refused = path.read_bytes(), random.Random(packing), 0
    for _ in range(60):
        data = bytearray(good)
        for _ in range(drawn.choice((1, 1, 3))):
            data[drawn.randrange(len(data))] = drawn.randrange(256)
        path.write_bytes(data)
        try:
            archive.unpack(path, target, "B", quiet=True)
        except FacecomError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).startswith(f"{path}: ")
            assert os.listdir(tmp_path) == ["a.zip"]
            continue
        assert {name: (target / name).read_bytes() for name in files_below(target)} == contents
        archive.shutil.rmtree(target)
    assert refused > 20


def test_a_bit_of_a_name_is_another(tmp_path):
    """In the list at the end, of whatever member: it is never left out, nor unpacked under another name."""
    path = make_zip(tmp_path / "a.zip", ["Task_B/train/Ann/1.jpg", "Task_B/val/Bo/", "Task_B/val/Bo/1.jpg"], top="")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("Task_A/train/male/x.jpg", b"", zipfile.ZIP_DEFLATED)
    good, drawn = path.read_bytes(), random.Random(0)
    for entry in zipfile.ZipFile(path).infolist():
        name = entry.orig_filename.encode()
        for place in (good.find(name), good.rfind(name)):
            for letter in range(len(name)):
                data = bytearray(good)
                data[place + letter] ^= 1 << drawn.randrange(8)
                path.write_bytes(data)
                with pytest.raises(FacecomError, match=r"a\.zip: (not a whole zip archive|refused|neither)"):
                    archive.unpack(path, tmp_path / "Task_B", "B", quiet=True)
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_bit_of_a_name_is_another_in_both_places(tmp_path, recwarn):
    """That cannot be known; what has no place in a task any more is told."""
    path = make_zip(tmp_path / "a.zip", GOOD, top="Task_B/")
    good, other = path.read_bytes(), b"Task_B/tsain/Ann/Ann_0001.jpg"
    path.write_bytes(good.replace(b"Task_B/" + GOOD[0].encode(), other))
    archive.unpack(path, tmp_path / "Task_B", "B")
    assert files_below(tmp_path / "Task_B") == GOOD[1:]
    told = [str(one.message) for one in recwarn if issubclass(one.category, FacecomWarning)]
    assert told == [f"{path}: 1 file in it is of neither task and left out, such as '{other.decode()}'"]


def test_a_list_that_is_shorter_than_it_says(tmp_path):
    """The length of a member's comment is damaged: it takes those behind it in."""
    path = make_zip(tmp_path / "a.zip", [*GOOD, "val/Bo/Bo_0002.jpg"], top="Task_B/")
    data = bytearray(path.read_bytes())
    third, last = (data.rfind(name.encode()) for name in (GOOD[2], "val/Bo/Bo_0002.jpg"))
    data[third - 7 - 46 + 32 : third - 7 - 46 + 34] = (last + 18 - third - 18).to_bytes(2, "little")
    path.write_bytes(data)
    with pytest.raises(FacecomError, match=r"a\.zip: not a whole zip archive \(4 files announced, 3 listed\)"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_list_of_very_many(tmp_path, monkeypatch):
    """Large archives tell its length in another place, or, as some packers write them, without its highest bits."""
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 2)
    path = make_zip(tmp_path / "a.zip", GOOD)
    data = bytearray(path.read_bytes())
    data[-14:-10] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    archive.unpack(path, tmp_path / "Task_B", "B")
    assert files_below(tmp_path / "Task_B") == GOOD
    with zipfile.ZipFile(path) as file:
        assert archive._members_told(file) == 3
        monkeypatch.setattr(file, "infolist", lambda: [file.filelist[0]] * (65_536 + 3))
        monkeypatch.setattr(archive, "_members_told", lambda source: 3)
        archive._check_names(file, path)


def test_names_in_an_extra_field(tmp_path, monkeypatch):
    """From Python 3.12 on they are the members': such a one must not lead outside either."""
    real = zipfile.ZipInfo._decodeExtra

    def decode(entry, *checksum):
        real(entry, *checksum)
        entry.filename = entry.filename.replace("Ann_0001.jpg", "../../../Ann_0001.jpg")

    path = make_zip(tmp_path / "a.zip", GOOD)
    monkeypatch.setattr(zipfile.ZipInfo, "_decodeExtra", decode)
    with pytest.raises(FacecomError, match=r"a\.zip: refused, .* leads outside the folder"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]


def test_names_with_null_bytes(tmp_path):
    path = tmp_path / "a.zip"
    make_zip(path, GOOD + ["x" * 8], top="")
    path.write_bytes(path.read_bytes().replace(b"x" * 8, b"\0photo.j"))
    with pytest.raises(FacecomError, match=r"a\.zip: refused, .*x00photo.* has characters that no photo's name needs"):
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("train/" + "x" * 300, "has too long a name"),
        ("train/" + "x/" * 2500 + "x", "has too long a name"),
        (GOOD[0] + "/x.jpg", "lies in another file|takes the place of another file"),
        ("train/Ann", "takes the place of another file"),
        ("train/./Ann/Ann_0001.jpg", "takes the place of another file"),
    ],
)
def test_names_that_no_folder_can_hold(tmp_path, name, reason):
    """It is the archive that is wrong, not the folder that it is unpacked to."""
    path = make_zip(tmp_path / "a.zip", [*GOOD, name])
    with pytest.raises(FacecomError, match=f"a.zip: refused, .*({reason})") as caught:
        archive.unpack(path, tmp_path / "Task_B", "B")
    assert len(str(caught.value)) < len(str(path)) + 160
    assert os.listdir(tmp_path) == ["a.zip"]


def test_an_archive_that_may_not_be_read(tmp_path, monkeypatch):
    """Root may read everything: such a test becomes somebody else for a moment."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o777)
    make_zip(tmp_path / "a.zip", GOOD).chmod(0)
    mine = os.geteuid()
    os.seteuid(mine or 65534)
    try:
        with pytest.raises(FacecomError, match=r"^a\.zip: cannot be read \(Permission denied\); check its perm"):
            archive.unpack("a.zip", "Task_B", "B")
    finally:
        os.seteuid(mine)
    assert os.listdir(tmp_path) == ["a.zip"]
