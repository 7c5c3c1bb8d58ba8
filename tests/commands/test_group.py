"""`group.py` and `--faces all` as people call them, on drawn people and the shipped weights."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scripts import rows_of, run

import facecom
from facecom.synthetic import draw_person


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three people with two photos each in two folders, a photo of two of them, one that is none."""
    place = tmp_path_factory.mktemp("unsorted")
    (place / "more").mkdir()
    for person in range(3):
        for shot in range(2):
            where = place / "more" if shot else place
            Image.fromarray(draw_person(person, shot)[0]).save(where / f"p{person}{shot}.png")
    both = np.concatenate([draw_person(0, 2)[0], draw_person(1, 2)[0]], 1)
    Image.fromarray(both).save(place / "both.png")
    (place / "bad.jpg").write_bytes(b"no photo")
    return place


def fingerprint(folder: Path) -> dict:
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sorted_faces(folder, tmp_path_factory):
    before, place = fingerprint(folder), tmp_path_factory.mktemp("groups")
    code = run("B", "--img_dir", folder, "--output", place / "groups.csv", "--report", place, script="group")
    assert code == 0 and fingerprint(folder) == before
    return place


def test_a_row_a_face_with_its_person(sorted_faces):
    rows = rows_of(sorted_faces / "groups.csv")
    assert list(rows[0]) == ["filename", "face", "person", "distance", "x", "y", "width", "height"]
    names = {row["filename"] for row in rows}
    assert {"p00.png", "more/p01.png", "both.png"} <= names and "bad.jpg" not in names
    assert sorted(row["face"] for row in rows if row["filename"] == "both.png")[:2] == ["1", "2"]
    assert all(row["person"] == "" or 0 <= float(row["distance"]) < 2 for row in rows)


def test_the_answer_is_in_numbers(folder, tmp_path, capsys):
    (tmp_path / "one").mkdir()
    Image.fromarray(draw_person(0, 0)[0]).save(tmp_path / "one" / "a.png")
    Image.new("RGB", (200, 200), (90, 120, 150)).save(tmp_path / "one" / "wall.png")
    assert run("B", "--img_dir", tmp_path / "one", "--output", tmp_path / "g.csv", script="group") == 0
    assert "2 photos, 1 faces, 1 people (1 with one photo)" in capsys.readouterr().out
    (row,) = rows_of(tmp_path / "g.csv")
    assert (row["filename"], row["person"], float(row["distance"])) == ("a.png", "1", pytest.approx(0, abs=1e-3))
    assert rows_of(tmp_path / "g.csv.skipped.csv") == [{"filename": "wall.png", "reason": "no face found"}]


def test_what_is_no_photo_is_listed(sorted_faces):
    assert [row["filename"] for row in rows_of(sorted_faces / "groups.csv.skipped.csv")][0] == "bad.jpg"


@pytest.mark.skipif(sys.platform != "linux", reason="names as Linux has them")
def test_a_folder_whose_name_is_no_text(tmp_path, capsys):
    """A table cannot hold it: one line, and not a traceback."""
    place = tmp_path / "l\udce9on"
    place.mkdir()
    Image.fromarray(draw_person(0, 0)[0]).save(place / "a.png")
    assert run("B", "--img_dir", place, "--output", tmp_path / "g.csv", script="group") == 2
    error = capsys.readouterr().err
    assert error.endswith("its name is not UTF-8; rename it\n") and error.count("\n") == 1


def test_the_contact_sheet_shows_every_face(sorted_faces):
    page = (sorted_faces / "groups.html").read_text()
    assert page.count("<img ") == len(rows_of(sorted_faces / "groups.csv"))
    assert page.count('alt="') == page.count("<img ") == page.count('loading="lazy"') and "http" not in page
    people = {row["person"] for row in rows_of(sorted_faces / "groups.csv")} - {""}
    assert all(f"<h2>Person {person} (" in page for person in people)


def test_people_of_a_gallery_get_their_names(folder, tmp_path):
    (tmp_path / "people" / "Ann").mkdir(parents=True)
    Image.fromarray(draw_person(0, 0)[0]).save(tmp_path / "people" / "Ann" / "a.png")
    flags = ("--gallery", tmp_path / "people", "--faces", "one", "--output", tmp_path / "g.csv")
    assert run("B", "--img_dir", folder / "more", *flags, script="group") == 0
    people = {row["filename"]: row["person"] for row in rows_of(tmp_path / "g.csv")}
    assert people["p01.png"] == "Ann"
    assert all(row["x"] == "" for row in rows_of(tmp_path / "g.csv"))


def test_a_gallery_joins_groups_and_names_its_unreadable_photos(tmp_path):
    place, photos = tmp_path / "people" / "Ann", tmp_path / "photos"
    place.mkdir(parents=True)
    photos.mkdir()
    for person in (1, 2, 4):
        Image.fromarray(draw_person(person, 1)[0]).save(photos / f"{person}.png")
    for person in (1, 4):
        Image.fromarray(draw_person(person, 0)[0]).save(place / f"{person}.png")
    (place / "bad.jpg").write_bytes(b"no photo")
    flags = ("--gallery", tmp_path / "people", "--faces", "one", "--output", tmp_path / "g.csv")
    assert run("B", "--img_dir", photos, *flags, script="group") == 0
    rows = rows_of(tmp_path / "g.csv")
    assert [row["person"] for row in rows] == ["Ann", "Ann", "2"]
    assert float(rows[0]["distance"]) == pytest.approx(float(rows[1]["distance"]), abs=1e-3)  # one mean of both
    assert rows_of(tmp_path / "g.csv.skipped.csv")[0]["filename"].endswith("Ann/bad.jpg")


@pytest.mark.parametrize("flags", [("--threshold", "-1"), ("--threshold", "nan"), ("--gallery", "people")])
def test_what_cannot_be_is_refused(folder, tmp_path, capsys, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people" / "7").mkdir(parents=True)
    Image.fromarray(draw_person(0, 0)[0]).save(tmp_path / "people" / "7" / "a.png")
    assert run("B", "--img_dir", folder, *flags, "--output", "g.csv", script="group") == 2
    assert ("--threshold" if flags[0] == "--threshold" else "people/7") in capsys.readouterr().err
    assert not (tmp_path / "g.csv").exists()


@pytest.mark.parametrize("where", ["nowhere", "empty"])
def test_a_folder_without_photos_is_said(tmp_path, capsys, where):
    (tmp_path / "empty").mkdir()
    assert run("B", "--img_dir", tmp_path / where, "--output", tmp_path / "g.csv", script="group") == 2
    assert where in capsys.readouterr().err and not (tmp_path / "g.csv").exists()


def test_scores_of_one_face_and_all_faces_exclude_each_other(folder, tmp_path, capsys):
    flags = ("--faces", "all", "--report", tmp_path / "r", "--output", tmp_path / "o.csv")
    assert run("A", "--img_dir", folder, *flags) == 2
    assert "--report" in capsys.readouterr().err and not (tmp_path / "r").exists()


def test_what_is_no_folder_to_sort_is_named_with_the_remedy(folder, here, capsys):
    photo = folder / "both.png"
    (here / "notes.txt").write_text("")
    for given, said in (
        (photo, "a photo, not a folder; give the folder that it lies in"),
        ("notes.txt", "a file, not a folder; check the path"),
        ("nowhere", "no such folder; check the path"),
    ):
        assert run("B", "--img_dir", given, script="group") == 2
        assert capsys.readouterr().err == f"error: {given}: {said}\n"


def test_gender_of_every_face(folder, tmp_path):
    assert run("A", "--img_dir", folder, "--faces", "all", "--output", tmp_path / "g.csv") == 0
    rows = [row for row in rows_of(tmp_path / "g.csv") if row["filename"] == "both.png"]
    assert len(rows) >= 2 and float(rows[0]["x"]) < float(rows[1]["x"])
    assert {"rotation", "face_score", "gender", "p_female"} <= set(rows[0])


def test_pairs_are_compared_by_their_best_faces(folder, tmp_path):
    (tmp_path / "pairs.csv").write_text("image1,image2\nboth.png,p00.png\nboth.png,p10.png\n")
    flags = ("--pairs", tmp_path / "pairs.csv", "--img_dir", folder, "--faces", "all", "--output", tmp_path / "o.csv")
    assert run("B", *flags) == 0
    first, second = rows_of(tmp_path / "o.csv")
    assert first["face1"] != second["face1"]


def test_all_faces_need_somebody_to_be_compared_with(folder, tmp_path, capsys):
    assert run("B", "--img_dir", folder, "--faces", "all", "--output", tmp_path / "o.csv") == 2
    assert "--gallery" in capsys.readouterr().err


def test_every_face_from_python(folder):
    found = facecom.FaceVerifier(device="cpu").faces([str(folder / "both.png"), draw_person(2, 0)[0]])
    assert set(found.filename) == {str(folder / "both.png"), "1"}
    assert np.linalg.norm(np.stack(found.embedding.to_list()), axis=1) == pytest.approx(1, abs=1e-3)
    assert list(found.columns[:3]) == ["filename", "face", "x"]
