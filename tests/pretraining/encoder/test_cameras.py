"""Crops as other cameras show them."""

import numpy as np
import pytest

from pretraining.encoder import cameras

CROP = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_tones_rise_with_the_light():
    for seed in range(20):
        table = cameras.tones(np.random.default_rng(seed))
        assert table.shape == (256, 3) and table.dtype == np.uint8
        assert (np.diff(table.astype(int), axis=0) >= 0).all() and table[-1].min() > table[0].max()


def test_one_crop_in_ten_is_grey():
    views = [cameras.another_camera(CROP, np.random.default_rng(seed)) for seed in range(1000)]
    grey = np.mean([(view == view[..., :1]).all() for view in views])
    assert grey == pytest.approx(cameras.GREY, abs=0.03)
    assert all(view.shape == CROP.shape and view.dtype == np.uint8 for view in views)
