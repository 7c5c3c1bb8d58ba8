"""Where "cannot tell" begins."""

import numpy as np
import pandas as pd
import pytest

from facecom.cli import DEFAULT_ALIGN
from facecom.faces.alignment import TEMPLATE
from pretraining.choosing.limits import limit_of, limits_of, nothing_found


def test_limit_is_where_photos_as_bad_as_that_are_good_often_enough():
    figure = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert limit_of(figure, np.array([0, 0, 1, 1, 1, 1.0]), 0.5) == pytest.approx(0.25)  # no worse for those below it
    assert limit_of(figure, np.array([0, 1, 0, 1, 1, 1.0]), 0.5) == pytest.approx(0.35)  # the second and third: half
    assert limit_of(figure, np.array([0, 1, 0, 1, 1, 1.0]), 0.3) == pytest.approx(0.15)
    assert limit_of(figure, np.ones(6), 0.5) == 0
    assert limit_of(figure, np.zeros(6), 0.5) == pytest.approx(0.55)


@pytest.mark.skipif(DEFAULT_ALIGN != "finder", reason="no face finder is shipped")
def test_pictures_without_a_face_are_below_the_limit():
    """Faces that are all found well set none themselves."""
    names = ["clean", "sunny"] * 4
    table = pd.DataFrame({"identity": np.repeat([*"abcd"], 2), "photo": "1", "condition": names})
    landmarks = np.tile(TEMPLATE, (8, 1, 1))
    confidence = np.tile([0.9, 0.3], 4)
    nothing = nothing_found()
    assert nothing.shape == (192,) and nothing.mean() < 0.1
    rest = table, landmarks, confidence, np.ones(8), np.ones(8)
    assert limits_of(*rest, nothing[:0])["face_confidence"] == 0
    assert limits_of(*rest, nothing[nothing < 0.3])["face_confidence"] == pytest.approx(
        (nothing[nothing < 0.3].max() + 0.3) / 2
    )
