"""What both reports are put together from."""

import numpy as np

from facecom.report import parts


def row(condition, value):
    row = {"condition": condition, "metric": "accuracy", "value": value, "low": np.nan, "high": np.nan}
    return row | {"count": 1200}


def found_of(**values):
    return {("gender", condition, "accuracy"): row(condition, value) for condition, value in values.items()}


def test_the_hardest_condition_is_told_where_there_are_several():
    found = found_of(clean=0.9, rainy=0.5, noisy=np.nan, all=0.4)
    ((figure, text, count),) = parts.hardest(found, "gender", "accuracy", "right", "photos")
    assert (figure, text, count) == (".500", "right in the hardest condition, rainy", "1,200 photos")
    assert parts.hardest(found_of(clean=0.9), "gender", "accuracy", "right", "photos") == []
    ((figure, text, _),) = parts.hardest(found_of(clean=np.nan, foggy=np.nan), "gender", "accuracy", "right", "photos")
    assert (figure, text) == ("-", "right in the hardest condition, any condition")
