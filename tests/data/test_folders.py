import os
import shutil

import pandas as pd
import pytest
from PIL import Image

from facecom.data import audit, folders, images
from facecom.errors import FacecomError, FacecomWarning


def save(image, path, **kwargs):
    image.save(path, **kwargs)
    return path


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


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


def test_folders_of_people_are_a_train_of_their_own(tmp_path):
    for name in ("Ann", "Bob", "male", "female"):
        (tmp_path / "all" / name).mkdir(parents=True)
        (tmp_path / "all" / name / "1.jpg").write_bytes(b"")
    assert folders.split_folders(tmp_path / "all", "A") == (tmp_path / "all", None)
    with pytest.raises(FacecomError, match="no folder `train`"):
        folders.split_folders(tmp_path / "all", "B")  # people called male and female: it is Task A's folder
    for name in ("male", "female"):
        (tmp_path / "all" / name / "1.jpg").unlink()
        (tmp_path / "all" / name).rmdir()
    assert folders.split_folders(tmp_path / "all", "B") == (tmp_path / "all", None)
    with pytest.raises(FacecomError, match="no folder `train`"):
        folders.split_folders(tmp_path / "all" / "Ann", "B")


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


def test_a_photo_in_place_of_a_folder_of_people_is_named(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(FacecomError, match="a.png: a photo, not a folder; give the folder that it lies in"):
        folders.task_b_table(tmp_path / "a.png")


def test_without_photos_it_says_what_is_there_instead(tmp_path):
    (tmp_path / "Holiday" / "Ann").mkdir(parents=True)
    with pytest.raises(FacecomError, match="no photos .*it holds the folders Holiday: give one of them"):
        folders.flat_table(tmp_path)


@pytest.mark.parametrize("above", ["", "TASK_B", "comys_hackathon5/task_b", "Comys_Hackathon5/Task_B"])
def test_splits_are_found_in_any_case(above, tmp_path):
    place = tmp_path / above
    for name in ("Train", "VAL"):
        (place / name / "Ann").mkdir(parents=True)
    assert folders.split_folders(tmp_path, "B") == (place / "Train", place / "VAL")
    with pytest.warns(FacecomWarning, match="holds train/ and val/: takes .*VAL"):
        assert folders.photo_folder(tmp_path, "B") == place / "VAL"
    (place / "train").mkdir()  # exactly so called goes first
    assert folders.split_folders(tmp_path, "B")[0] == place / "train"


def test_archives_in_place_of_folders_are_named(tmp_path):
    (tmp_path / "Comys_Hackathon5.ZIP").write_bytes(b"PK")
    (tmp_path / "Male").mkdir()
    with pytest.raises(FacecomError, match=r"no folder `train` in it \(Male, Comys_Hackathon5.ZIP\); .*--archive"):
        folders.split_folders(tmp_path, "B")
    with pytest.raises(FacecomError, match="ZIP: a zip archive, not a folder; unpack it, the organisers' by download"):
        folders.split_folders(tmp_path / "Comys_Hackathon5.ZIP", "B")
