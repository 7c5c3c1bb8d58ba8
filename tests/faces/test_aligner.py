"""Photos to aligned crops, in every mode and frame."""

import cv2
import numpy as np
import pytest
from dots import FACE, DotFinder, dotted

from facecom.errors import FacecomError
from facecom.faces import aligner, alignment
from facecom.faces.aligner import Aligner, turned_back
from facecom.faces.alignment import TEMPLATE, align, fixed_crop
from facecom.synthetic import draw_person, draw_scene


@pytest.mark.parametrize("mode", ["fixed", "off"])
def test_aligner_without_a_network(mode):
    photos = [dotted(FACE), np.zeros((60, 61, 3), np.uint8)]
    aligned = Aligner(mode, size=96)(photos)
    assert aligned.crops.shape == (2, 96, 96, 3) and aligned.crops.dtype == np.uint8
    assert np.isnan(aligned.confidence).all() and np.isnan(aligned.landmarks).all()
    assert aligned.faces.tolist() == [1, 1]
    expected = fixed_crop(photos[0], 96) if mode == "fixed" else alignment.whole(photos[0], 96)
    np.testing.assert_array_equal(aligned.crops[0], expected)


def test_aligner_with_the_finder(monkeypatch):
    monkeypatch.setattr(aligner, "_shipped_finder", lambda device: DotFinder())
    aligned = Aligner("finder")([dotted(FACE)])
    np.testing.assert_allclose(aligned.landmarks[0], FACE, atol=0.7)
    difference = aligned.crops[0].astype(int) - align(dotted(FACE), FACE)
    assert np.abs(difference).mean() < 3


@pytest.mark.parametrize("mode", ["finder", "fixed"])
def test_the_frame_head_shows_more_round_the_same_face(mode, monkeypatch):
    monkeypatch.setattr(aligner, "_shipped_finder", lambda device: DotFinder())
    photo = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (224, 224, 3), np.uint8), (0, 0), 3)
    face, head = (Aligner(mode, size=size, frame=frame)([photo]) for size, frame in ((96, "face"), (160, "head")))
    # 160 px for the head are as fine as 96 px for the face, which is its middle.
    assert alignment.FRAMES["head"] == 0.6 and head.crops.shape == (1, 160, 160, 3)
    middle = head.crops[0, 32:128, 32:128].astype(int)
    assert np.abs(middle - face.crops[0]).mean() < 1 < np.abs(head.crops[0, :96, :96] - middle).mean()
    whole = Aligner("off", size=96, frame="head")([photo])
    np.testing.assert_array_equal(whole.crops[0], alignment.whole(photo, 96))


def test_the_frame_close_shows_less_round_the_same_face():
    photo = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (224, 224, 3), np.uint8), (0, 0), 3)
    face, close = (Aligner("fixed", frame=frame)([photo]).crops[0] for frame in ("face", "close"))
    again = cv2.warpAffine(face, alignment.frame_matrix("close"), (112, 112), borderMode=cv2.BORDER_REPLICATE)
    assert np.abs(again.astype(int) - close).mean() < 1 < np.abs(face.astype(int) - close).mean()
    # The middle of the landmarks stays, and what lies between them grows by a tenth.
    near = alignment.template_of("close")
    np.testing.assert_allclose(near.mean(0), TEMPLATE.mean(0), atol=1e-4)
    np.testing.assert_allclose(near - near.mean(0), 1.1 * (TEMPLATE - TEMPLATE.mean(0)), atol=1e-4)


def test_aligner_refuses_what_it_cannot_do(tmp_path):
    with pytest.raises(FacecomError, match="unknown alignment 'haar'"):
        Aligner("haar")
    with pytest.raises(FacecomError, match="unknown frame 'body'"):
        Aligner("fixed", frame="body")
    with pytest.raises(FacecomError, match="--detector_model"):
        Aligner("yunet")
    with pytest.raises(FacecomError, match="no such detector file"):
        Aligner("yunet", detector_model=tmp_path / "no.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"not a network")
    with pytest.raises(FacecomError, match="cannot read it"):
        Aligner("yunet", detector_model=tmp_path / "bad.onnx")


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_photo_that_lies_on_its_side_is_seen_upright(turns):
    photo, _ = draw_person(5, 0)
    aligner = Aligner("finder")
    upright = aligner([photo])
    turned = aligner([np.ascontiguousarray(np.rot90(photo, turns))])
    assert turned.confidence[0] == pytest.approx(upright.confidence[0], abs=0.01)
    assert np.abs(turned.crops[0].astype(int) - upright.crops[0]).mean() < 6  # another pixel grid


def test_looking_everywhere_sees_no_face_where_there_is_none():
    scenes = [draw_scene(kind, 9000 + seed) for seed in range(8) for kind in ("wall", "landscape", "cat")]
    assert Aligner("finder")(scenes).confidence.max() < 0.25  # the shipped weights' limit


def test_a_turn_that_a_closer_look_cannot_make_sure_gets_none(monkeypatch):
    """The mean of two looks reaches `SURE` only where the first says twice that less one: of walls none does."""
    looked_at, settled = [], aligner.settled

    def counted(finder, images, first, *how):
        looked_at.extend(first.confidence)
        return settled(finder, images, first, *how)

    monkeypatch.setattr(aligner, "settled", counted)
    photo, _ = draw_person(5, 0)
    Aligner("finder")([draw_scene("wall", 9000 + seed) for seed in range(6)])
    assert not looked_at
    Aligner("finder")([draw_scene("wall", 9000), np.ascontiguousarray(np.rot90(photo, 2))])
    assert len(looked_at) == 1 and looked_at[0] >= 2 * aligner.SURE - 1


def test_landmarks_turn_back_by_hand():
    image = np.zeros((3, 5, 3), np.uint8)
    image[1, 4] = 255
    for turns in range(4):
        y, x = np.argwhere(np.rot90(image, turns)[:, :, 0])[0]
        assert turned_back(np.array([[x, y]]), turns, image.shape).tolist() == [[4, 1]]
