"""Closed forms against what they are defined as."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

from benchmarks import closed_forms


def test_plda_is_the_ratio_of_two_likelihoods():
    rng = np.random.default_rng(0)
    between, within = (part @ part.T + 0.1 * np.eye(3) for part in rng.normal(size=(2, 3, 3)))
    rows, total, none = rng.normal(size=(4, 3)), between + within, np.zeros((3, 3))
    one = multivariate_normal(np.zeros(6), np.block([[total, between], [between, total]]))
    two = multivariate_normal(np.zeros(6), np.block([[total, none], [none, total]]))
    pairs = np.array([[one.logpdf(np.r_[a, b]) - two.logpdf(np.r_[a, b]) for b in rows] for a in rows])
    scores = closed_forms.plda_scores(rows, between, within)
    np.testing.assert_allclose(scores - scores[0, 0], pairs - pairs[0, 0], atol=1e-9)


def test_s_norm_by_hand():
    rows, cohort = np.array([[1.0, 0], [0, 1]]), np.array([[1.0, 0], [0.6, 0.8], [0, 1]])
    # The scores with the cohort are 1, .6, 0 and 0, .8, 1: means 8/15 and .6, deviations .4110 and .4320.
    expected = ((0 - 8 / 15) / 0.41096 + (0 - 0.6) / 0.43205) / 2
    assert closed_forms.s_norm(rows, cohort)[0, 1] == pytest.approx(expected, abs=1e-4)
    # The two highest: 1, .6 and .8, 1.
    assert closed_forms.s_norm(rows, cohort, 2)[0, 1] == pytest.approx(((0 - 0.8) / 0.2 + (0 - 0.9) / 0.1) / 2)


def test_lda_goes_along_what_tells_people_apart():
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(40), 5)
    outputs = rng.normal(size=(200, 3)) * [3.0, 0.3, 1.0]  # within a person
    outputs += rng.normal(size=(40, 3))[people]  # between people
    (best,) = closed_forms.lda(outputs, people, 1)
    assert abs(best[1]) == np.abs(best).max() > 3 * np.abs(best[[0, 2]]).max()


def test_figures_of_scores():
    table = pd.DataFrame({"identity": list("aabb"), "photo": list("1234")})
    scores = np.array([[1, 0.9, 0.1, 0.2], [0.9, 1, 0.3, 0.1], [0.1, 0.3, 1, 0.2], [0.2, 0.1, 0.2, 1]])
    found = closed_forms.figures(scores, table)
    assert found["tar@far=1e-3"][0] == 0.5  # .9 is above all strangers, .2 is not above .3
    # Of genuine .9, .9, .2, .2 against .1, .2, .3, .1 twice: 1, 1, and .5 + .125 for the tie.
    assert found["auc"][0] == pytest.approx((2 + 2 * (0.5 + 0.125)) / 4)


def test_few_people_are_not_adapted_to():
    rng = np.random.default_rng(0)
    learned, judged = rng.normal(size=(6, 4)), rng.normal(size=(5, 4))
    ((name, scores),) = closed_forms.ways(learned, np.array(["a", "a", "b", "b", "c", "c"]), judged)
    assert name == "shipped" and scores.shape == (5, 5)
