"""Photos that went or changed after they were answered for: in the audit, the reports, the contact sheet, the pictures
that explain, and in training. What is left is said as before, and nothing waits."""

import errno
import os
import re
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scripts import run
from test_changing_photos import CHANGES, another, cut, longer

from facecom.data import audit as auditing
from facecom.data import images
from facecom.errors import FacecomWarning
from facecom.evaluation import protocols
from facecom.faces import crops
from facecom.inference import ensemble
from facecom.report import build, contact_sheet, explain, gender, plots, siamese
from facecom.training import loop

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="pipes and links as Linux has them")

every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)

#: What leaves something that can be looked at.
STILL_A_PHOTO = (another, longer)


def zero(path):
    os.unlink(path)
    os.symlink("/dev/zero", path)


@pytest.fixture
def people(tmp_path):
    """Six people with three photos each, and embeddings that nearly know them."""
    rng, rows, embeddings = np.random.default_rng(0), [], []
    for person in range(6):
        centre = rng.normal(size=16)
        for shot in range(3):
            path = tmp_path / "photos" / f"P{person}_{shot}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (40, 30, 3), np.uint8)).save(path)
            rows.append((str(path), f"P{person}/{path.name}", f"P{person}", path.stem, "clean"))
            embeddings.append(centre + rng.normal(size=16))
    table = pd.DataFrame(rows, columns=["path", "file", "identity", "photo", "condition"])
    table["gender"] = np.where(table.identity < "P3", "male", "female")
    embeddings = np.array(embeddings, np.float32)
    return table, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


@pytest.mark.parametrize("change", [*CHANGES, zero], ids=lambda one: one.__name__)
@pytest.mark.parametrize("moment", ["before", "after its size was asked"])
def test_an_audit_names_the_others(change, moment, people, tmp_path, monkeypatch):
    """Two photos lie in both splits and have two labels; a third that did went or changed."""
    train, _ = people
    val = train.assign(path=[str(tmp_path / "val" / os.path.basename(path)) for path in train.path], identity="Q")
    val["gender"] = np.where(train.gender == "male", "female", "male")
    shutil.copytree(tmp_path / "photos", tmp_path / "val")
    for path in train.path[3:]:  # of another content, but of the same size
        with open(path, "r+b") as file:
            file.seek(-20, os.SEEK_END)
            file.write(b"????")
    victim, real, left = train.path[1], auditing._digest, [True]

    def digest(path):
        if path == victim and left:
            left.clear()
            change(victim)
        return real(path)

    if moment == "before":
        change(victim)
    else:
        monkeypatch.setattr(auditing, "_digest", digest)
    found = auditing.audit(train, val)
    identical = found[found.kind == "identical file"]
    assert identical.train.tolist() == [train.file[0], train.file[2]]
    left[:] = []
    both = pd.concat([train, val], ignore_index=True)
    assert auditing.contradictions(both, "gender") == [(train.file[0],) * 2, (train.file[2],) * 2]


@every_change
def test_the_worst_errors_of_a_report_name_what_went(change, people):
    """There is a picture of each photo that can still be read; the words are the same."""
    table, embeddings = people
    p_female = np.where(table.gender == "female", 0.1, 0.9)

    def parts():
        yield "".join(siamese.worst(table, embeddings, 0.9))
        yield "".join(gender.worst(table, p_female, (p_female >= 0.5).astype(float)))

    before = [*parts()]
    for path in table.path:
        change(path)
    for one, other in zip(before, parts(), strict=True):
        assert one.count("<img") > 3
        assert other.count("<img") == (one.count("<img") if change in STILL_A_PHOTO else 0)
        words = [re.sub(r"<img[^>]*>", "", part) for part in (one, other)]
        assert words[0] == words[1] and any(name.replace("_", "_<wbr>") in words[0] for name in table.photo)


def test_a_whole_report_of_photos_that_went(people, tmp_path, monkeypatch):
    monkeypatch.setattr(plots, "DPI", 30)
    table, embeddings = people
    points = [{"threshold": 0.9, "far": 1e-3}]
    rows = protocols.all_task_b(table, embeddings, points, resamples=2)
    for path, change in zip(table.path, [*CHANGES, *CHANGES], strict=True):
        change(path)
    page = build.write_siamese_report(tmp_path, rows, table, embeddings, points).read_text()
    assert page.rstrip().endswith("</html>") and "The worst errors" in page


@every_change
def test_a_contact_sheet_says_what_went(change, people, tmp_path):
    table, _ = people
    box = {"x": 5.0, "y": 6.0, "width": 20.0, "height": 20.0}
    faces = pd.DataFrame({"path": table.path, "filename": table.file, "person": table.identity}).assign(**box)
    faces.loc[4, list(box)] = np.nan
    for row in (1, 4):
        change(faces.path[row])
    page = contact_sheet.write(tmp_path, faces).read_text()
    assert page.count("<section>") == 6 and page.rstrip().endswith("</html>")
    assert page.count("<img ") == (18 if change in STILL_A_PHOTO else 16)
    for row in (1, 4):
        assert page.count(faces.filename[row]) == (2 if change in STILL_A_PHOTO else 1)  # alt and title, or a line
    if change not in STILL_A_PHOTO:
        for row in (1, 4):
            line = page.split(f"{faces.filename[row]}: ")[1].split("</p>")[0]
            assert len(line) > 5 and str(tmp_path) not in line and "\n" not in line


@every_change
@pytest.mark.parametrize("task", ["A", "B"])
def test_pictures_that_explain_leave_out_what_went(change, task, people, tmp_path, siamese_file, gender_file):
    pytest.importorskip("pytorch_grad_cam", reason="needs the extra explain")
    table, _ = people
    (tmp_path / "why").mkdir()
    table, victim = table[:4], table.path[1]
    change(victim)
    gone = [] if change in STILL_A_PHOTO else [victim]
    told = pytest.warns(FacecomWarning, match=rf"{victim}: .*: no picture of it") if gone else _nothing()
    with told:
        if task == "A":
            network = ensemble.load([gender_file], "gender")
            explain.write_genders(tmp_path / "why", network, table.assign(p_female=[0.1, 0.2, 0.6, 0.9]), 0.5)
        else:
            network = ensemble.load([siamese_file], "siamese")
            pairs = explain.identified_pairs(table, table, np.array([0.1, 0.2, 0.9, 1.2]), np.array([1, 2, 3, 0]))
            explain.write_pairs(tmp_path / "why", network, pairs, 0.8)
    listed = pd.read_csv(tmp_path / "why" / "explain.csv")
    pictures = {path.name for path in (tmp_path / "why").glob("*.png")}
    assert set(listed.picture) == pictures
    assert len(pictures) == 4 - len(gone) * (1 if task == "A" else 2)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


@pytest.mark.parametrize("workers, at", [(0, 0), (2, 1), (2, 7)])
@pytest.mark.parametrize("change", [cut, CHANGES[2]], ids=lambda one: one.__name__)
def test_training_whose_photos_went_says_so_in_one_line(change, workers, at, sample_b, tmp_path, monkeypatch, capsys):
    """Of many photos the crops stay on the disk: they are cut anew whenever they are needed."""
    shutil.copytree(sample_b, tmp_path / "data")
    victim = sorted((tmp_path / "data" / "train").glob("*/*.jpg"))[at]
    monkeypatch.setattr(crops, "IN_MEMORY", 0)
    real = crops.load_crops

    def load(*args, **options):
        found = real(*args, **options)
        if str(victim) in set(found[0].path) and not seen:
            seen.append(change)
            change(victim)
        return found

    seen: list = []
    monkeypatch.setattr("facecom.training.preparation.load_crops", load)
    flags = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --no-amp --conditions none"
    flags += f" --epochs 3 --batch_size 4 --workers {workers}"
    where = ("--data_dir", tmp_path / "data", "--run_dir", tmp_path / "run", "--output", tmp_path / "best.pt")
    code = run("B", *where, *flags.split(), script="train")
    err = capsys.readouterr().err
    assert seen
    assert code == 2 and err.startswith(f"error: {victim}: ") and err.count("\n") == 1, err
    assert err.endswith("; it could be read before: put it back, or begin again without it\n")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_training_whose_photos_the_disk_refuses(workers, number, sample_b, tmp_path, monkeypatch, capsys):
    """Photos that could be read before: in a worker or here, it is one line, which names the file."""
    monkeypatch.setattr(crops, "IN_MEMORY", 0)
    real = loop.open_data

    def refused(file):
        raise OSError(number, os.strerror(number))

    def opened(*args):
        found = real(*args)
        monkeypatch.setattr(images, "_open", refused)
        return found

    monkeypatch.setattr(loop, "open_data", opened)
    flags = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --no-amp --conditions none"
    flags += f" --epochs 1 --batch_size 4 --workers {workers}"
    where = ("--data_dir", sample_b, "--run_dir", tmp_path / "run", "--output", tmp_path / "best.pt")
    code = run("B", *where, *flags.split(), script="train")
    reason = re.escape(f"the disk does not give it out ({os.strerror(number).lower()})")
    said = re.fullmatch(rf"error: (.*): {reason}; it could be read before: .*\n", capsys.readouterr().err)
    assert code == 2 and said and os.path.isfile(said[1]) and not (tmp_path / "best.pt").exists()
