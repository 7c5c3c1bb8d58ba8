"""Where "cannot tell" begins."""

import numpy as np

from pretraining.limits import limit_of


def test_limit_is_where_photos_as_bad_as_that_are_good_often_enough():
    figure = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert limit_of(figure, np.array([0, 0, 1, 1, 1, 1.0]), 0.5) == 0.3  # no worse for those below it
    assert limit_of(figure, np.array([0, 1, 0, 1, 1, 1.0]), 0.5) == 0.4  # the second and third are half good
    assert limit_of(figure, np.array([0, 1, 0, 1, 1, 1.0]), 0.3) == 0.2
    assert limit_of(figure, np.ones(6), 0.5) == 0
    assert limit_of(figure, np.zeros(6), 0.5) == 0.6
