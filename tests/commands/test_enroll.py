"""`enroll.py`, and `--gallery people.lance` where people are looked for, as users call them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from enrolled import paint
from scripts import rows_of, run

from facecom.commands import main
from facecom.errors import FacecomWarning

pytest.importorskip("lancedb", reason="needs the extra gallery")

QUICK = ["--device", "cpu", "--quiet", "--no-amp", "--workers", "0"]


@pytest.fixture
def flags(here, siamese_file):
    return ["--gallery", here / "people.lance", "--weights", siamese_file, "--no-amp"]


@pytest.fixture
def people(sample_b):
    return sample_b / "val"


def call(*argv):
    """Exit code of `facecom ...`."""
    with pytest.raises(SystemExit) as left:
        main.main([str(word) for word in argv])
    return left.value.code or 0


def enroll(*argv):
    return run("B", *argv, script="enroll")


def test_people_are_added_listed_and_removed(flags, people, here, capsys):
    assert enroll(*flags, "--img_dir", people) == 0
    out = capsys.readouterr().out
    assert "12 added, 0 unchanged, 0 replaced, 0 unreadable" in out
    assert "4 people, 12 photos; of 10,000 strangers about 40" in out
    assert enroll(*flags, "--img_dir", people) == 0
    assert "0 added, 12 unchanged" in capsys.readouterr().out
    photo = paint(here / "ann.png", (200, 30, 40))
    assert enroll(*flags, "--img_dir", photo, "--name", "Ann") == 0
    assert "1 added" in capsys.readouterr().out
    paint(photo, (20, 30, 240))
    assert enroll(*flags, "--img_dir", photo, "--name", "Ann") == 0
    assert "0 added, 0 unchanged, 1 replaced" in capsys.readouterr().out
    assert enroll(*flags, "--list") == 0
    assert "     1  Ann\n" in capsys.readouterr().out
    assert enroll(*flags, "--remove", "Ann") == 0
    assert "removed 1 photos of Ann" in capsys.readouterr().out
    assert enroll(*flags, "--remove", "Ann") == 2
    assert "nobody is called 'Ann'; there are Drawn_Person" in capsys.readouterr().err


@pytest.mark.parametrize("faces", ["one", "all"])
def test_a_gallery_answers_as_its_folder_does(flags, people, sample_b, here, capsys, faces):
    assert enroll(*flags, "--img_dir", people) == 0
    probes = sample_b / "val" / "Drawn_Person_005" / "distortion"
    assert probes.is_dir()
    common = ["--img_dir", probes, "--faces", faces, *flags[2:]]
    capsys.readouterr()
    assert run("B", *common, "--gallery", people, "--same_photo", "off", "--output", here / "folder.csv") == 0
    assert "10,000 strangers" not in capsys.readouterr().out
    assert run("B", *common, *flags[:2], "--output", here / "kept.csv") == 0
    assert "of 10,000 strangers about 40" in capsys.readouterr().out
    folder, kept = rows_of(here / "folder.csv"), rows_of(here / "kept.csv")
    assert len(kept) == len(folder) and (kept or faces == "all")
    for one, other in zip(folder, kept, strict=True):
        assert float(one.pop("distance")) == pytest.approx(float(other.pop("distance")), abs=2e-4)
        assert one == other


def test_identify_takes_it_too(flags, people, capsys, here):
    assert call("enroll", people, *flags, *QUICK, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["added"], told["replaced"], told["unreadable"]) == (12, 0, [])
    assert told["people"] == {f"Drawn_Person_00{number}": 3 for number in range(4, 8)}
    assert told["strangers"] == pytest.approx(40, abs=0.1)
    photo = sorted(people.glob("*/*.jpg"))[4]
    assert call("identify", photo, *flags, *QUICK, "--json") == 0
    (answer,) = json.loads(capsys.readouterr().out)["answers"]
    assert answer["identity"] == photo.parent.name and answer["distance"] < 0.001 and answer["same"] is True
    assert call("enroll", "--list", *flags, *QUICK, "--json") == 0
    assert json.loads(capsys.readouterr().out)["people"] == told["people"]


def test_unreadable_photos_are_named_and_strict_says_so(flags, here, capsys):
    paint(here / "some" / "Ann" / "1.png", (200, 30, 40))
    (here / "some" / "Ann" / "bad.jpg").write_bytes(b"no photo")
    assert enroll(*flags, "--img_dir", here / "some") == 0
    out = capsys.readouterr().out
    assert "could not be read" in out and "bad.jpg: not an image" in out and "1 added, 0 unchanged" in out
    assert call("enroll", here / "some", *flags, *QUICK, "--strict", "--json") == 3
    assert json.loads(capsys.readouterr().out)["unreadable"][0]["reason"] == "not an image"
    (here / "some" / "Ann" / "1.png").unlink()
    assert enroll(*flags, "--img_dir", here / "some") == 2
    assert "none of the photos could be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "what is to be done: give --img_dir people, --from faces, --remove NAME or --list"),
        (["--list", "--remove", "Ann"], "--remove and --list: one at a time"),
        (["--list", "--name", "Ann"], "--name: whose photos --img_dir holds"),
        (["--list"], "people.lance: no gallery"),
        (["--remove", "Ann"], "people.lance: no gallery"),
        (["--img_dir", "nowhere"], "nowhere: no such folder"),
        (["--img_dir", ".", "--name", "A\nB"], r"'A\nB': no name that a list can show"),
        (["--img_dir", ".", "--name", "A\udcffB"], r"'A\udcffB': no name that a list can show"),
        (["--img_dir", ".", "--name", " "], "a person needs a name"),
        (["--img_dir", "nowhere.jpg", "--name", "Ann"], "nowhere.jpg: no such file"),
    ],
)
def test_what_cannot_be_is_refused(flags, here, capsys, words, said):
    assert enroll(*flags, *words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (here / "people.lance").exists()


def test_one_photo_without_a_name_is_nobodys(flags, here, capsys):
    photo = paint(here / "ann.png", (200, 30, 40))
    assert enroll(*flags, "--img_dir", photo) == 2
    said = (
        "a photo, not a folder of people: say whose it is (--name), or give the folder above the folder that it lies in"
    )
    assert capsys.readouterr().err == f"error: {photo}: {said}\n"
    assert not (here / "people.lance").exists()


def test_the_organisers_folder_means_its_val(flags, people, here, capsys):
    for split in ("train", "val"):
        shutil.copytree(people, here / "Comys_Hackathon5" / "Task_B" / split)
    with pytest.warns(FacecomWarning, match="holds train/ and val/: takes Comys_Hackathon5/Task_B/val"):
        assert enroll(*flags, "--img_dir", "Comys_Hackathon5") == 0
    told = capsys.readouterr().out
    assert "12 added, 0 unchanged" in told and "4 people" in told


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid(), reason="only root can become somebody else")
def test_a_gallery_that_one_may_only_read_is_listed(tmp_path, siamese_file):
    """And nobody is added to it or removed: in a process of its own, which LanceDB's threads are new in."""
    place = Path(tempfile.mkdtemp(prefix="facecom-"))
    code = f"""
import os, sys
from pathlib import Path
from facecom import cli
from facecom.commands import enroll
def call(*words):
    try:
        argv = [*words, *"--gallery people.lance --weights w.pt --quiet --device cpu --workers 0".split()]
        cli.run(lambda args: enroll.main(args, Path()), enroll.arguments("of a test"), argv)
    except SystemExit as left:
        print(left.code or 0, flush=True)
os.chdir({str(place)!r})
call("--img_dir", "a.png", "--name", "Ann")
call("--list")  # what is imported late is then there
os.system("chmod -R a+rX,go-w .; chmod 644 w.pt a.png")
os.setregid(65534, 65534); os.setreuid(65534, 65534)
call("--list")
call("--remove", "Ann")
call("--img_dir", "a.png", "--name", "Bob")
call("--list")
"""
    try:
        shutil.copy(siamese_file, place / "w.pt")
        paint(place / "a.png", (200, 30, 40))
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        codes = [line for line in done.stdout.splitlines() if line.isdigit()]
        assert codes == ["0", "0", "0", "2", "2", "0"], done.stdout + done.stderr
        assert done.stdout.count("     1  Ann\n") == 3 and done.stderr.count("no permission to write there") == 2
    finally:
        shutil.rmtree(place)


def test_what_a_gallery_does_not_hold_cannot_be_asked(flags, people, here, capsys):
    assert enroll(*flags, "--img_dir", people) == 0
    photos = ["--img_dir", people / "Drawn_Person_005", *flags]
    assert run("B", *photos, "--same_photo", "on", "--output", here / "a.csv") == 2
    assert "holds faces alone" in capsys.readouterr().err
    assert run("B", *photos[:4], "--output", here / "a.csv") == 2  # the shipped weights
    assert "was made by other weights" in capsys.readouterr().err
    assert run("B", "--img_dir", people, *flags[:2], "--output", here / "a.csv", script="group") == 2
    assert "people.lance: holds no photos" in capsys.readouterr().err
    assert not (here / "a.csv").exists()


def test_the_folder_way_needs_no_extra(people, siamese_file, here, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    photos = ["--img_dir", people / "Drawn_Person_005", "--weights", siamese_file]
    assert run("B", *photos, "--gallery", people, "--output", here / "a.csv") == 0
    assert enroll("--gallery", here / "people.lance", "--img_dir", people, "--weights", siamese_file) == 2
    assert 'pip install "facecom[gallery]"' in capsys.readouterr().err


def test_help_waits_for_nothing():
    code = (
        "import sys\nfrom facecom.commands import main\nmain.tree()\nassert not {'torch', 'lancedb'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
