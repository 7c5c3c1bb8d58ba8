"""Bad input: the exact line that a user reads, the exit code, and that nothing was changed."""

import os
import pickle
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scripts import rows_of, run

from facecom.synthetic import draw_person

torch.set_num_threads(1)

FULL = Path("/dev/full")  # a device whose disk is always full


@pytest.fixture(scope="module")
def drawing():
    return draw_person(1, 1)[0]


@pytest.fixture
def weights(siamese_file, gender_file):
    return {"A": gender_file, "B": siamese_file}


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fails(capsys, here, task, *argv):
    """The lines on stderr of a run that must fail with 2 and change no file."""
    before = everything(here)
    assert run(task, *argv) == 2
    assert everything(here) == before
    return capsys.readouterr().err


@pytest.mark.parametrize("task", ["A", "B"])
class TestBoth:
    def test_missing_folder(self, here, capsys, task):
        assert fails(capsys, here, task, "--img_dir", "photos") == "error: photos: no such folder; check the path\n"

    def test_a_file_for_a_folder(self, here, capsys, task):
        Path("photos").write_text("")
        assert (
            fails(capsys, here, task, "--img_dir", "photos") == "error: photos: a file, not a folder; check the path\n"
        )

    def test_empty_folder(self, here, capsys, task, weights):
        Path("photos").mkdir()
        line = fails(capsys, here, task, "--img_dir", "photos", "--weights", weights[task])
        assert line.startswith("error: photos: no photos (.avif, .bmp, ") and line.count("\n") == 1

    def test_a_weight_file_that_is_not_one(self, here, capsys, task, drawing):
        photos_of(drawing, "photos")
        Path("weights.pt").write_text("no weights")
        line = "error: weights.pt: not a weight file, or a damaged one: fetch it again or give another\n"
        assert fails(capsys, here, task, "--img_dir", "photos", "--weights", "weights.pt") == line

    def test_a_missing_weight_file(self, here, capsys, task, drawing):
        photos_of(drawing, "photos")
        for name in ("weights.pt", "weights.onnx"):
            line = f"error: {name}: no such weight file: check the path\n"
            assert fails(capsys, here, task, "--img_dir", "photos", "--weights", name) == line

    def test_a_pickle_that_runs_code(self, here, capsys, task, drawing):
        photos_of(drawing, "photos")
        Path("weights.pt").write_bytes(pickle.dumps(Bomb()))
        torch.save({"model": Bomb()}, "zipped.pt")
        for name in ("weights.pt", "zipped.pt"):
            line = fails(capsys, here, task, "--img_dir", "photos", "--weights", name)
            assert line.startswith(f"error: {name}: holds more than weights") and line.endswith(
                "could run code when loaded; it was not loaded: save its plain state_dict instead\n"
            )
        assert not Path("ran").exists()

    def test_weights_of_the_other_task(self, here, capsys, task, weights, drawing):
        photos_of(drawing, "photos")
        other, wanted, given = {"A": ("B", "gender", "siamese"), "B": ("A", "siamese", "gender")}[task]
        path = weights[other]
        line = f"error: {path}: these weights are for the task '{given}', not '{wanted}': give others\n"
        assert fails(capsys, here, task, "--img_dir", "photos", "--weights", path) == line

    @pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
    def test_full_disk(self, here, capsys, task, weights, drawing, monkeypatch):
        photos_of(drawing, "photos")
        Path("submission.csv").write_text("an older result\n")

        def on_a_full_disk(**_):
            return os.open(FULL, os.O_WRONLY), str(here / "part")

        monkeypatch.setattr("facecom.files.tempfile.mkstemp", on_a_full_disk)
        line = "error: cannot write submission.csv: the disk is full; free some space or choose another folder\n"
        assert fails(capsys, here, task, "--img_dir", "photos", "--weights", weights[task]) == line

    @pytest.mark.parametrize("flag, least", [("batch_size", 1), ("workers", 0)])
    def test_numbers_that_mean_nothing(self, here, capsys, task, drawing, flag, least):
        photos_of(drawing, "photos")
        line = f"error: --{flag} {least - 1}: must be at least {least}\n"
        assert fails(capsys, here, task, "--img_dir", "photos", f"--{flag}", least - 1) == line

    def test_places_that_cannot_be_written_are_said_before_the_network_runs(self, here, capsys, task, drawing):
        photos_of(drawing, "photos")
        Path("file").write_text("")
        line = "error: cannot write file/submission.csv: a file stands where a folder is needed; choose another name\n"
        # No such weights: nothing else was looked at.
        argv = ("--img_dir", "photos", "--weights", "none.pt", "--output", "file/submission.csv")
        assert fails(capsys, here, task, *argv) == line

    def test_explanations_need_a_network_with_gradients(self, here, capsys, task, drawing):
        pytest.importorskip("pytorch_grad_cam")
        photos_of(drawing, "photos")
        line = "error: --explain: needs the gradients of a checkpoint; an .onnx file has none\n"
        argv = ("--img_dir", "photos", "--weights", "a.onnx", "--explain", "why")
        assert fails(capsys, here, task, *argv) == line

    def test_a_folder_for_the_output(self, here, capsys, task, weights, drawing):
        photos_of(drawing, "photos")
        Path("submission.csv").mkdir()
        line = "error: cannot write submission.csv: that is a folder; choose another name\n"
        assert fails(capsys, here, task, "--img_dir", "photos", "--weights", weights[task]) == line

    def test_a_device_for_the_folder_of_a_report(self, here, capsys, task, weights, sample_a, sample_b):
        photos = {"A": sample_a, "B": sample_b}[task] / "val"
        line = "error: cannot write /dev/null: a file stands where a folder is needed; choose another name\n"
        for flag in ("--report", "--explain"):
            said = fails(capsys, here, task, "--img_dir", photos, "--weights", weights[task], flag, "/dev/null")
            assert said == line

    def test_damaged_files_are_listed_and_the_rest_is_done(self, here, capsys, task, weights, drawing):
        photos_of(drawing, "photos")
        whole = Path("photos/a.jpg").read_bytes()
        Path("photos/half.jpg").write_bytes(whole[: len(whole) // 2])
        Path("photos/text.jpg").write_text("no photo")
        Path("photos/nothing.jpg").write_bytes(b"")
        before = everything(here)
        arguments = ("--img_dir", "photos", "--weights", weights[task])
        assert run(task, *arguments) == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last == "3 photos could not be read: submission.csv.skipped.csv says why"
        found = {row["filename"]: row["reason"] for row in rows_of("submission.csv.skipped.csv")}
        assert found.pop("half.jpg").startswith("truncated or damaged (")
        assert found == {"text.jpg": "not an image", "nothing.jpg": "an empty file"}
        assert len(rows_of("submission.csv")) == {"A": 2, "B": 1}[task]  # two photos, or one pair
        after = everything(here)
        assert {path: after[path] for path in before} == before
        assert run(task, *arguments, "--strict") == 3

    def test_a_detector_is_needed_for_yunet(self, here, capsys, task, weights, drawing):
        photos_of(drawing, "photos")
        arguments = ("--img_dir", "photos", "--weights", weights[task], "--align", "yunet")
        line = "error: --align yunet needs --detector_model FILE, YuNet's ONNX file: README.md says where it is\n"
        assert fails(capsys, here, task, *arguments) == line
        line = "error: gone.onnx: no such detector file: check --detector_model\n"
        assert fails(capsys, here, task, *arguments, "--detector_model", "gone.onnx") == line


def test_no_readable_photo(here, capsys, siamese_file):
    Path("photos").mkdir()
    Path("photos/text.jpg").write_text("no photo")
    line = "error: photos that can be read: 0; a comparison needs two\n"
    assert fails(capsys, here, "B", "--img_dir", "photos", "--weights", siamese_file) == line


def test_pairs_of_files_that_are_not_there(here, capsys, siamese_file):
    Path("pairs.csv").write_text("image1,image2\na.jpg,b.jpg\n")
    line = "error: none of the pairs could be read: check the folder; the first: a.jpg: no such file\n"
    assert fails(capsys, here, "B", "--pairs", "pairs.csv", "--weights", siamese_file) == line


def test_no_readable_gallery(here, capsys, siamese_file, drawing):
    photos_of(drawing, "photos")
    Path("people/ann").mkdir(parents=True)
    Path("people/ann/ann_0001.jpg").write_text("no photo")
    line = "error: no photo of the gallery could be read: check its folder\n"
    arguments = ("--img_dir", "photos", "--gallery", "people", "--weights", siamese_file)
    assert fails(capsys, here, "B", *arguments) == line


def test_a_person_with_one_photo_leaves_figures_undefined(here, capsys, siamese_file):
    """Nobody can be found again by another photo: no rank and no TAR, and not 0 or 1."""
    for number, name in enumerate(("ann", "bob")):
        photos_of(draw_person(number, 1)[0], f"people/{name}", [f"{name}_0001.jpg"])
    assert run("B", "--img_dir", "people", "--weights", siamese_file, "--report", "r") == 0
    assert [row["identity"] for row in rows_of("submission.csv")] == ["ann", "bob"]  # own photo in the gallery
    found = {
        (row["protocol"], row["metric"]): (row["value"], row["count"])
        for row in rows_of("r/metrics.csv")
        if row["condition"] == "clean"
    }
    assert found["cross-photo", "tar@far=1e-3"] == ("", "0")
    assert found["identification", "rank1"] == ("", "0")
    assert found["identification-own-photo", "rank1"] == ("1", "2")


@pytest.mark.parametrize(
    "content, line",
    [
        ("first;second\na;b\n", "has the columns first,second: it needs image1,image2 and may have same"),
        ("image1,image2\n", "holds no pairs"),
        ("image1,image2,same\na,b,maybe\n", "the column same must be 1 (one person) or 0 (two people) in every row"),
        ("", "cannot be read as CSV: it needs the columns image1,image2 and may have same"),
    ],
)
def test_a_pairs_file_that_is_none(here, capsys, siamese_file, content, line):
    Path("pairs.csv").write_text(content)
    assert fails(capsys, here, "B", "--pairs", "pairs.csv", "--weights", siamese_file) == f"error: pairs.csv: {line}\n"


@pytest.mark.parametrize("seed", ["-1", str(2**63)])
@pytest.mark.parametrize("task, script", [("A", "test"), ("B", "test"), ("A", "train"), ("B", "train"), ("B", "group")])
def test_a_seed_that_is_none(here, capsys, seed, task, script):
    assert run(task, "--seed", seed, script=script) == 2
    assert capsys.readouterr().err == f"error: --seed {seed}: must be from 0 to {2**63 - 1}\n"


def test_a_missing_pairs_file(here, capsys, siamese_file):
    line = "error: pairs.csv: no such pairs file: check the path\n"
    assert fails(capsys, here, "B", "--pairs", "pairs.csv", "--weights", siamese_file) == line


def test_unusual_photos_are_read_as_what_they_show(here, siamese_file, drawing):
    """Each beside the plain photo that it must equal: rotated by EXIF, CMYK, 16-bit grey, with transparency."""
    folder = Path("photos")
    folder.mkdir()
    grey = cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY)
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(np.rot90(drawing).copy()).save(folder / "exif.png", exif=turned)
    Image.fromarray(drawing).save(folder / "plain.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "sixteen.png")
    Image.fromarray(np.dstack([grey] * 3)).save(folder / "grey.png")
    seen = np.full(drawing.shape[:2], 255, np.uint8)
    Image.fromarray(np.dstack([drawing, seen])).save(folder / "rgba.png")
    Image.fromarray(drawing).save(folder / "rgb.jpg", quality=95, subsampling=0)
    Image.fromarray(drawing).convert("CMYK").save(folder / "cmyk.jpg", quality=95, subsampling=0)
    pairs = [("exif", "plain"), ("sixteen", "grey"), ("rgba", "plain"), ("cmyk", "rgb"), ("plain", "grey")]
    kind = {"cmyk": "jpg", "rgb": "jpg"}
    lines = [f"{a}.{kind.get(a, 'png')},{b}.{kind.get(b, 'png')}" for a, b in pairs]
    (folder / "pairs.csv").write_text("\n".join(["image1,image2", *lines, ""]))
    assert run("B", "--pairs", folder / "pairs.csv", "--weights", siamese_file, "--no-amp", "--strict",
               "--faces_only") == 0  # fmt: skip
    found = [float(row["distance"]) for row in rows_of("submission.csv")]
    assert found[:3] == [0, 0, 0]
    assert found[3] < found[4] / 3  # JPEG loses a little; the colours are right
    assert found[4] > 0.005


class Bomb:
    def __reduce__(self):
        return open, ("ran", "w")


def photos_of(drawing, folder, names=("a.jpg", "b.jpg")):
    Path(folder).mkdir(parents=True)
    for name in names:
        Image.fromarray(drawing).save(Path(folder) / name)


def test_a_folder_of_the_users_is_never_changed(here, siamese_file, sample_b):
    shutil.copytree(sample_b / "val", "val")
    before = everything(here / "val")
    assert run("B", "--img_dir", "val", "--weights", siamese_file, "--output", "out.csv", "--report", "r") == 0
    assert everything(here / "val") == before
