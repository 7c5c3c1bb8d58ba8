import numpy as np
import pandas as pd
import pytest
from heads import encoded

from facecom.data.holdback import is_held_back
from facecom.errors import FacecomError
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import TEMPLATE, align, template_of
from facecom.training.preparation import OWN, without_known
from facecom.training.tables import LANDMARK_COLUMNS, joined, open_extra, parted

pytest.importorskip("pyarrow", reason="tables need pyarrow: pip install pyarrow")


@pytest.fixture
def images():
    return list(np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8))


def test_a_table_of_aligned_crops(images, tmp_path):
    path = tmp_path / "faces.parquet"
    pd.DataFrame(
        {
            "image": [encoded(i) for i in images],
            "identity": ["f0065m1", "f0065m2", "c1"],
            "gender": ["male", "", "female"],
            "source": ["fiw", "fiw", "celeba"],
        }
    ).to_parquet(path)
    table, crops = open_extra(path, "A", Aligner("fixed", 112))
    assert table["identity"].tolist() == ["fiw/f0065m1", "celeba/c1"]  # no label, no use
    assert table["group"].tolist() == ["f0065", "c1"] and table["gender"].tolist() == ["male", "female"]
    assert (crops[0] == images[0]).all() and (crops[1] == images[2]).all()  # aligned already
    table, crops = open_extra(path, "B", Aligner("fixed", 56))
    assert len(table) == 3 and crops[1].shape == (56, 56, 3)


def test_tables_in_the_frame_of_the_head(images, tmp_path):
    path = tmp_path / "faces.parquet"
    small = images[0][:56, :56]
    damaged = b"no photo"
    pd.DataFrame({"image": [encoded(images[1]), encoded(small), damaged], "gender": "male"}).to_parquet(path)
    _, crops = open_extra(path, "A", Aligner("fixed", 112, frame="head"))
    # An aligned crop is the middle of it, whatever its size; round it its border goes on.
    assert (crops[0] == align(images[1], TEMPLATE, 112, template_of("head"))).all()
    assert (crops[1] == align(small, TEMPLATE / 2, 112, template_of("head"))).all()
    assert (crops[0][:20, :20] == images[1][0, 0]).all()
    with pytest.raises(FacecomError) as caught:
        crops[2]
    assert str(caught.value) == f"{path}: row 3 of 3: a photo in a table is damaged: take the row out, or mend it"


def test_a_table_with_landmarks_is_aligned_by_them(images, tmp_path):
    path = tmp_path / "heads.parquet"
    points = TEMPLATE + 7
    columns = dict(zip(LANDMARK_COLUMNS, np.repeat(points.reshape(-1, 1), 3, 1), strict=True))
    pd.DataFrame({"image": [encoded(i) for i in images], "gender": "male", **columns}).to_parquet(path)
    table, crops = open_extra(path, "A", Aligner("fixed", 112))
    assert (crops[2] == align(images[2], points, 112)).all()
    assert table["identity"].tolist() == ["heads/0", "heads/1", "heads/2"] and set(table["source"]) == {"heads"}
    _, whole = open_extra(path, "A", Aligner("off", 112))
    assert (whole[2] == images[2]).all()
    with pytest.raises(FacecomError, match="no column identity"):
        open_extra(path, "B", Aligner("fixed", 112))


def test_folders(sample_a, sample_b):
    table, crops = open_extra(sample_a / "val", "A", Aligner("fixed", 32), quiet=True)
    assert len(table) == len(crops) == 12 and set(table["gender"]) <= {"male", "female"}
    assert (table["group"] == table["identity"]).all() and set(table["source"]) == {"val"}
    table, _ = open_extra(sample_b / "val", "B", Aligner("fixed", 32), quiet=True)
    assert len(table) == 96 and table["identity"].nunique() == 4


def test_what_cannot_be_used_is_said(sample_b, tmp_path):
    (tmp_path / "notes.txt").write_text("text")
    for path, message in (
        (tmp_path / "none.parquet", "no such file or folder"),
        (tmp_path / "notes.txt", "neither a folder nor a parquet table"),
        (sorted((sample_b / "val").iterdir())[0], "holds no male/ and female/ folders"),
    ):
        with pytest.raises(FacecomError, match=message):
            open_extra(path, "A", Aligner("fixed", 32), quiet=True)


def test_people_who_are_judged_elsewhere_are_left_out(sample_b, capsys):
    table, crops = open_extra(sample_b / "val", "B", Aligner("fixed", 32), quiet=True)
    names = sorted(table["identity"].unique())
    own = pd.DataFrame({"identity": [names[0], names[1]], "source": [OWN, "other"]})
    kept, left = without_known(table, crops, {"train": (own, []), "held": (own, []), "val": (own[:0], [])}, "extra")
    assert sorted(kept["identity"].unique()) == names[1:] and len(kept) == len(left) == 72
    assert (left[0] == crops[int(np.flatnonzero(table["identity"] != names[0])[0])]).all()
    assert capsys.readouterr().out == "extra: 24 photos left out, of people who are held back or in val/\n"
    assert "name" not in kept


def test_families_stay_together_when_people_are_held_back():
    names = [f"f{family:04d}m{member}" for family in range(200) for member in range(3)]
    table = pd.DataFrame({"identity": names, "group": [name.split("m")[0] for name in names], "value": range(600)})
    (train, train_crops), (held, held_crops) = parted(table, list(range(600)))
    assert not set(train["group"]) & set(held["group"]) and len(train) + len(held) == 600
    assert 3 <= len(held) <= 60 and all(is_held_back(group, 0.05) for group in held["group"])
    assert [held_crops[i] for i in range(len(held))] == held["value"].tolist()
    back, crops = joined([(train, train_crops), (held, held_crops)])
    assert [crops[i] for i in range(600)] == back["value"].tolist()


@pytest.mark.parametrize("damaged", [b"no photo", b""])
def test_a_damaged_photo_is_named_by_its_file_and_row_among_all_rows(damaged, images, tmp_path):
    path = tmp_path / "faces.parquet"
    photos = [encoded(images[0]), encoded(images[1]), damaged]
    table = pd.DataFrame({"image": photos, "gender": ["", "male", "female"]}, index=[7, 8, 9])
    table.to_parquet(path)
    _, crops = open_extra(path, "A", Aligner("fixed", 112))
    assert len(crops) == 2 and (crops[0] == images[1]).all()
    with pytest.raises(FacecomError) as caught:
        crops[1]
    assert str(caught.value) == f"{path}: row 3 of 3: a photo in a table is damaged: take the row out, or mend it"


@pytest.mark.parametrize(
    ("image", "what"), [(None, "nothing"), ("a.jpg", "str"), ({"bytes": b"x", "path": "a.jpg"}, "dict")]
)
@pytest.mark.parametrize("frame", ["face", "head"])
def test_what_is_no_encoded_photo_is_refused_with_its_row(image, what, frame, images, tmp_path):
    path = tmp_path / "faces.parquet"
    photos = [image] * 3 if isinstance(image, str | dict) else [encoded(images[0]), image, encoded(images[1])]
    pd.DataFrame({"image": photos, "identity": ["a", "b", "c"]}).to_parquet(path)
    row = 1 if isinstance(image, str | dict) else 2
    with pytest.raises(FacecomError) as caught:
        open_extra(path, "B", Aligner("fixed", 112, frame=frame))
    assert str(caught.value) == (
        f"{path}: row {row} of 3: the column image holds {what}, not the bytes of an encoded photo: "
        "fill it in, or take the row out"
    )


@pytest.mark.parametrize("nobody", [None, float("nan"), "", " "])
def test_a_row_of_nobodys_is_refused_where_people_are_learnt(nobody, images, tmp_path):
    """All such rows would be one person, called nan."""
    path = tmp_path / "faces.parquet"
    table = {"image": [encoded(i) for i in images], "identity": ["a", "b", nobody], "gender": "male"}
    pd.DataFrame(table).to_parquet(path)
    with pytest.raises(FacecomError) as caught:
        open_extra(path, "B", Aligner("fixed", 112))
    assert str(caught.value) == f"{path}: row 3 of 3: no identity: say whose photo it is, or take the row out"


def test_a_row_of_nobodys_is_its_own_where_gender_is_learnt(images, tmp_path):
    path = tmp_path / "faces.parquet"
    pd.DataFrame({"image": [encoded(i) for i in images], "identity": ["a", None, None], "gender": "male"}).to_parquet(
        path
    )
    table, _ = open_extra(path, "A", Aligner("fixed", 112))
    assert table["identity"].tolist() == ["faces/a", "faces/1", "faces/2"]


def test_a_row_without_a_source_is_the_files(images, tmp_path):
    path = tmp_path / "faces.parquet"
    table = {"image": [encoded(i) for i in images], "identity": ["a", "b", "c"], "source": ["x", None, "y"]}
    pd.DataFrame(table).to_parquet(path)
    table, _ = open_extra(path, "B", Aligner("fixed", 112))
    assert table["identity"].tolist() == ["x/a", "faces/b", "y/c"]
