"""Photos that change while they are read, or that may not be read: a row or a reason, and the run goes on."""

import io
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from bad_photos import encoded, picture
from forks import forked
from PIL import Image
from scripts import rows_of, run

from facecom import cli
from facecom.commands import gender, recognition
from facecom.data import images
from facecom.errors import FacecomError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks, pipes and users as Linux has them")

FORMATS = ("jpg", "png", "webp", "bmp", "tif", "gif", "ppm", "tga", "heic", "jp2")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def cut(path):
    os.truncate(path, os.path.getsize(path) // 2)


def emptied(path):
    os.truncate(path, 0)


def gone(path):
    os.unlink(path)


def another(path):
    """Renamed over, as careful programs save."""
    Image.fromarray(np.zeros((5, 9, 3), np.uint8)).save(f"{path}.new", format="PNG")
    os.replace(f"{path}.new", path)


def rewritten(path):
    """In place, as careless ones save."""
    with open(path, "r+b") as file:
        file.write(os.urandom(os.path.getsize(path)))


def longer(path):
    with open(path, "ab") as file:
        file.write(bytes(5000))


def a_pipe(path):
    os.unlink(path)
    os.mkfifo(path)


def a_folder(path):
    os.unlink(path)
    os.mkdir(path)


def a_circle(path):
    os.unlink(path)
    os.symlink(path, path)


CHANGES = (cut, emptied, gone, another, rewritten, longer, a_pipe, a_folder, a_circle)

#: Where in reading it happens: what is called then, of `facecom.data.images`.
MOMENTS = {"looked at": "_refuse_others", "opened": "_open", "its head read": "_pixels"}


def changing(moment, change, paths):
    """The function of `MOMENTS` that, before it is called for the next of these paths, changes that file; once each."""
    name = MOMENTS[moment]
    real, left = getattr(images, name), [*map(str, paths)]

    def call(first, *more):
        found = real(first, *more) if name == "_refuse_others" else None
        of = first if isinstance(first, str | os.PathLike) else getattr(getattr(first, "fp", first), "name", "")
        if str(of) in left:
            left.remove(str(of))
            change(of)
        return found if name == "_refuse_others" else real(first, *more)

    return name, call


def grey_of(kind):
    """Grey, large: what Pillow would map into memory instead of reading it."""
    return encoded(kind, picture().resize((700, 700)).convert("L"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_format_changed_in_every_way(moment, tmp_path, monkeypatch):
    """In a process of its own: a bus error would end it."""
    cases = {f"{kind}.{kind}": encoded(kind) for kind in FORMATS}
    cases |= {f"grey.{kind}": grey_of(kind) for kind in ("bmp", "tif", "ppm", "png")}
    for content in cases.values():  # what reads these formats is loaded here, and not in every process
        Image.open(io.BytesIO(content)).load()

    def read(change):
        for name, content in cases.items():
            path = tmp_path / change.__name__ / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            monkeypatch.setattr(images, *changing(moment, change, [path]))
            try:
                photo = images.read_photo(path)
            except FacecomError as error:
                assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            else:
                assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.size
                assert moment != "looked at" or change not in (gone, emptied, a_pipe, a_folder, a_circle)
            monkeypatch.undo()

    assert {change.__name__: forked(lambda change=change: read(change)) for change in CHANGES} == dict.fromkeys(
        (change.__name__ for change in CHANGES), 0
    )


REASONS = {
    "cut": ("truncated or damaged",), "emptied": ("an empty file", "not an image"), "gone": ("no such file",),
    "a_pipe": ("a pipe or a device, not a photo",), "a_folder": ("a folder, not a photo",),
    "a_circle": ("links lead in a circle",),
}  # fmt: skip


@pytest.mark.parametrize("change", [cut, emptied, gone, a_pipe, a_folder, a_circle], ids=lambda one: one.__name__)
def test_a_run_goes_on(change, sample_a, gender_file, here, monkeypatch):
    """Three of twelve photos change after they were found and looked at: they are in the list, the others as before."""
    photos = here / "photos"
    photos.mkdir()
    for path in sorted((sample_a / "val").rglob("*.jpg"))[:12]:
        shutil.copy(path, photos)
    flags = ("--img_dir", photos, "--weights", gender_file, "--workers", 0)
    assert run("A", *flags, "--output", "before.csv") == 0
    victims = sorted(photos.iterdir())[1:8:3]
    monkeypatch.setattr(images, *changing("looked at", change, victims))
    assert run("A", *flags, "--output", "after.csv") == 0
    skipped = {row["filename"]: row["reason"] for row in rows_of("after.csv.skipped.csv")}
    assert skipped.keys() == {path.name for path in victims}
    assert all(any(part in reason for part in REASONS[change.__name__]) for reason in skipped.values()), skipped
    left = {row["filename"]: row["p_female"] for row in rows_of("before.csv") if row["filename"] not in skipped}
    found = {row["filename"]: row["p_female"] for row in rows_of("after.csv")}
    assert found.keys() == left.keys()
    assert all(float(found[name]) == pytest.approx(float(left[name]), abs=1e-3) for name in left)


NOBODY = 65534


def as_nobody(call):
    """Exit status of `call` in a process that has given up the rights of root."""

    def less():
        call()  # as root: what is imported late is then there
        os.setegid(NOBODY)
        os.seteuid(NOBODY)
        call()

    return forked(less)


def command(module, *flags):
    """Exit code of a command of the package (nobody may reach the scripts)."""
    argv = [*map(str, flags), "--weights", "w.pt", "--workers", "0", "--device", "cpu", "--quiet"]
    with pytest.raises(SystemExit) as left:
        cli.run(lambda args: module.main(args, Path()), module.arguments("of a test"), argv)
    return left.value.code or 0


@pytest.fixture
def open_to_all():
    """A folder that anybody may write to, with four photos, of which two may not be read."""
    if os.geteuid():
        pytest.skip("only root can become somebody else")
    folder = Path(tempfile.mkdtemp(prefix="facecom-"))
    (folder / "photos").mkdir()
    for number in range(4):
        picture().save(folder / "photos" / f"{number}.jpg")
    for path in (folder, folder / "photos"):
        path.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_photos_that_may_not_be_read(open_to_all, gender_file, monkeypatch):
    monkeypatch.chdir(open_to_all)
    shutil.copy(gender_file, "w.pt")
    Path("w.pt").chmod(0o644)
    for name, mode in (("1.jpg", 0o000), ("2.jpg", 0o200)):
        Path("photos", name).chmod(mode)

    def judge():
        output = "root.csv" if os.geteuid() == 0 else "nobody.csv"
        assert command(gender, "--img_dir", "photos", "--output", output) == 0

    assert as_nobody(judge) == 0
    assert len(rows_of("root.csv")) == 4
    assert [row["filename"] for row in rows_of("nobody.csv")] == ["0.jpg", "3.jpg"]
    assert rows_of("nobody.csv.skipped.csv") == [
        {"filename": name, "reason": "no permission to read it"} for name in ("1.jpg", "2.jpg")
    ]


@pytest.mark.parametrize("mode, said", [(0o000, "cannot be read: Permission denied"), (0o444, "no permission")])
def test_a_folder_that_may_not_be_read(open_to_all, siamese_file, mode, said, monkeypatch):
    """Of one person among others: a note, or its photos in the list (their names may be seen); the run goes on."""
    monkeypatch.chdir(open_to_all)
    shutil.copy(siamese_file, "w.pt")
    Path("w.pt").chmod(0o644)
    for name in ("Ann", "Bob", "Cid"):
        shutil.copytree("photos", f"people/{name}")
        Path("people", name).chmod(0o755)
    Path("people").chmod(0o755)
    Path("people/Bob").chmod(mode)

    def judge():
        output = "root.csv" if os.geteuid() == 0 else "nobody.csv"
        with open(f"{output}.said", "w") as file, warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *more: print(message, file=file)
            assert command(recognition, "--img_dir", "people", "--output", output, "--same_photo", "off") == 0

    assert as_nobody(judge) == 0
    files = {row["filename"].split("/")[0] for row in rows_of("nobody.csv")}
    assert files == {"Ann", "Cid"}
    told = Path("nobody.csv.said").read_text()
    if mode:
        told += Path("nobody.csv.skipped.csv").read_text()
    assert said in told
