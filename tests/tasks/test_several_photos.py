"""`test.py --pool` and `test.py --img_dir clip.mp4`, as a user runs them."""

import shutil
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import torch
from scripts import rows_of, run

import facecom
from facecom.data.folders import task_b_table
from facecom.synthetic import draw_person, draw_scene

torch.set_num_threads(1)


@pytest.fixture
def people(sample_b, tmp_path):
    """A gallery of one clean photo a person, and beside it their copies: (gallery, probes, table of probes)."""
    table = task_b_table(sample_b / "val")
    clean = table[table.condition == "clean"].drop_duplicates("identity")
    copies = table[table.condition.isin(["blurred", "foggy", "lowlight"])]
    for name, part in (("gallery", clean), ("probes", copies)):
        for row in part.itertuples():
            (tmp_path / name / row.identity).mkdir(parents=True, exist_ok=True)
            shutil.copy(row.path, tmp_path / name / row.identity)
    return tmp_path / "gallery", tmp_path / "probes", copies


def test_a_folder_is_one_answer(here, people, siamese_file):
    gallery, probes, copies = people
    (probes / copies.identity.iloc[0] / "broken.jpg").write_text("no photo")
    flags = ("--weights", siamese_file, "--img_dir", probes, "--gallery", gallery, "--no-amp")
    assert run("B", *flags, "--pool") == 0
    rows = rows_of("submission.csv")
    names = sorted(copies.identity.unique())
    assert [row["folder"] for row in rows] == names
    assert [int(row["photos"]) for row in rows] == [int((copies.identity == name).sum()) for name in names]
    assert [row["reason"] for row in rows_of("submission.csv.skipped.csv")] == ["not an image"]

    verifier = facecom.FaceVerifier(siamese_file, device="cpu", amp=False)
    clean = sorted(gallery.glob("*/*"))
    known = verifier.embed(clean)
    mean = verifier.embed(copies[copies.identity == names[1]].path.to_list()).mean(0)
    apart = np.linalg.norm(known - mean / np.linalg.norm(mean), axis=1)
    assert rows[1]["identity"] == clean[apart.argmin()].parent.name
    assert float(rows[1]["distance"]) == pytest.approx(apart.min(), abs=2e-4)


@pytest.mark.parametrize("flags", [("--pairs", "pairs.csv"), (), ("--gallery", "people", "--faces", "all")])
def test_pool_needs_a_gallery_and_one_face_a_photo(here, capsys, flags):
    pd.DataFrame({"image1": ["a"], "image2": ["b"]}).to_csv("pairs.csv", index=False)
    assert run("B", "--pool", "--img_dir", ".", *flags) == 2
    assert "--pool: one answer a folder" in capsys.readouterr().err


@pytest.fixture
def clip(tmp_path):
    """Three seconds of two drawn people, of whom the second leaves after a second."""
    av = pytest.importorskip("av")
    background = np.kron(draw_scene("landscape", 3)[:120, :180], np.ones((3, 4, 1), np.uint8))
    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=Fraction(5), bit_rate=4_000_000)
        stream.height, stream.width, stream.pix_fmt = 360, 720, "yuv420p"
        for number in range(15):
            frame = background.copy()
            frame[60 : 60 + 224, 20 + 8 * number : 244 + 8 * number] = draw_person(3, 0)[0]
            if number < 5:
                frame[60 : 60 + 224, 450:674] = draw_person(6, 0)[0]
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        file.mux(stream.encode())
    return tmp_path / "clip.mp4"


def test_a_clip_gives_a_row_for_each_who_comes_and_goes(here, people, clip):
    assert run("B", "--img_dir", clip, "--gallery", people[0], "--every", "0.4") == 0
    rows = rows_of("submission.csv")
    first, second = [row for row in rows if int(row["faces"]) > 1]
    assert (first["filename"], first["track"], first["first"], first["last"]) == ("clip.mp4", "1", "0.00", "2.80")
    assert (second["first"], second["last"]) == ("0.00", "0.80")
    assert int(first["faces"]) == 8 and int(second["faces"]) == 3
    at, x = float(first["at"]), float(first["x"])
    assert 20 + 40 * at < x < 160 + 40 * at  # the box is of the picture that `at` names


@pytest.mark.parametrize(
    ("flags", "said"),
    [((), "a video: give --gallery"), (("--gallery", "x", "--every", "0"), "--every 0: seconds from picture to")],
)
def test_what_a_clip_needs_is_said(here, clip, capsys, flags, said):
    assert run("B", "--img_dir", clip, *flags) == 2
    assert said in capsys.readouterr().err
