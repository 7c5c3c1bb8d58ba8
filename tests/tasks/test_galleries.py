"""Task B's `test.py --gallery`, as a user runs it."""

from pathlib import Path

import torch
from scripts import rows_of, run

from facecom.data.folders import task_b_table
from facecom.inference import strangers

torch.set_num_threads(1)

COLUMNS = ["filename", "identity", "distance", "same", "face_confidence", "faces", "quality"]


def test_a_gallery_in_which_too_many_pass_says_so(here, flat, sample_b, siamese_file, monkeypatch, recwarn, capsys):
    """To a network with random weights many are one person; four people have six pairs."""
    flags = ("--weights", siamese_file, "--img_dir", flat, "--gallery", sample_b / "val", "--no-amp")
    for least, said in ((1, True), (7, False)):
        monkeypatch.setattr(strangers, "PEOPLE", least)
        recwarn.clear()
        run("B", *flags)
        assert any("of two people in the gallery" in str(one.message) for one in recwarn) == said
    recwarn.clear()
    assert run("B", *flags, "--threshold", 0.3) == 0
    assert not any("of two people in the gallery" in str(one.message) for one in recwarn), "nothing is promised"
    told = [row for row in rows_of(here / "submission.csv") if row["same"]]
    assert told and all((float(row["distance"]) <= 0.3) == (row["same"] == "1") for row in told)
    assert run("B", *flags, "--threshold", 2.5) == 2
    assert capsys.readouterr().err.endswith("error: --threshold: 2.5: a distance is from 0 to 2\n")


def test_a_gallery_names_each_photo(here, flat, sample_b, siamese_file):
    gallery = sample_b / "val"
    assert run("B", "--weights", siamese_file, "--img_dir", flat, "--gallery", gallery, "--no-amp") == 0
    rows = rows_of("submission.csv")
    assert list(rows[0]) == COLUMNS
    names = sorted(path.name for path in flat.glob("*.jpg"))
    table = task_b_table(gallery)
    owner = {Path(file).name: identity for file, identity in zip(table.file, table.identity, strict=True)}
    assert [row["filename"] for row in rows] == names
    assert [row["identity"] for row in rows] == [owner[name] for name in names]
    assert all(float(row["distance"]) < 1e-3 and row["same"] == "1" for row in rows)
