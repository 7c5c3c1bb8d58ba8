import numpy as np

from facecom.data.images import longest_side, shrink


def test_a_large_photo_is_scaled_down_before_it_waits_in_a_batch():
    small = shrink(np.zeros((3000, 1500, 3), np.uint8), 640)
    assert small.shape == (640, 320, 3)
    assert shrink(small, 640) is small


def test_a_detector_of_small_faces_sees_more():
    assert longest_side("yunet") > longest_side("finder") == longest_side("off") == 640
