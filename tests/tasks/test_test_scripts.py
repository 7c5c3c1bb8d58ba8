"""Task B's `test.py`, as a user runs it."""

import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scripts import rows_of, run

import facecom
from facecom.data.folders import task_b_table
from facecom.data.images import read_photo

torch.set_num_threads(1)

IDENTITY_COLUMNS = ["filename", "identity", "distance", "same", "face_confidence", "faces", "quality"]


ROOT = Path(__file__).resolve().parents[2]


def distance_of(verifier, folder, a, b):
    return verifier.verify(Path(folder) / a, Path(folder) / b).distance


def test_identity_folders_give_a_row_a_file_and_every_protocol(here, sample_b, siamese_file, capsys):
    code = run("B", "--weights", siamese_file, "--img_dir", sample_b / "val", "--report", "report", "--no-amp",
               "--faces_only")  # fmt: skip
    assert code == 0
    rows = rows_of("submission.csv")
    table = task_b_table(sample_b / "val")
    assert list(rows[0]) == IDENTITY_COLUMNS
    assert [row["filename"] for row in rows] == table.file.tolist()
    verifier = facecom.FaceVerifier(siamese_file, device="cpu", amp=False)
    clean = table[table.condition == "clean"]
    known = verifier.embed(clean.path.to_list())
    for row, path in zip(rows[:12], table.path, strict=False):
        distances = np.linalg.norm(verifier.embed([path]) - known, axis=1)
        assert row["identity"] == clean.identity.iloc[distances.argmin()]
        assert float(row["distance"]) == pytest.approx(distances.min(), abs=2e-4)
        assert row["same"] == str(int(distances.min() <= 0.8))
        assert row["face_confidence"] == "" and 0 < float(row["quality"]) < 1
    assert "The worst errors" in Path("report/report.html").read_text()
    found = pd.read_csv("report/metrics.csv")
    assert found.columns.tolist() == ["protocol", "condition", "metric", "value", "low", "high", "count"]
    assert {"published", "cross-photo", "identification", "identification-own-photo", "threshold-transfer"} <= set(
        found.protocol
    )
    own = found.query("protocol == 'identification-own-photo' and condition == 'clean' and metric == 'rank1'")
    assert own.value.item() == 1  # a photo is its own nearest
    out = capsys.readouterr().out
    assert "1 in 1,000 pairs of strangers passes" in out and f"wrote submission.csv ({len(table)} rows)" in out


def test_a_copy_of_a_photo_is_known_as_such(here, sample_b, siamese_file):
    """Untrained weights know nobody, yet the own photo is found where names say that there are copies."""
    table = task_b_table(sample_b / "val")
    own = "protocol == 'identification-own-photo' and condition == 'resized' and metric == 'rank1'"
    for flags in ([], ["--same_photo", "off"], ["--faces_only"]):
        assert run("B", "--weights", siamese_file, "--img_dir", sample_b / "val", "--report", "r", *flags) == 0
        resized = [row for row, c in zip(rows_of("submission.csv"), table.condition, strict=True) if c == "resized"]
        names = table.identity[table.condition == "resized"].tolist()
        if flags:
            assert all(float(row["distance"]) > 0 for row in resized)
        else:
            assert [row["identity"] for row in resized] == names
            assert all(row["distance"] == "0.0000" and row["same"] == "1" for row in resized)
            assert pd.read_csv("r/metrics.csv").query(own).value.item() == 1


def test_whether_it_is_one_photograph_is_asked_where_names_say_so(here, sample_b, siamese_file, capsys):
    """The same files under names that say nothing are judged by their faces, unless one insists."""
    asked = "looks whether two files are one photograph"
    table = task_b_table(sample_b / "val").groupby("identity").head(8)
    for row in table.itertuples():
        person = here / "people" / row.identity
        person.mkdir(parents=True, exist_ok=True)
        shutil.copy(row.path, person / f"{row.Index}.jpg")
    for flags, expected in ([], False), (["--same_photo", "on"], True):
        assert run("B", "--weights", siamese_file, "--img_dir", "people", *flags) == 0
        assert (asked in capsys.readouterr().out) == expected
    assert run("B", "--weights", siamese_file, "--img_dir", sample_b / "val") == 0
    assert asked in capsys.readouterr().out


def test_the_baseline_is_scored_beside(here, sample_b, siamese_file):
    assert run("B", "--weights", siamese_file, "--img_dir", sample_b / "val", "--report", "r", "--baseline",
               "--train_dir", sample_b / "val") == 0  # fmt: skip
    assert "identity in both splits: 4" in Path("r/report.html").read_text()  # the claim that is caught
    network, baseline = pd.read_csv("r/metrics.csv"), pd.read_csv("r/baseline.csv")
    name = "protocol == 'published' and metric == 'same_photo_share'"
    assert network.query(name).value.item() == baseline.query(name).value.item()
    auc = "protocol == 'cross-photo' and condition == 'all' and metric == 'auc'"
    assert baseline.query(auc).value.item() > 0.5
    assert network.query(auc).value.item() != baseline.query(auc).value.item()


def test_flags_that_would_do_nothing_are_refused(here, flat, sample_b, siamese_file, capsys):
    flat_photos, known = ("--img_dir", flat), ("--img_dir", flat, "--gallery", sample_b / "val")
    for flags in (flat_photos, known):
        for more in (("--report", "r"), ("--baseline",), ("--train_dir", sample_b / "train")):
            assert run("B", "--weights", siamese_file, *flags, *more) == 2
            assert f"error: {more[0]}: scores need to know who is who" in capsys.readouterr().err
    a, b = sorted(path.name for path in flat.iterdir())[:2]
    Path("pairs.csv").write_text(f"image1,image2\n{a},{b}\n")
    assert run("B", "--weights", siamese_file, "--img_dir", flat, "--pairs", "pairs.csv", "--report", "r") == 2
    assert "pairs.csv: --report needs a column same" in capsys.readouterr().err
    assert not Path("submission.csv").exists() and not Path("r").exists()


def test_pairs_are_compared_and_scored(here, flat, siamese_file, capsys):
    shutil.copytree(flat, "photos")
    names = sorted(path.name for path in flat.iterdir())
    pairs = [(names[0], names[1], 1), (names[0], names[4], 0), (names[2], names[2], 1)]
    pd.DataFrame(pairs, columns=["image1", "image2", "same"]).to_csv("photos/pairs.csv", index=False)
    assert run("B", "--weights", siamese_file, "--pairs", "photos/pairs.csv", "--report", "r", "--no-amp") == 0
    assert "3 pairs" in Path("r/report.html").read_text()
    rows = rows_of("submission.csv")
    verifier = facecom.FaceVerifier(siamese_file, device="cpu", amp=False)
    expected = [distance_of(verifier, flat, a, b) for a, b, _ in pairs]
    assert [list(row) for row in rows] == [["image1", "image2", "distance", "same"]] * 3
    assert [(row["image1"], row["image2"]) for row in rows] == [(a, b) for a, b, _ in pairs]
    np.testing.assert_allclose([float(row["distance"]) for row in rows], expected, atol=2e-4)
    assert [int(row["same"]) for row in rows] == [int(distance <= 0.8) for distance in expected]
    right = np.mean([(distance <= 0.8) == same for distance, (_, _, same) in zip(expected, pairs, strict=True)])
    found = pd.read_csv("r/metrics.csv").set_index("metric")
    assert found.value["accuracy"] == pytest.approx(right, abs=1e-5)
    assert set(found.protocol) == {"pairs"} and set(found["count"]) == {3}


def test_pairs_without_labels_are_only_compared(here, flat, siamese_file):
    names = sorted(path.name for path in flat.glob("*.jpg"))
    Path("pairs.csv").write_text(f"image1,image2\n{names[0]},{names[1]}\n")
    assert run("B", "--weights", siamese_file, "--pairs", "pairs.csv", "--img_dir", flat, "--output", "o/out.csv") == 0
    assert len(rows_of("o/out.csv")) == 1


def test_a_flat_folder_gives_all_pairs(here, flat, siamese_file):
    assert run("B", "--weights", siamese_file, "--img_dir", flat, "--no-amp") == 0
    names = sorted(path.name for path in flat.glob("*.jpg"))
    rows = rows_of("submission.csv")
    assert [(row["image1"], row["image2"]) for row in rows] == list(itertools.combinations(names, 2))
    verifier = facecom.FaceVerifier(siamese_file, device="cpu", amp=False)
    expected = [distance_of(verifier, flat, row["image1"], row["image2"]) for row in rows]
    np.testing.assert_allclose([float(row["distance"]) for row in rows], expected, atol=2e-4)


def test_nearest_gives_the_k_nearest_of_each_photo(here, flat, siamese_file):
    assert run("B", "--weights", siamese_file, "--img_dir", flat, "--output", "all.csv", "--no-amp") == 0
    assert run("B", "--weights", siamese_file, "--img_dir", flat, "--nearest", 2, "--no-amp") == 0
    both_ways = {}
    for row in rows_of("all.csv"):
        both_ways[row["image1"], row["image2"]] = both_ways[row["image2"], row["image1"]] = float(row["distance"])
    rows = rows_of("submission.csv")
    names = sorted(path.name for path in flat.glob("*.jpg"))
    assert [row["image1"] for row in rows] == [name for name in names for _ in range(2)]
    for name in names:
        nearest = sorted(distance for (a, _), distance in both_ways.items() if a == name)[:2]
        found = [float(row["distance"]) for row in rows if row["image1"] == name]
        np.testing.assert_allclose(found, nearest, atol=2e-4)


def test_too_many_photos_for_all_pairs(here, flat, siamese_file, monkeypatch, capsys):
    monkeypatch.setattr("facecom.inference.submission.MOST_FOR_ALL_PAIRS", 4)
    assert run("B", "--weights", siamese_file, "--img_dir", flat) == 2
    assert "error: 5 photos make 10 pairs: --nearest K" in capsys.readouterr().err
    assert not Path("submission.csv").exists()


def test_unreadable_photos_are_listed_and_strict_says_so(here, flat, siamese_file, tmp_path, capsys):
    folder = tmp_path / "photos"
    shutil.copytree(flat, folder)
    (folder / "text.jpg").write_text("no photo")
    arguments = ("--weights", siamese_file, "--img_dir", folder)
    assert run("B", *arguments) == 0
    assert "1 photo could not be read: submission.csv.skipped.csv says why" in capsys.readouterr().out
    assert rows_of("submission.csv.skipped.csv") == [{"filename": "text.jpg", "reason": "not an image"}]
    assert len(rows_of("submission.csv")) == 10
    assert run("B", *arguments, "--strict") == 3
    (folder / "text.jpg").unlink()
    assert run("B", *arguments, "--strict") == 0
    assert not Path("submission.csv.skipped.csv").exists()


def test_low_quality_leaves_same_empty(here, flat, siamese_file, monkeypatch):
    from facecom.inference import ensemble

    monkeypatch.setattr(ensemble.Ensemble, "limits", property(lambda self: {"quality": 1.1}))
    assert run("B", "--weights", siamese_file, "--img_dir", flat) == 0
    assert {row["same"] for row in rows_of("submission.csv")} == {""}


def test_the_sample_needs_no_photos(here, siamese_file, capsys):
    assert run("B", "--weights", siamese_file, "--sample") == 0
    assert len(rows_of("submission.csv")) == 24 * 3 * 8
    out = capsys.readouterr().out
    assert "cross-photo" in out and out.endswith(
        "These are drawn people: this checks the installation, not accuracy.\n"
    )


def test_the_published_recipe_without_weights_runs_on_random_ones(here, flat, capsys):
    assert run("B", "--recipe", "published", "--img_dir", flat) == 0
    out = capsys.readouterr().out
    assert "random weights, to measure time" in out and "224 px, align off" in out
    assert len(rows_of("submission.csv")) == 10


def test_the_published_recipe_refuses_weights_of_another_size(here, flat, siamese_file, capsys):
    assert run("B", "--recipe", "published", "--weights", siamese_file, "--img_dir", flat) == 2
    assert "made for 64 px; --recipe published is for weights of 224 px" in capsys.readouterr().err


def test_published_weights_load_and_decide_at_the_published_distance(here, flat, tmp_path, capsys):
    from facecom.models.networks import build_model

    model = build_model({"task": "siamese", "backbone": "convnext_atto", "img_size": 224})
    torch.save(model.state_dict(), tmp_path / "published.pt")
    assert run("B", "--weights", tmp_path / "published.pt", "--img_dir", flat) == 0
    assert "distance of 0.500 (set by hand, not measured)" in capsys.readouterr().out


def test_a_swin_and_a_vit_trained_for_one_epoch_join_an_ensemble(here, sample_b, siamese_file, capsys):
    for name, backbone, size in (("swin", "swin_tiny_patch4_window7_224", 56), ("vit", "vit_tiny_patch16_224", 32)):
        flags = f"--backbone {backbone} --img_size {size} --pool avg --init none --align off --epochs 1 --batch_size 4"
        places = ["--data_dir", sample_b, "--run_dir", here / name, "--output", here / f"{name}.pt"]
        assert run("B", *flags.split(), *places, "--conditions", "simulate", "--no-amp", script="train") == 0
        shutil.rmtree(here / name)  # with the optimizer's state a few hundred MB
    members = [siamese_file, here / "swin.pt", here / "vit.pt"]
    capsys.readouterr()
    assert run("B", "--weights", *members, "--img_dir", sample_b / "val", "--no-amp") == 0
    assert "(64 px, align off; 56 px, align off; 32 px, align off)" in capsys.readouterr().out
    verifiers = [facecom.FaceVerifier(path, device="cpu", amp=False) for path in members]
    together = facecom.FaceVerifier(*members, device="cpu", amp=False)
    assert together.threshold == pytest.approx(np.sqrt(np.mean([one.threshold**2 for one in verifiers])))
    pair = task_b_table(sample_b / "val").path[[0, 8]]
    squares = [one.verify(*pair).distance ** 2 for one in verifiers]
    assert together.verify(*pair).distance == pytest.approx(np.sqrt(np.mean(squares)), abs=1e-4)


def test_real_photos(here, facecom_val, siamese_file):
    """A few of FACECOM's own people, for what drawn ones do not have."""
    folder = here / "val"
    people = sorted(path for path in facecom_val.iterdir() if path.is_dir())[:3]
    for person in people:
        shutil.copytree(person, folder / person.name)
    assert run("B", "--weights", siamese_file, "--img_dir", folder) == 0
    rows = rows_of("submission.csv")
    assert len(rows) == len(list(folder.rglob("*.jpg")))
    assert read_photo(folder / rows[0]["filename"]).shape == (224, 224, 3)
    assert {row["identity"] for row in rows} <= {person.name for person in people}


def test_the_mirror_image_is_looked_at_where_it_is_asked_for(here, sample_b, siamese_file, capsys):
    """The answers are those of the mean of both looks; an exported file cannot change what it looks at."""
    photos = task_b_table(sample_b / "val").path.to_list()[:2]
    verifiers = [facecom.FaceVerifier(siamese_file, device="cpu", amp=False, mirror=m) for m in (None, True)]
    one, both = (verifier.embed(photos) for verifier in verifiers)
    Path("p.csv").write_text(f"image1,image2\n{photos[0]},{photos[1]}\n")
    for flags, expected in (([], one), (["--no-mirror"], one), (["--mirror"], both)):
        assert run("B", "--pairs", "p.csv", "--weights", siamese_file, "--no-amp", "--faces_only", *flags) == 0
        found = float(rows_of("submission.csv")[0]["distance"])
        assert found == pytest.approx(float(np.linalg.norm(expected[0] - expected[1])), abs=2e-4)
    assert np.abs(one - both).max() > 1e-3
    onnx = ROOT / "tests" / "fixtures" / "siamese_0.1.0.onnx"
    assert run("B", "--pairs", "p.csv", "--weights", onnx, "--mirror") == 2
    assert "whether it looks at mirror images was settled when it was exported" in capsys.readouterr().err
