"""An output that is also read: what the user gave is never replaced by an answer."""

import os
import shutil
import subprocess
import sys

import pytest
from scripts import ROOT, run

from facecom.commands import main


@pytest.fixture
def photos(here, sample_b, sample_a):
    shutil.copytree(next((sample_b / "val").iterdir()), here / "photos")
    shutil.rmtree(here / "photos" / "distortion", ignore_errors=True)
    for number, path in enumerate(sorted((here / "photos").iterdir())):
        path.rename(here / "photos" / f"{number}.jpg")
    shutil.copytree(here / "photos", here / "bare")
    (here / "bare" / "0.jpg").rename(here / "bare" / "without-an-ending")
    (here / "pairs.csv").write_text("image1,image2\n0.jpg,1.jpg\n")
    (here / "people").mkdir()
    shutil.copytree(here / "photos", here / "people" / "Ann")
    return here


CASES = {
    "a photo": ("A", "--img_dir photos --output photos/0.jpg", "a photo is there"),
    "a photo in capitals": ("A", "--img_dir photos --output photos/A.JPEG", "a photo is there"),
    "a photo without an ending": ("A", "--img_dir bare --output bare/without-an-ending", "a photo is there"),
    "the one photo": ("A", "--img_dir photos/0.jpg --output photos/0.jpg", "--img_dir reads it"),
    "by a link": ("A", "--img_dir photos --output link.csv", "a photo is there"),
    "by a hard link": ("B", "--img_dir photos --pairs pairs.csv --output same.csv", "--pairs reads it"),
    "of pairs": ("B", "--img_dir photos --pairs pairs.csv --output ./photos/../pairs.csv", "--pairs reads it"),
    "a person's photo": ("B", "--img_dir photos --gallery people --output people/Ann/1.jpg", "a photo is there"),
    "the weights": ("A", "--img_dir photos --output w.pt", "--weights reads it"),
    "the weights of all faces": ("B", "--img_dir photos --gallery people --faces all --output w.pt", "--weights reads"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_is_not_replaced(case, photos, gender_file, siamese_file, capsys):
    task, flags, said = CASES[case]
    shutil.copy({"A": gender_file, "B": siamese_file}[task], "w.pt")
    shutil.copy("photos/0.jpg", "photos/A.JPEG")
    os.symlink("photos/1.jpg", "link.csv")
    os.link("pairs.csv", "same.csv")
    before = {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()}
    assert run(task, *flags.split(), "--weights", "w.pt", "--workers", 0) == 2
    error = capsys.readouterr().err
    assert said in error and "choose another name\n" in error and error.count("error: ") == 1
    assert {path: path.read_bytes() for path in photos.rglob("*") if path.is_file()} == before


def test_training_refuses_it_too(photos, sample_b, capsys):
    """Weights that training starts from may be replaced by better ones; photos, settings and tables may not."""
    shutil.copytree(sample_b, "data")
    photo = next((photos / "data" / "train").rglob("*.jpg"))
    (photos / "args.yaml").write_text("epochs: 1\n")
    before = photo.read_bytes()
    flags = ("--data_dir", "data", "--run_dir", "run", "--init", "none", "--config", "args.yaml")
    for output, said in ((photo, "a photo is there"), ("args.yaml", "--config reads it")):
        assert run("B", *flags, "--output", output, script="train") == 2
        assert capsys.readouterr().err == f"error: cannot write {output}: {said}; choose another name\n"
    assert photo.read_bytes() == before and (photos / "args.yaml").read_text() == "epochs: 1\n"


def test_group_and_export_refuse_it_too(photos, siamese_file, capsys):
    shutil.copy(siamese_file, "w.pt")
    flags = ("--img_dir", "photos", "--weights", "w.pt", "--output", "photos/2.jpg", "--faces", "one")
    assert run("B", *flags, script="group") == 2
    assert "cannot write photos/2.jpg: a photo is there" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main.main(["export", "--task", "siamese", "--weights", "w.pt", "--output", "w.pt"])
    assert left.value.code == 2 and "cannot write w.pt: --weights reads it" in capsys.readouterr().err
    assert (photos / "w.pt").read_bytes() == siamese_file.read_bytes()


@pytest.mark.parametrize("flag", ["--report", "--explain"])
def test_pictures_do_not_go_among_the_photos(flag, photos, siamese_file, capsys):
    pytest.importorskip("pytorch_grad_cam", reason="needs the extra explain")
    before = sorted(os.listdir("people"))
    assert run("B", "--img_dir", "people", "--weights", siamese_file, flag, "photos/../people/") == 2
    assert f"{flag} photos/../people: the photos lie there; choose another folder" in capsys.readouterr().err
    assert sorted(os.listdir("people")) == before and not (photos / "submission.csv").exists()


def test_a_result_beside_the_photos_is_written_again_and_again(photos, gender_file):
    """An earlier result is no photo."""
    for _ in range(2):
        assert run("A", "--img_dir", "photos", "--weights", gender_file, "--output", "photos/answers.csv") == 0
    assert sorted(os.listdir("photos")) == ["0.jpg", "1.jpg", "2.jpg", "answers.csv"]


@pytest.mark.skipif(sys.platform == "win32", reason="the shell of Unix")
def test_standard_output_that_leads_to_a_file(photos, gender_file):
    words = [sys.executable, ROOT / "comsys-hackathon-taskA" / "test.py", "--img_dir", "photos"]
    words += ["--weights", gender_file, "--output", "/dev/stdout", "--quiet"]
    with open("all.txt", "w") as file:
        subprocess.run([*map(str, words)], check=True, stdout=file, cwd=photos)
    assert "filename,gender,p_female" in (photos / "all.txt").read_text()
