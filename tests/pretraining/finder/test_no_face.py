import numpy as np
import pytest

from pretraining.finder.no_face import without_face
from pretraining.photos import Photo

RED, BLUE, GREEN = ([255, 0, 0], [0, 0, 255], [0, 255, 0])


@pytest.mark.parametrize("seed", range(24))
def test_no_picture_shows_the_face(seed):
    """The face is red on blue, scenes are green."""
    image = np.full((200, 240, 3), BLUE, np.uint8)
    landmarks = np.float32([[100, 80], [140, 80], [120, 100], [105, 120], [135, 120]])
    image[76:124, 96:144] = RED
    scene = np.full((224, 224, 3), GREEN, np.uint8)
    kind = np.random.default_rng(seed).integers(4)
    picture = without_face(np.random.default_rng(seed), Photo(image, landmarks, []), [scene], 64)
    assert picture.shape == (64, 64, 3) and picture.dtype == np.uint8
    colours = {tuple(colour) for colour in np.unique(picture.reshape(-1, 3), axis=0)}
    if kind == 0:
        assert colours == {tuple(GREEN)}
    if kind == 1:  # beside the face, or where the draw hit it, noise
        assert colours == {tuple(BLUE)} or len(colours) > 16
    if kind == 2:  # as much red as before, but not in one piece
        red = (picture == RED).all(2)
        assert 0 < red.mean() < 0.1 and not red[24:40, 26:38].all()
