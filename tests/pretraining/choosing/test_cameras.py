"""Cameras that only judge."""

import numpy as np

from pretraining.choosing.cameras import infrared, tight, tight_in_place

CROP = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)


def test_a_night_camera_sees_no_colour_and_the_same_twice():
    first, again = (infrared(CROP, np.random.default_rng(1)) for _ in range(2))
    assert first.shape == CROP.shape and first.dtype == np.uint8
    assert (first == first[..., :1]).all() and np.array_equal(first, again)


def test_a_tight_crop_stays_where_it_lay():
    rng = np.random.default_rng(0)
    cut, placed = tight(CROP, rng), tight_in_place(CROP, rng)
    assert cut.shape == (66, 52, 3) and placed.shape == CROP.shape
    assert np.array_equal(placed[32:98, 30:82], CROP[32:98, 30:82])
    assert (placed[:32, 50] == CROP[32, 50]).all() and (placed[60, 82:] == CROP[60, 81]).all()
