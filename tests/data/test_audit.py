import shutil

import numpy as np
import pandas as pd

from facecom.data import folders
from facecom.data.audit import audit


def table(tmp_path, split, photos, conditions=None):
    """A split: photos is a list of (identity, photo); each file has content of its own."""
    rows = []
    for i, (identity, photo) in enumerate(photos):
        path = tmp_path / f"{split}_{i}.jpg"
        path.write_text(f"{split} {i}")
        condition = conditions[i] if conditions else "clean"
        rows.append(
            {"path": str(path), "file": f"{identity}/{photo}", "identity": identity, "photo": photo}
            | {"condition": condition}
        )
    return pd.DataFrame(rows)


def unit(degrees):
    angle = np.radians(degrees)
    return np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)


def test_near_duplicates_are_pairs_more_alike_than_the_genuine_median(tmp_path):
    train = table(tmp_path, "train", [("A", "1"), ("A", "2"), ("B", "1"), ("B", "2")])
    val = table(tmp_path, "val", [("C", "1"), ("C", "2"), ("D", "1")])
    # Genuine pairs are 10, 30 and 50 degrees apart: the median is cos 30.
    found = audit(train, val, (unit([0, 10, 90, 120]), unit([200, 250, 31])))
    near = found[found["kind"] == "near-duplicate"]
    assert near[["train", "val"]].to_numpy().tolist() == [["A/2", "D/1"]]  # 21 degrees; A/1 is 31 away
    assert near["detail"].item() == "similarity 0.934, pairs of one person have a median of 0.866"


def test_distorted_copies_and_unreadable_photos_are_no_near_duplicates(tmp_path):
    train = table(tmp_path, "train", [("A", "1"), ("A", "2"), ("A", "1")], ["clean", "clean", "foggy"])
    val = table(tmp_path, "val", [("C", "1"), ("D", "1")])
    embeddings = (unit([0, 60, 200]), np.vstack([unit([200]), [[np.nan, np.nan]]]).astype(np.float32))
    assert "near-duplicate" not in audit(train, val, embeddings)["kind"].tolist()


def test_one_person_under_two_names_is_more_alike_than_a_million_pairs_of_strangers(tmp_path):
    count = 1450  # of people with a photo each: more than a million pairs
    rng = np.random.default_rng(0)
    people = rng.normal(size=(count, 64))
    other = np.vstack([rng.normal(size=(2, 64)), people[7] + 0.7 * rng.normal(size=64)])
    embeddings = [(x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32) for x in (people, other)]
    train = table(tmp_path, "train", [(f"A{i}", "1") for i in range(count)])
    val = table(tmp_path, "val", [("B", "1"), ("C", "1"), ("D", "1")])
    found = audit(train, val, tuple(embeddings))
    assert found[["kind", "train", "val"]].to_numpy().tolist() == [["look-alike", "A7/1", "D/1"]]
    few = audit(train[:100], val, (embeddings[0][:100], embeddings[1]))
    assert "look-alike" not in few["kind"].tolist()  # nobody knows a rate of 1 in a million from 5,000 pairs


def test_a_photo_unlike_the_others_of_its_person(tmp_path):
    people = [(f"P{i}", str(j)) for i in range(12) for j in range(3)]
    degrees = np.array([30.0 * i + 2 * j for i in range(12) for j in range(3)])
    degrees[[4]] += 180  # the second photo of P1 shows someone else
    train, val = table(tmp_path, "train", people[:18]), table(tmp_path, "val", people[18:])
    found = audit(train, val, (unit(degrees[:18]), unit(degrees[18:])))
    unlike = found[found["kind"] == "unlike the person's other photos"]
    assert unlike[["train", "val"]].to_numpy().tolist() == [["P1/1", ""]]
    # cos 178, and about cos 26, the closest that strangers come
    assert unlike["detail"].item() == "best similarity -0.999, 1 in 1,000 pairs of strangers has more than 0.899"


def test_one_photo_a_person_leaves_nothing_to_compare(tmp_path):
    train, val = table(tmp_path, "train", [("A", "1")]), table(tmp_path, "val", [("B", "1")])
    assert audit(train, val, (unit([0]), unit([0]))).empty


def test_gender_labels_that_differ(tmp_path):
    labels = pd.DataFrame(
        [("train", "a.jpg", "male", "male"), ("train", "b.jpg", "male", "both"), ("val", "c.jpg", "female", "male")],
        columns=["split", "file", "gender", "second_opinion"],
    )
    train, val = table(tmp_path, "train", [("A", "1")]), table(tmp_path, "val", [("B", "1")])
    assert audit(train, val, labels=labels).to_numpy().tolist() == [
        ["gender labels differ", "b.jpg", "", "male or both"],
        ["gender labels differ", "", "c.jpg", "female or male"],
    ]


def test_clean_splits_give_an_empty_table(tmp_path):
    found = audit(table(tmp_path, "train", [("A", "1")]), table(tmp_path, "val", [("B", "1")]))
    assert found.empty and list(found.columns) == ["kind", "train", "val", "detail"]


def test_the_same_content_of_another_name_is_found(tmp_path):
    train = table(tmp_path, "train", [("A", "1"), ("A", "2")])
    val = table(tmp_path, "val", [("B", "1")])
    (tmp_path / "val_0.jpg").write_text("train 1")
    assert audit(train, val).to_numpy().tolist() == [["identical file", "A/2", "B/1", "7 bytes"]]


def test_audit_names_people_and_files_in_both_splits(sample_b, tmp_path):
    train, val = (folders.task_b_table(sample_b / split) for split in ("train", "val"))
    assert audit(train, val).empty
    copy = tmp_path / "val"
    shutil.copytree(sample_b / "val", copy)
    shutil.copytree(sample_b / "train" / "Drawn_Person_000", copy / "Drawn_Person_000")
    shutil.copy(sample_b / "train/Drawn_Person_001/Drawn_Person_001_0001.jpg", copy / "Drawn_Person_004" / "new.jpg")
    found = audit(train, folders.task_b_table(copy))
    assert found["kind"].value_counts().to_dict() == {"identical file": 25, "identity in both splits": 1}
    person = "Drawn_Person_000"
    assert found.iloc[0].tolist() == ["identity in both splits", person, person, "24 and 24 files"]
    pairs = found[["train", "val"]].to_numpy().tolist()
    assert ["Drawn_Person_001/Drawn_Person_001_0001.jpg", "Drawn_Person_004/new.jpg"] in pairs
