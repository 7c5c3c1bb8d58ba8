"""What is put around a face: the face stays, the rest changes."""

import numpy as np
import pytest

from pretraining.encoder.borders import face_mask, in_front_of, plain_border

FACE, GROUND = np.full((112, 112, 3), 200, np.uint8), np.full((112, 112, 3), 40, np.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_a_mask_keeps_eyes_nose_and_mouth_and_leaves_the_corners_out(seed):
    mask = face_mask(112, np.random.default_rng(seed))
    assert mask.shape == (112, 112, 1) and mask.dtype == np.float32 and 0 <= mask.min() <= mask.max() <= 1.0001
    assert mask[50:94, 36:76].min() > 0.6  # where DESIGN's template puts the five landmarks
    assert max(mask[0, 0], mask[0, -1], mask[-1, 0], mask[-1, -1])[0] < 0.3


@pytest.mark.parametrize("seed", range(6))
def test_a_face_in_front_of_another_ground(seed):
    view = in_front_of(FACE, GROUND, np.random.default_rng(seed))
    assert view.dtype == np.uint8 and (view[56:90, 46:66] == 200).all() and (view[0, 0] < 90).all()
    assert view.min() >= 40 and view.max() <= 200


def test_masks_differ_in_size_and_shape():
    shares = [face_mask(112, np.random.default_rng(seed)).mean() for seed in range(30)]
    assert min(shares) < 0.5 < 0.6 < max(shares)


def test_the_plain_border_changes_the_outside_alone():
    crop = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    changed = 0
    for seed in range(20):
        view = plain_border(crop, np.random.default_rng(seed))
        assert view.shape == crop.shape and view.dtype == np.uint8
        np.testing.assert_array_equal(view[16:-16, 16:-16], crop[16:-16, 16:-16])
        changed += (view[0] != crop[0]).mean() > 0.5
    assert changed > 12
