"""The face finder's geometry: similarity, crops, two looks."""

import cv2
import numpy as np
import pytest
import torch

from facecom.data.images import CROP_SIZE
from facecom.errors import FacecomError
from facecom.faces import aligner, alignment
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import TEMPLATE, align, fixed_crop, similarity
from facecom.faces.finder import LOOSE_TEMPLATE, find
from facecom.faces.yunet import mirror

#: Landmarks of a made-up face in a 300 x 200 photo.
FACE = TEMPLATE * 0.8 + [120, 40]


def dotted(landmarks, height=200, width=300):
    """A grey photo with a soft white dot at each landmark."""
    y, x = np.mgrid[:height, :width]
    distance = ((np.stack([x, y], -1)[None] - np.asarray(landmarks)[:, None, None]) ** 2).sum(-1).min(0)
    return np.repeat((40 + 215 * np.exp(-distance / 24))[..., None], 3, 2).astype(np.uint8)


class DotFinder(torch.nn.Module):
    """Stands in for the network: finds the five dots of `dotted`, by their weighted means."""

    img_size = CROP_SIZE

    def forward(self, x):
        found = []
        for picture in ((x + 1) * 127.5).permute(0, 2, 3, 1).numpy():
            light = np.where(picture[..., 0] > 140, picture[..., 0], 0).astype(np.float64)
            count, labels = cv2.connectedComponents((light > 0).astype(np.uint8))
            y, x_ = np.mgrid[:CROP_SIZE, :CROP_SIZE]
            spots = [labels == k for k in range(1, count)]
            dots = [[np.average(axis[spot], weights=light[spot]) for axis in (x_, y)] for spot in spots]
            rows = sorted(dots, key=lambda dot: dot[1])
            found.append([*sorted(rows[:2]), rows[2], *sorted(rows[3:])] if len(dots) == 5 else np.zeros((5, 2)))
        log_error = torch.full((len(x), 5), np.log(0.05))
        return torch.tensor(np.array(found), dtype=torch.float32), log_error, torch.zeros(len(x))


def test_similarity_recovers_turn_scale_and_shift():
    angle, scale, shift = 0.3, 1.7, np.array([4.0, -9.0])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(TEMPLATE, TEMPLATE @ turn.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([turn, shift]), atol=1e-4)


def test_similarity_never_mirrors():
    matrix = similarity(TEMPLATE, TEMPLATE * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_similarity_of_one_point_is_an_error():
    with pytest.raises(ValueError, match="coincide"):
        similarity(np.ones((5, 2)), TEMPLATE)


@pytest.mark.parametrize("enlarged", [1, 3])  # three times the size: the crop is averaged first
@pytest.mark.parametrize("template", [TEMPLATE, LOOSE_TEMPLATE])
def test_align_puts_landmarks_on_the_template(enlarged, template):
    photo = cv2.resize(dotted(FACE), None, fx=enlarged, fy=enlarged)
    crop = align(photo, (FACE + 0.5) * enlarged - 0.5, template=template)
    assert crop.shape == (112, 112, 3) and crop.dtype == np.uint8
    for x, y in np.round(template).astype(int):
        spot = crop[y - 3 : y + 4, x - 3 : x + 4, 0]
        assert np.abs(np.array(np.unravel_index(spot.argmax(), spot.shape)) - 3).max() <= 1
        assert spot.max() > 150


def test_align_replicates_the_border():
    photo = np.full((50, 50, 3), 200, np.uint8)
    assert (align(photo, TEMPLATE - 80) == 200).all()


def test_fixed_crop_is_the_middle_of_a_facecom_photo():
    photo = np.zeros((224, 224, 3), np.uint8)
    photo[48:166, 53:171] = 255  # 118 px centred at 112, 107
    crop = fixed_crop(photo)
    assert crop.shape == (112, 112, 3)
    assert crop[1:-1, 1:-1].min() == 255
    assert alignment.whole(photo, 64).shape == (64, 64, 3)


def test_find_returns_pixels_of_each_photo():
    other = FACE * 1.5 + [10, -20]
    photos = [dotted(FACE), dotted(other, 260, 420), np.full((90, 60, 3), 30, np.uint8)]
    landmarks, confidence = find(photos, batch_size=2, model=DotFinder())
    assert landmarks.dtype == confidence.dtype == np.float32
    np.testing.assert_allclose(landmarks[0], FACE, atol=0.7)
    np.testing.assert_allclose(landmarks[1], other, atol=0.7)
    # Laplace scale .05: P(r < .1) = 1 - 3 exp(-2); the logit 0 halves it. A heap of points is no face.
    np.testing.assert_allclose(confidence, [(1 - 3 * np.exp(-2)) / 2] * 2 + [0], rtol=1e-5)
    assert np.isfinite(landmarks).all()


class Biased:
    """A finder that is 4 px to the right in the whole picture, and in a crop as far to the left of what it saw first;
    how sure it is of either is given."""

    img_size = CROP_SIZE

    def __init__(self, errors):
        self.errors, self.looks = errors, 0

    def __call__(self, x):
        seen = LOOSE_TEMPLATE + [(4, 0), (-4, 0)][self.looks]
        log_error = torch.full((2, 5), self.errors[self.looks]).log()
        self.looks += 1
        both = np.stack([seen, mirror(seen, CROP_SIZE)])
        return torch.from_numpy(both).float(), log_error, torch.full((2,), 20.0)


@pytest.mark.parametrize("errors", [(0.05, 0.05), (0.02, 0.06), (0.06, 0.02)])
def test_two_looks_count_by_how_sure_they_are(errors):
    found, confidence = find([np.full((112, 112, 3), 30, np.uint8)], model=Biased(errors))
    weight = errors[0] ** -2 / (errors[0] ** -2 + errors[1] ** -2)
    np.testing.assert_allclose(found[0], LOOSE_TEMPLATE + [4 * weight, 0], atol=1e-3)
    share = [1 - (1 + 0.1 / e) * np.exp(-0.1 / e) for e in errors]
    np.testing.assert_allclose(confidence, np.mean(share), rtol=1e-4)


def test_find_of_nothing():
    landmarks, confidence = find([], model=DotFinder())
    assert landmarks.shape == (0, 5, 2) and confidence.shape == (0,)


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


def test_yunet_on_a_real_photo(shared, facecom_val):
    photo = cv2.imread(str(sorted(facecom_val.glob("*/*.jpg"))[0]))[:, :, ::-1]
    wall = np.full((224, 224, 3), 90, np.uint8)
    aligned = Aligner("yunet", detector_model=shared / "models" / "yunet_n_dynamic.onnx")([photo, wall])
    left, right, nose, *mouth = aligned.landmarks[0]
    assert left[0] < nose[0] < right[0] and max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)
    assert aligned.confidence[0] > 0.6 and aligned.faces.tolist() == [1, 0]
    assert aligned.confidence[1] == 0 and np.isnan(aligned.landmarks[1]).all()
    np.testing.assert_array_equal(aligned.crops[1], fixed_crop(wall))
