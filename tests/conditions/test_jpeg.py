"""What a JPEG file leaves of a photo."""

import numpy as np
import pytest

from facecom.conditions.jpeg import drawn_quality, through_jpeg


@pytest.mark.parametrize("colour", [(200, 40, 40), (40, 200, 40), (40, 40, 200)])
def test_colours_stay_where_they_are(colour):
    photo = np.full((24, 32, 3), colour, np.uint8)
    copy = through_jpeg(photo, 75)
    assert copy.shape == photo.shape and copy.dtype == np.uint8
    np.testing.assert_allclose(copy.reshape(-1, 3).mean(0), colour, atol=6)


def test_the_worse_the_file_the_less_is_left():
    photo = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    lost = [np.abs(through_jpeg(photo, q).astype(float) - photo).mean() for q in (95, 75, 40)]
    assert lost[0] < lost[1] < lost[2]


def test_faint_lines_in_glare_are_lost():
    """What a network would read in simulated glare, and does not find in a file's."""
    photo = np.full((64, 64, 3), 255, np.uint8)
    photo[20:40:4] = 254
    assert (through_jpeg(photo, 75) == 255).all() and (through_jpeg(photo, 95) == photo).mean() > 0.99


def test_most_files_are_about_as_facecoms():
    rng = np.random.default_rng(0)
    drawn = np.array([drawn_quality(rng) for _ in range(3000)])
    assert drawn.min() >= 40 and drawn.max() <= 95
    assert 0.5 < (abs(drawn - 75) <= 10).mean() < 0.8 and (drawn < 60).mean() > 0.08
