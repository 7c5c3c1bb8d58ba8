import pytest

from facecom.evaluation.operating_points import in_words


@pytest.mark.parametrize(
    "point, words",
    [
        ({"far": 1e-3, "impostor": 1000}, "1 in 1,000 pairs of strangers passes"),
        ({"far": 1e-3, "impostor": 999}, "fixed on 999 pairs of strangers, too few to know a rate of 1 in 1,000"),
        ({"far": 1e-4}, "1 in 10,000 pairs of strangers passes"),
        ({"far": None, "impostor": None}, "set by hand, not measured"),
    ],
)
def test_what_an_operating_point_promises(point, words):
    assert in_words(point) == words
