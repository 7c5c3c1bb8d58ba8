import os
import shutil

import numpy as np
import pandas as pd
import pillow_heif
import pytest
from PIL import Image

from facecom.data import audit, folders, holdback, images
from facecom.errors import FacecomError, FacecomWarning
from facecom.synthetic import draw_person

RAMP = np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5


def save(image, path, **kwargs):
    image.save(path, **kwargs)
    return path


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_rgb_is_read_as_it_is(tmp_path):
    path = save(Image.fromarray(RAMP), tmp_path / "a.png")
    photo = images.read_photo(path)
    assert photo.dtype == np.uint8 and photo.flags.writeable
    np.testing.assert_array_equal(photo, RAMP)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top of the scene is at the right of the stored picture
    path = save(Image.fromarray(RAMP), tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(images.read_photo(path), np.rot90(RAMP, -1))


def test_16_bit_grey_is_scaled(tmp_path):
    grey = np.array([[0, 257, 32768], [65535, 25700, 128]], np.uint16)
    path = save(Image.fromarray(grey), tmp_path / "a.png")
    expected = np.array([[0, 1, 128], [255, 100, 0]], np.uint8)
    np.testing.assert_array_equal(images.read_photo(path), np.repeat(expected[..., None], 3, 2))


def test_32_bit_grey_is_scaled_where_it_must_be(tmp_path):
    for values, expected in (([0, 128, 255], [0, 128, 255]), ([0, 257, 65535], [0, 1, 255])):
        path = save(Image.fromarray(np.array([values], np.int32)), tmp_path / "a.tif")
        np.testing.assert_array_equal(images.read_photo(path)[0, :, 0], expected)


def test_a_colour_that_stands_for_transparent_shows_mid_grey(tmp_path):
    rgb = np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)
    path = save(Image.fromarray(rgb), tmp_path / "a.png", transparency=(255, 0, 0))
    np.testing.assert_array_equal(images.read_photo(path)[0], [[128, 128, 128], [0, 255, 0]])


def test_transparent_pixels_show_mid_grey(tmp_path):
    rgba = np.array([[[255, 0, 0, 0], [255, 0, 0, 255], [0, 0, 0, 128]]], np.uint8)
    path = save(Image.fromarray(rgba), tmp_path / "a.png")
    photo = images.read_photo(path)
    np.testing.assert_array_equal(photo[0, :2], [[128, 128, 128], [255, 0, 0]])
    np.testing.assert_allclose(photo[0, 2], 64, atol=1)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "RGBX"])
def test_other_modes_become_rgb(tmp_path, mode):
    image = Image.new("RGB", (6, 5), (255, 255, 255)).convert(mode)
    path = save(image, tmp_path / ("a.tif" if mode in ("CMYK", "RGBX") else "a.png"))
    np.testing.assert_array_equal(images.read_photo(path), np.full((5, 6, 3), 255, np.uint8))


def test_cmyk_jpeg(tmp_path):
    path = save(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), tmp_path / "a.jpg", quality=95)
    red = images.read_photo(path)[8, 8].astype(int)
    assert red[0] > 240 and red[1] < 15 and red[2] < 15


def test_palette_with_transparency(tmp_path):
    image = Image.new("P", (2, 1), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    path = save(image, tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(images.read_photo(path)[0], [[128, 128, 128], [200, 100, 50]])


def test_what_is_no_photo_is_one_line_with_its_name(tmp_path):
    whole = save(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), tmp_path / "w.jpg")
    (tmp_path / "cut.jpg").write_bytes(whole.read_bytes()[:1500])
    (tmp_path / "text.jpg").write_text("I am no photo, I only look like one.")
    (tmp_path / "empty.jpg").write_bytes(b"")
    cases = {
        "cut.jpg": "truncated or damaged",
        "text.jpg": "not an image",
        "empty.jpg": "an empty file",
        "missing.jpg": "no such file",
        ".": "a folder, not a photo",
    }
    for name, reason in cases.items():
        with pytest.raises(FacecomError, match=reason) as caught:
            images.read_photo(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", range(0, 700, 50))
def test_a_png_cut_anywhere_is_one_line(tmp_path, cut):
    whole = save(Image.fromarray(np.random.default_rng(0).integers(0, 255, (16, 16, 3), np.uint8)), tmp_path / "w.png")
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(FacecomError, match="cut.png"):
        images.read_photo(tmp_path / "cut.png")


def test_task_b_table_reads_distorted_copies_where_they_lie(tmp_path):
    touch(
        tmp_path, "Bo/Bo_0002.JPG", "Bo/Bo_0001.jpg", "Bo/distortion/Bo_0001_foggy.jpg", "Al/x.png",
        "Al/._x.png", "Al/notes.txt", ".hidden/y.jpg", "z.jpg",
    )  # fmt: skip
    before = sorted(p for p in tmp_path.rglob("*"))
    with pytest.warns(FacecomWarning, match="1 photo lies beside the folders of the people and .* such as z.jpg"):
        table = folders.task_b_table(tmp_path)
    assert list(table.columns) == ["path", "file", "identity", "photo", "condition"]
    assert table.drop(columns="path").to_numpy().tolist() == [
        ["Al/x.png", "Al", "x", "clean"],
        ["Bo/Bo_0001.jpg", "Bo", "Bo_0001", "clean"],
        ["Bo/Bo_0002.JPG", "Bo", "Bo_0002", "clean"],
        ["Bo/distortion/Bo_0001_foggy.jpg", "Bo", "Bo_0001", "foggy"],
    ]
    assert [os.path.relpath(p, tmp_path).replace(os.sep, "/") for p in table["path"]] == table["file"].tolist()
    assert sorted(p for p in tmp_path.rglob("*")) == before


def test_photos_beside_male_and_female_are_named(tmp_path):
    touch(tmp_path, "male/a_1.jpg", "female/b_1.jpg", "unsure/c_1.jpg", "d.jpg")
    with pytest.warns(
        FacecomWarning, match="2 photos lie beside male/ and female/ and will be left out, such as d.jpg"
    ):
        assert len(folders.task_a_table(tmp_path)) == 2


def test_copies_of_photos_of_one_name_are_nobodys(tmp_path):
    for name in ("Ann", "Bob"):
        touch(tmp_path, f"{name}/1.jpg", f"{name}/distortion/1_foggy.jpg")
    table = pd.DataFrame({"photo": ["1"], "gender": ["female"]})
    with pytest.raises(FacecomError, match="two photos are called 1, so whose copies they are is unknown"):
        folders.labelled_copies(table, tmp_path)
    shutil.rmtree(tmp_path / "Bob")
    assert folders.labelled_copies(table, tmp_path)["gender"].tolist() == ["female"]
    with pytest.raises(FacecomError, match="two photos are called 1"):
        folders.labelled_copies(pd.DataFrame({"photo": ["1", "1"], "gender": ["female", "male"]}), tmp_path)


def test_files_that_this_pillow_cannot_read_are_photos_too(tmp_path):
    (tmp_path / "a.jxl").write_bytes(b"JXL and more")
    assert folders.flat_table(tmp_path)["file"].tolist() == ["a.jxl"]
    with pytest.raises(FacecomError, match="JXL cannot be read here; save it as JPEG"):
        images.read_photo(tmp_path / "a.jxl")


def test_a_distorted_copy_must_say_its_condition(tmp_path):
    touch(tmp_path, "Bo/Bo_0001.jpg", "Bo/distortion/Bo_0001_hazy.jpg")
    with pytest.raises(FacecomError, match="Bo_0001_hazy.jpg: the name does not end in its condition"):
        folders.task_b_table(tmp_path)


def test_task_a_table_by_folders_and_flat(tmp_path):
    touch(tmp_path, "d/male/Bo_0001.jpg", "d/female/Al_Li_0002.jpg", "flat/q_rainy.jpg", "flat/male.txt")
    table = folders.task_a_table(tmp_path / "d")
    assert table[["file", "identity", "photo", "condition", "gender"]].to_numpy().tolist() == [
        ["female/Al_Li_0002.jpg", "Al_Li", "Al_Li_0002", "clean", "female"],
        ["male/Bo_0001.jpg", "Bo", "Bo_0001", "clean", "male"],
    ]
    flat = folders.task_a_table(tmp_path / "flat")
    assert flat[["file", "photo", "condition", "gender"]].to_numpy().tolist() == [["q_rainy.jpg", "q", "rainy", ""]]


def test_names_that_do_not_say_who_it_is_stand_for_a_person_each(tmp_path):
    touch(tmp_path / "train", "male/IMG_0001.jpg", "male/IMG_0002.jpg", "female/IMG_0002.jpg", "male/7.jpg")
    touch(tmp_path, "val/male/7.jpg", "val/male/Bo_1.jpg", "val/female/Al_1.jpg", "val/female/Al_2.jpg")
    train, val = (folders.task_a_table(tmp_path / split) for split in ("train", "val"))
    assert train["identity"].tolist() == [
        "train/female/IMG_0002", "train/male/7", "train/male/IMG_0001", "train/male/IMG_0002",
    ]  # fmt: skip
    assert val["identity"].tolist() == ["Al", "Al", "val/male/7", "Bo"]
    assert "identity in both splits" not in audit.audit(train, val)["kind"].tolist()


def test_layout(tmp_path):
    touch(tmp_path, "a/male/x.jpg", "b/Bo/x.jpg", "c/x.jpg", "c/notes/x.txt", "d/Bo/distortion/x_foggy.jpg")
    assert [folders.layout(tmp_path / name) for name in "abcd"] == ["genders", "identities", "flat", "identities"]


def test_missing_and_empty_folders_are_one_line(tmp_path):
    for read in (folders.task_a_table, folders.task_b_table, folders.flat_table, folders.layout):
        with pytest.raises(FacecomError, match="nowhere: no such folder"):
            read(tmp_path / "nowhere")
    for read in (folders.task_a_table, folders.task_b_table, folders.flat_table):
        with pytest.raises(FacecomError, match="no photos"):
            read(tmp_path)


def test_split_folders_finds_the_organisers_layout(tmp_path):
    for place in ("own", "task/Task_B", "whole/Comys_Hackathon5/Task_B"):
        (tmp_path / place / "train").mkdir(parents=True)
    (tmp_path / "own" / "val").mkdir()
    assert folders.split_folders(tmp_path / "own", "B") == (tmp_path / "own" / "train", tmp_path / "own" / "val")
    assert folders.split_folders(tmp_path / "task", "B") == (tmp_path / "task" / "Task_B" / "train", None)
    assert folders.split_folders(tmp_path / "whole", "B")[0] == tmp_path / "whole/Comys_Hackathon5/Task_B/train"
    with pytest.raises(FacecomError, match="no folder `train`"):
        folders.split_folders(tmp_path / "task", "A")
    with pytest.raises(FacecomError, match="download_data.py --sample"):
        folders.split_folders(tmp_path / "nowhere", "B")


def people(count, photos_each=2):
    names = [f"P{i:03d}" for i in range(count) for _ in range(photos_each)]
    return pd.DataFrame({"identity": names, "file": range(len(names))})


def test_hold_back_takes_whole_identities_about_the_share():
    train, held = holdback.hold_back(people(1000), share=0.1, seed=0)
    assert not set(train["identity"]) & set(held["identity"])
    assert sorted([*train["file"], *held["file"]]) == list(range(2000))
    assert 70 < held["identity"].nunique() < 130
    again = holdback.hold_back(people(1000), share=0.1, seed=0)[1]
    pd.testing.assert_frame_equal(held, again)
    assert set(holdback.hold_back(people(1000), seed=1)[1]["identity"]) != set(held["identity"])


def test_hold_back_keeps_families_together():
    table = people(300)
    families = table["identity"].str[:3]
    train, held = holdback.hold_back(table, share=0.3, groups=families)
    assert len(held) and not set(train["identity"].str[:3]) & set(held["identity"].str[:3])


@pytest.mark.parametrize(("count", "fewest", "most"), [(3, 1, 1), (4, 2, 2), (8, 2, 6)])
@pytest.mark.parametrize("seed", range(8))
def test_hold_back_leaves_impostors_on_both_sides_of_small_sets(count, fewest, most, seed):
    _, held = holdback.hold_back(people(count), share=0.1, seed=seed)
    assert fewest <= held["identity"].nunique() <= most


def test_hold_back_of_nobody_and_of_too_few():
    train, held = holdback.hold_back(people(2), share=0)
    assert len(train) == 4 and len(held) == 0
    with pytest.raises(FacecomError, match="photos of 2 people are not enough"):
        holdback.hold_back(people(2), share=0.1)


def test_audit_names_people_and_files_in_both_splits(sample_b, tmp_path):
    train, val = (folders.task_b_table(sample_b / split) for split in ("train", "val"))
    assert audit.audit(train, val).empty
    copy = tmp_path / "val"
    shutil.copytree(sample_b / "val", copy)
    shutil.copytree(sample_b / "train" / "Drawn_Person_000", copy / "Drawn_Person_000")
    shutil.copy(sample_b / "train/Drawn_Person_001/Drawn_Person_001_0001.jpg", copy / "Drawn_Person_004" / "new.jpg")
    found = audit.audit(train, folders.task_b_table(copy))
    assert found["kind"].value_counts().to_dict() == {"identical file": 25, "identity in both splits": 1}
    person = "Drawn_Person_000"
    assert found.iloc[0].tolist() == ["identity in both splits", person, person, "24 and 24 files"]
    pairs = found[["train", "val"]].to_numpy().tolist()
    assert ["Drawn_Person_001/Drawn_Person_001_0001.jpg", "Drawn_Person_004/new.jpg"] in pairs


def test_facecom_has_the_stated_counts(facecom_val):
    table = folders.task_b_table(facecom_val)
    assert table["identity"].nunique() == 222
    assert table["condition"].value_counts().to_dict() == dict.fromkeys(
        ("clean", "blurred", "foggy", "lowlight", "noisy", "rainy", "resized", "sunny"), 394
    )
    assert folders.layout(facecom_val) == "identities"
    assert images.read_photo(table["path"][0]).shape == (224, 224, 3)


def test_one_persons_folder_is_flat(tmp_path):
    (tmp_path / "distortion").mkdir()
    for name in ("Ann_0001.jpg", "distortion/Ann_0001_foggy.jpg"):
        (tmp_path / name).write_bytes(b"")
    assert folders.layout(tmp_path) == "flat"
    assert folders.any_table(tmp_path).file.tolist() == ["Ann_0001.jpg"]


@pytest.mark.parametrize(
    "files, expected",
    [
        (["Ann/Ann_1.jpg", "Ann/distortion/Ann_1_foggy.jpg"], True),
        (["Ann_1.jpg", "Ann_1_foggy.jpg"], True),
        (["Ann/Ann_1.jpg", "Bob/distortion/Ann_1_foggy.jpg"], False),
        (["Ann/Ann_1.jpg", "Ann/distortion/Ann_2_foggy.jpg"], False),
        (["Ann/Ann_1.jpg", "Ann/Ann_2.jpg"], False),
        (["Ann_1_foggy.jpg", "Ann_1_rainy.jpg"], False),
        ([], False),
    ],
)
def test_names_that_say_that_a_file_is_a_copy_of_another(files, expected):
    assert folders.holds_copies(files) == expected


@pytest.mark.parametrize(
    "people, held",
    [(4, 2), (10, 5), (24, 12), (40, 12), (60, 12), (100, 20), (599, 119.8), (600, 60), (788, 78.8)],
)
def test_enough_people_judge(people, held):
    """A fifth and never fewer than 12, but no more than half; of many a tenth."""
    assert holdback.enough_share(people) * people == pytest.approx(held)


def test_hold_back_holds_just_the_share_back_where_it_is_asked_to():
    """Whatever the names hash to: 12 of 30, though all of these would be held back at a share of 0.05."""
    names = [name for name in map(str, range(5000)) if holdback.is_held_back(name, 0.05)][:30]
    table = pd.DataFrame({"identity": names})
    assert len(holdback.hold_back(table, 0.4)[1]) == 28
    assert len(holdback.hold_back(table, 0.4, exact=True)[1]) == 12


@pytest.mark.parametrize("kind", ["jfif", "mpo", "jp2", "ppm", "tga", "avif", "heic", "heif", ""])
def test_photos_of_all_kinds_are_read(kind, tmp_path):
    """Written by Pillow, and found in the folder: by their endings, or without one by their content."""
    pillow_heif.register_heif_opener()
    formats = {"jfif": "JPEG", "mpo": "MPO", "jp2": "JPEG2000", "heic": "HEIF", "heif": "HEIF", "": "JPEG"}
    picture = Image.fromarray(draw_person(3, 0, 96)[0])
    path = tmp_path / f"photo{'.' if kind else ''}{kind}"
    picture.save(path, format=formats.get(kind, kind.upper()))
    assert folders.flat_table(tmp_path)["file"].tolist() == [path.name]
    difference = np.abs(images.read_photo(path).astype(int) - np.asarray(picture))
    assert difference.mean() < 6


def test_what_is_no_photo_is_counted_by_kind(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    for name in ("b.txt", "c.txt", "d.mp4", "notes", ".hidden", "Thumbs.db"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__MACOSX").mkdir()
    with pytest.warns(FacecomWarning, match=r"ignored: 2 \.txt, 1 \.mp4, 1 without an ending"):
        assert folders.flat_table(tmp_path)["file"].tolist() == ["a.png"]
    assert folders.layout(tmp_path) == "flat"


@pytest.mark.parametrize(
    "names, expected",
    [
        (("Male", "FEMALE"), {"Male": "male", "FEMALE": "female"}),
        (("man", "Woman"), {"man": "male", "Woman": "female"}),
        (("m", "f"), {"m": "male", "f": "female"}),
        (("m", "Ann"), {}),
        (("male", "Ann"), {"male": "male"}),
    ],
)
def test_folders_of_the_genders_as_people_call_them(names, expected, tmp_path):
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("RGB", (8, 8)).save(tmp_path / name / "a.png")
    found = {path.name: gender for path, gender in folders.gender_folders(tmp_path).items()}
    assert found == expected
    assert folders.layout(tmp_path) == ("genders" if expected else "identities")
    if len(expected) == 2:
        table = folders.task_a_table(tmp_path)
        assert dict(zip(table["file"].str.split("/").str[0], table["gender"], strict=True)) == expected


def test_the_organisers_folder_or_one_above_it_means_its_val(tmp_path):
    for split in ("train", "val"):
        (tmp_path / "Comys_Hackathon5" / "Task_B" / split / "Ann").mkdir(parents=True)
    val = tmp_path / "Comys_Hackathon5" / "Task_B" / "val"
    for path in (tmp_path, tmp_path / "Comys_Hackathon5", tmp_path / "Comys_Hackathon5" / "Task_B"):
        with pytest.warns(FacecomWarning, match="holds train/ and val/: takes .*Task_B/val"):
            assert folders.photo_folder(path, "B") == val
    assert folders.photo_folder(val, "B") == val


def test_one_photo_is_a_folder_of_one(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert folders.layout(tmp_path / "a.png") == "flat"
    assert folders.flat_table(tmp_path / "a.png")["file"].tolist() == ["a.png"]
    assert folders.task_a_table(tmp_path / "a.png")["gender"].tolist() == [""]


def test_without_photos_it_says_what_is_there_instead(tmp_path):
    (tmp_path / "Holiday" / "Ann").mkdir(parents=True)
    with pytest.raises(FacecomError, match="no photos .*it holds the folders Holiday: give one of them"):
        folders.flat_table(tmp_path)
