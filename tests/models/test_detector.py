"""The detector's cells and shapes."""

import torch

from facecom.models.detector import STRIDES, FaceDetector, cells


def test_one_answer_a_cell_whatever_the_size():
    model = FaceDetector((4, 8, 8, 8, 8), depth=1, channels=8).eval()
    for height, width in ((64, 96), (32, 32)):
        logits, landmarks = model(torch.zeros(2, 3, height, width))
        count = sum((height // s) * (width // s) for s in STRIDES)
        assert logits.shape == (2, count) and landmarks.shape == (2, count, 5, 2)
        centres, strides = cells(height, width)
        assert len(centres) == len(strides) == count


def test_cells_lie_in_the_middle_of_their_squares():
    centres, strides = cells(32, 64)
    assert centres[0].tolist() == [3.5, 3.5] and centres[1].tolist() == [11.5, 3.5]
    assert centres[-1].tolist() == [47.5, 15.5] and strides[-1] == 32


def test_landmarks_are_counted_from_the_cell():
    model = FaceDetector((4, 8, 8, 8, 8), depth=1, channels=8).eval()
    for parameter in model.place.parameters():
        torch.nn.init.zeros_(parameter)
    _, landmarks = model(torch.rand(1, 3, 32, 64))
    centres, _ = cells(32, 64)
    torch.testing.assert_close(landmarks[0].detach(), centres[:, None].expand(-1, 5, -1))


def test_untrained_it_sees_few_faces():
    logits, _ = FaceDetector()(torch.rand(1, 3, 64, 64))
    assert logits.sigmoid().mean() < 0.1


def test_landmarks_are_those_of_the_likeliest_turn():
    model = FaceDetector((4, 8, 8, 8, 8), depth=1, channels=8, turns=4).eval()
    x = torch.rand(1, 3, 32, 64)
    logits, turns, each = model.each_turn(x)
    assert turns.shape == (1, logits.shape[1], 4) and each.shape == (1, logits.shape[1], 4, 5, 2)
    chosen, landmarks = model(x)
    torch.testing.assert_close(chosen, logits)
    for cell in range(logits.shape[1]):
        torch.testing.assert_close(landmarks[0, cell], each[0, cell, turns[0, cell].argmax()])
