import io
import re
import zipfile

import numpy as np
import pandas as pd
import pytest

from facecom.data import pairs
from facecom.data.pairs import draw_pairs, draw_people, published_pairs
from facecom.errors import FacecomError


def table():
    rows = []
    for identity, photos in (("Ann", 3), ("Bea", 1), ("Cem", 2)):
        for number in range(photos):
            photo = f"{identity}_{number}"
            rows.append((identity, photo, "clean", f"{identity}/{photo}.jpg"))
            rows.append((identity, photo, "foggy", f"{identity}/distortion/{photo}_foggy.jpg"))
    rows.append(("Dan", "Dan_0", "clean", "Dan/Dan_0.jpg"))
    frame = pd.DataFrame(rows, columns=["identity", "photo", "condition", "file"])
    return frame.sample(frac=1, random_state=0).reset_index(drop=True)  # no order may be relied on


def sides(pairs, rows):
    return rows.iloc[pairs["a"]].reset_index(drop=True), rows.iloc[pairs["b"]].reset_index(drop=True)


def test_each_row_once_half_of_them_genuine():
    rows = table()
    pairs = draw_pairs(rows, seed=1)
    assert sorted(pairs["a"]) == list(range(len(rows)))
    assert pairs["same"].sum() == 7 and len(pairs) == 13
    a, b = sides(pairs, rows)
    assert ((a["identity"] == b["identity"]) == (pairs["same"] == 1)).all()


def test_genuine_pairs_take_another_photo_else_another_copy_else_the_file_itself():
    rows, seen = table(), {"Ann": set(), "Bea": set(), "Cem": set(), "Dan": set()}
    for seed in range(60):
        pairs = draw_pairs(rows, seed)
        a, b = sides(pairs, rows)
        for one, other, same in zip(a.itertuples(), b.itertuples(), pairs["same"], strict=True):
            if not same:
                continue
            seen[one.identity].add((one.file, other.file))
            if one.identity in ("Ann", "Cem"):
                assert one.photo != other.photo
            elif one.identity == "Bea":
                assert one.condition != other.condition
            else:
                assert one.file == other.file
    # Everything that may happen does: 6 files with 4 files of other photos each, 4 with 2, 2 with the other copy.
    assert {name: len(found) for name, found in seen.items()} == {"Ann": 24, "Bea": 2, "Cem": 8, "Dan": 1}


def test_impostors_are_drawn_evenly_from_all_other_people():
    rows = table()
    counts = np.zeros((len(rows), len(rows)), int)
    for seed in range(400):
        pairs = draw_pairs(rows, seed).query("same == 0")
        counts[pairs["a"], pairs["b"]] += 1
    others = rows["identity"].to_numpy()[:, None] != rows["identity"].to_numpy()[None]
    assert (counts[others] > 0).all() and (counts[~others] == 0).all()
    ann = counts[(rows["identity"] == "Ann").to_numpy()].sum(0)[(rows["identity"] != "Ann").to_numpy()]
    assert ann.max() < 1.5 * ann.min()


def test_the_seed_decides():
    rows = table()
    assert draw_pairs(rows, 5).equals(draw_pairs(rows, 5))
    assert not draw_pairs(rows, 5).equals(draw_pairs(rows, 6))
    assert published_pairs(rows, 5).equals(published_pairs(rows, 5))


def test_published_pairs_are_neighbours_after_flattening():
    rows = table()
    pairs = published_pairs(rows, seed=3)
    a, b = sides(pairs, rows)
    genuine = [tuple(x) for x in np.stack([a["file"], b["file"]], 1)[pairs["same"] == 1]]
    flat = ["Ann/Ann_0.jpg", "Ann/distortion/Ann_0_foggy.jpg", "Ann/Ann_1.jpg", "Ann/distortion/Ann_1_foggy.jpg"]
    flat += ["Ann/Ann_2.jpg", "Ann/distortion/Ann_2_foggy.jpg"]
    assert genuine[:5] == list(zip(flat, flat[1:], strict=False))
    assert len(genuine) == 5 + 1 + 3  # Dan has a single file
    assert pairs["same"].tolist() == [1, 0] * 9
    assert (pairs["a"][::2].to_numpy() == pairs["a"][1::2].to_numpy()).all()
    assert (a["identity"] != b["identity"])[pairs["same"] == 0].all()


def test_published_impostor_is_the_file_at_the_same_place_counted_round():
    rows = table().query("identity in ('Ann', 'Cem')").reset_index(drop=True)
    pairs = published_pairs(rows, seed=0).query("same == 0")
    a, b = sides(pairs, rows)
    cem = ["Cem/Cem_0.jpg", "Cem/distortion/Cem_0_foggy.jpg", "Cem/Cem_1.jpg", "Cem/distortion/Cem_1_foggy.jpg"]
    assert b["file"][a["identity"] == "Ann"].tolist() == [*cem, cem[0]]


@pytest.mark.parametrize("draw", [draw_pairs, published_pairs])
def test_one_person_makes_no_pairs(draw):
    with pytest.raises(FacecomError, match="at least two people"):
        draw(table().query("identity == 'Ann'"), 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_pairs_as_spreadsheets_save_them(separator, encoding, tmp_path):
    rows = [("Image1", "IMAGE2", "Same"), ("é\\a.jpg", "b.jpg", "TRUE"), ("é/a.jpg", "c.jpg", "false")]
    path = tmp_path / "pairs.csv"
    path.write_bytes("\r\n".join(separator.join(row) for row in rows).encode(encoding))
    found = pairs.read_pairs(path)
    assert found["image1"].tolist() == ["é/a.jpg", "é/a.jpg"] and found["image2"].tolist() == ["b.jpg", "c.jpg"]
    assert found["same"].tolist() == [1, 0]


@pytest.mark.parametrize(
    "text",
    [
        'sep=;\r\n"image1";"image2";"same"\r\n"a b;c.jpg";"é.jpg";"1"\r\n;;\r\n;;\r\n',
        "IMAGE1\timage2\tnote\tSame\t\na b;c.jpg\té.jpg\t\t yes\t\n",
        "same, image1 , image2\rTRUE, a b;c.jpg, é.jpg\r",
        "image1,image2,same,\n\na b;c.jpg,é.jpg,1.0,\n",
        ",image1,image2,same\n0,a b;c.jpg,é.jpg,1\n",
        ';;\r\n;\r\nimage1;image2;same\r\n"a b;c.jpg";é.jpg;WAHR\r\n',
        '"sep=;"\r\nimage1;image2;same\r\n"a b;c.jpg";é.jpg;y\r\n',
        '"sep=,",,\n\n"","",""\nimage1,image2,same\na b;c.jpg,é.jpg,J\n',
        "\nsep=\t\n\t\t\nimage1\timage2\tsame\na b;c.jpg\té.jpg\tja\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_oddities_of_spreadsheets_are_read(text, encoding, tmp_path):
    (tmp_path / "p.csv").write_bytes(text.encode(encoding))
    found = pairs.read_pairs(tmp_path / "p.csv")
    assert found[["image1", "image2", "same"]].to_numpy().tolist() == [["a b;c.jpg", "é.jpg", 1]]


@pytest.mark.parametrize(
    ("word", "same"),
    [("WAHR", 1), ("Falsch", 0), ("y", 1), ("N", 0), ("j", 1), ("Ja", 1), ("nein", 0), ("yes", 1), ("0.0", 0)],
)
def test_words_for_one_person_and_for_two(word, same, tmp_path):
    (tmp_path / "p.csv").write_text(f"image1,image2,same\na,b,{word}\n")
    assert pairs.read_pairs(tmp_path / "p.csv")["same"].tolist() == [same]


def workbook(name):
    """The bytes of a zip archive that holds a file of this name."""
    with zipfile.ZipFile(raw := io.BytesIO(), "w") as archive:
        archive.writestr(name, "text")
    return raw.getvalue()


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (workbook("xl/workbook.xml"), "an Excel workbook: save it as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "an Excel workbook: save it as CSV"),
        (workbook("content.xml"), "a zip archive, not text: save it as CSV"),
        (b"image1,image2\na\0,b\n", "not text: save it as CSV, in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text: save it as CSV, in UTF-8"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "not text: save it as CSV, in UTF-8"),
        ("image1,image2\n".encode("utf-16-le")[:-1], "not text: save it as CSV, in UTF-8"),
        (b"\xff\xfea", "not text: save it as CSV, in UTF-8"),
        (b"\0\0\0\0", "not text: save it as CSV, in UTF-8"),
    ],
)
def test_what_is_no_text_is_named(raw, said, tmp_path):
    (tmp_path / "p.csv").write_bytes(raw)
    with pytest.raises(FacecomError) as caught:
        pairs.read_pairs(tmp_path / "p.csv")
    assert str(caught.value) == f"{tmp_path}/p.csv: {said}"


@pytest.mark.parametrize("text", [",,", ",,\n", '"sep=;"', "sep=;\n;;\n", '""\n', '" "," "\n'])
def test_rows_of_nothing_are_no_table(text, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(FacecomError, match="p.csv: cannot be read as CSV: it needs the columns image1,image2"):
        pairs.read_pairs(tmp_path / "p.csv")


def test_a_row_that_is_too_long_is_counted_from_the_first_line(tmp_path):
    (tmp_path / "p.csv").write_text("sep=,\n,\nimage1,image2\na,b\na,b,c,d\n")
    with pytest.raises(FacecomError, match="Expected 2 fields in line 5, saw 4"):
        pairs.read_pairs(tmp_path / "p.csv")


def test_a_name_may_have_a_line_end_in_it(tmp_path):
    (tmp_path / "p.csv").write_text('image1,image2\n"a\nb.jpg","c,""d"".jpg"\n')
    assert pairs.read_pairs(tmp_path / "p.csv").to_numpy().tolist() == [["a\nb.jpg", 'c,"d".jpg']]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image1,image2,image1\na,b,c\n", "the column image1 is there twice"),
        ("image1,image2,IMAGE1\na,b,c\n", "the column image1 is there twice"),
        ("image1,image2\na,b,c,d\n", "Expected 2 fields in line 2, saw 4"),  # it was taken for the pair c, d
        ('image1,image2\n"a,b\n', "EOF inside string starting at row 1"),
        ("image1,image2\na,b\nc\n", "pair 2 names only one photo or none"),
        ("image1,image2\n,b\n", "pair 1 names only one photo or none"),
        ("image1,image2\n,\n", "holds no pairs"),
        ("a,b\n", "has the columns a,b"),
        ("", "cannot be read as CSV: it needs"),
        ("\n\n", "cannot be read as CSV: it needs"),
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused(text, said, tmp_path):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(FacecomError, match=re.escape(said)) as caught:
        pairs.read_pairs(tmp_path / "p.csv")
    assert "\n" not in str(caught.value) and str(caught.value).startswith(f"{tmp_path}/p.csv: ")
    with pytest.raises(FacecomError, match=r"cannot be read \(Is a directory\): check the path"):
        pairs.read_pairs(tmp_path)


def test_people_are_drawn_with_every_photo_and_filled_up_with_their_own():
    photos = pd.DataFrame({"identity": ["Ann"] * 5 + ["Bea"] + ["Cem"] * 3})
    rows = draw_people(photos, 3, seed=0)
    whose = photos["identity"].to_numpy()[rows]
    assert rows.shape == (4, 3) and (whose == whose[:, :1]).all()
    assert set(rows.ravel()) == set(range(9))
    assert sorted(whose[:, 0]) == ["Ann", "Ann", "Bea", "Cem"]
    assert all(len(set(row)) == 3 for row in rows if whose[rows.tolist().index(row.tolist()), 0] != "Bea")
    np.testing.assert_array_equal(rows, draw_people(photos, 3, seed=0))
    assert not np.array_equal(rows, draw_people(photos, 3, seed=1))
    with pytest.raises(FacecomError, match="at least two people"):
        draw_people(photos[:5], 3, seed=0)
