"""Packing crops: tables, heads, folders, and who may not be among them."""

import csv

import numpy as np
import pandas as pd
import pytest
from heads import drawn_heads, encoded, write_heads

from facecom.faces.alignment import align
from pretraining.targets import crops


@pytest.fixture
def tables(tmp_path):
    """`faces.parquet`: two aligned crops; `heads.parquet`: three drawn heads with their landmarks."""
    drawn = drawn_heads(5)
    faces = {"image": [encoded(align(*pair)) for pair in drawn[:2]], "identity": ["a", "b"], "gender": ["male", None]}
    pd.DataFrame(faces | {"source": "celeba"}).to_parquet(tmp_path / "faces.parquet")
    write_heads(tmp_path / "heads.parquet", drawn[2:])
    return tmp_path, drawn


def by_order(pictures, teachers, weights):
    """A teacher that knows photos by their order: unit vectors."""
    return np.eye(8, dtype=np.float32)[: len(pictures)]


def pack(folder, *more):
    words = f"--faces {folder}/faces.parquet --heads {folder}/heads.parquet --teacher x.onnx --output {folder}/out"
    crops.main(crops.get_args_parser().parse_args([*words.split(), *more]))
    rows = list(csv.DictReader(open(folder / "out/people.csv")))
    return np.load(folder / "out/crops.npy"), np.load(folder / "out/teacher.npy"), rows


def test_tables_come_first_then_heads_which_nobody_knows(tables, monkeypatch):
    folder, drawn = tables
    monkeypatch.setattr(crops, "teacher_embeddings", by_order)
    pictures, teacher, rows = pack(folder)
    assert [tuple(row.values()) for row in rows] == [
        ("a", "a", "male", "celeba", ""),
        ("b", "b", "", "celeba", ""),
        *[("", "", "", "heads", number) for number in "012"],
    ]
    np.testing.assert_array_equal(pictures[0], align(*drawn[0]))
    np.testing.assert_array_equal(pictures[3], align(drawn[3][0], drawn[3][1].astype(np.float32)))
    assert teacher.shape == (5, 8) and teacher.dtype == np.float16


def test_who_resembles_the_people_tested_on_is_left_out(tables, monkeypatch, capsys):
    folder, _ = tables
    monkeypatch.setattr(crops, "teacher_embeddings", by_order)
    monkeypatch.setattr(crops, "open_detector", lambda path: None)
    # The four photos to be tested on look like the first four packed, to this teacher.
    monkeypatch.setattr(crops, "crops_of_folder", lambda path, detector: [(np.zeros((112, 112, 3)), ())] * 4)
    pictures, teacher, rows = pack(folder, "--apart_from", str(folder / "val"))
    assert [row["identity"] or row["file"] for row in rows] == ["2"] and len(pictures) == len(teacher) == 1
    assert "4 photos of people who resemble someone" in capsys.readouterr().out
    out = list(csv.DictReader(open(folder / "out/left_out.csv")))
    assert [(row["row"], row["cosine"], row["identity"]) for row in out][:2] == [("0", "1.0", "a"), ("1", "1.0", "b")]


def test_with_a_photo_that_resembles_goes_the_whole_person():
    found = np.array([[1, 0], [0, 1], [0, 1], [0.3, 0.954]], np.float32)
    rows = [("a", "a", "", "x", ""), ("a", "a", "", "x", ""), ("a", "a", "", "other", ""), ("", "", "", "heads", "3")]
    out = crops.who_resembles(found, np.array([[1, 0]], np.float32), rows)
    assert out["row"].tolist() == [0, 1] and out["cosine"].tolist() == [1, 0]
    near = np.array([[0.41, 0.912]], np.float32)  # .41 to the first and .99 to the last
    assert set(crops.who_resembles(found, near, rows)["row"]) == {0, 1, 2, 3}
