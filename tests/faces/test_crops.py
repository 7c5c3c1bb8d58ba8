"""Crops of many photos, cut once or each time anew."""

import cv2
import numpy as np
import pandas as pd
import pytest

from facecom.conditions import DISTORTIONS, distort
from facecom.conditions.jpeg import through_jpeg
from facecom.data.augmentation import derived_seed
from facecom.data.images import shrink
from facecom.errors import FacecomError
from facecom.faces import crops
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import TEMPLATE, align
from facecom.faces.crops import Crops, load_crops, with_copies


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(5):
        path = tmp_path / f"{number}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (60, 60, 3), np.uint8))
        rows.append({"path": str(path), "identity": str(number), "photo": str(number), "condition": "clean"})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("mode, frame", [("fixed", "face"), ("fixed", "head"), ("off", "face")])
def test_crops_are_the_same_from_memory_and_from_the_files(photos, mode, frame, monkeypatch):
    aligner = Aligner(mode, 32, frame=frame)
    table, kept = load_crops(photos, aligner, quiet=True)
    monkeypatch.setattr(crops, "IN_MEMORY", 0)
    _, cut = load_crops(photos, aligner, quiet=True)
    assert kept.array.shape == (5, 32, 32, 3) and cut.array is None
    assert all((kept[i] == cut[i]).all() for i in range(5)) and len(cut) == 5
    assert table.equals(photos)


def test_known_landmarks_are_cut_by_them(photos):
    image = cv2.imread(photos["path"][0])[:, :, ::-1]
    encoded = cv2.imencode(".png", image[:, :, ::-1])[1].tobytes()
    landmarks = np.stack([TEMPLATE / 2, np.full((5, 2), np.nan)]).astype(np.float32)
    crops = Crops([encoded, encoded], landmarks, Aligner("off", 32))
    assert (crops[0] == align(image, landmarks[0], 32)).all()
    assert (crops[1] == Aligner("off", 32)([image]).crops[0]).all()
    with pytest.raises(FacecomError, match="a photo in a table is damaged"):
        Crops([b"no photo"], landmarks, Aligner("off", 32))[0]


def test_large_photos_are_cut_as_testing_sees_them(tmp_path, monkeypatch):
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (900, 1400, 3), np.uint8), (0, 0), 9)
    cv2.imwrite(str(tmp_path / "a.png"), image[:, :, ::-1])
    table = pd.DataFrame({"path": [str(tmp_path / "a.png")]})
    aligner = Aligner("fixed", 64)
    expected = aligner([shrink(image, 640)]).crops[0]
    _, kept = load_crops(table, aligner, quiet=True)
    monkeypatch.setattr(crops, "IN_MEMORY", 0)
    _, cut_again = load_crops(table, aligner, quiet=True)
    np.testing.assert_array_equal(kept[0], expected)
    np.testing.assert_array_equal(cut_again[0], expected)


def test_crops_cut_again_lose_impulse_noise_as_the_aligner_does():
    image = np.full((112, 112, 3), 120, np.uint8)
    image[np.random.default_rng(0).random((112, 112)) < 0.08] = 255
    encoded = cv2.imencode(".png", image)[1].tobytes()
    crops = {mode: Crops([encoded], TEMPLATE[None], Aligner(mode, 112))[0] for mode in ("fixed", "off")}
    assert (crops["fixed"] > 200).mean() < 0.005 < 0.04 < (crops["off"] > 200).mean()


def test_unreadable_files_are_left_out_and_counted(photos, tmp_path, capsys):
    (tmp_path / "1.png").write_bytes(b"text")
    table, crops = load_crops(photos, Aligner("off", 32), quiet=True)
    assert table["photo"].tolist() == ["0", "2", "3", "4"] and len(crops) == 4
    assert "1 of 5 files left out" in capsys.readouterr().out
    with pytest.raises(FacecomError, match="none of the training photos could be read: .*1.png"):
        load_crops(photos[1:2], Aligner("off", 32), quiet=True, name="training photos")


def test_copies_take_the_conditions_in_turn(photos):
    crops = list(np.random.default_rng(2).integers(0, 256, (5, 48, 48, 3), np.uint8))
    photos.loc[1, "condition"] = "foggy"
    table, more = with_copies(photos, crops, 1.0, seed=4)
    assert table["condition"].tolist() == ["clean", "foggy", "clean", "clean", "clean", *DISTORTIONS[:4]]
    assert table["photo"].tolist()[5:] == ["0", "2", "3", "4"]
    assert (more[6] == through_jpeg(distort(crops[2], DISTORTIONS[1], 3, derived_seed(4, 2), 1.0), 75)).all()
    assert (more[3] == crops[3]).all() and len(more) == 9


@pytest.mark.parametrize("quiet", [False, True])
def test_no_progress_bar_where_there_is_no_terminal(tmp_path, capfd, quiet):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 32, 3), np.uint8))
    load_crops(pd.DataFrame({"path": [str(tmp_path / "a.png")]}), Aligner("fixed", 32), workers=0, quiet=quiet)
    assert capfd.readouterr().err == ""
