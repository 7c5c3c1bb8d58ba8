import numpy as np
import pytest

from facecom.evaluation.calibration import balanced_logit, fit_platt, fit_temperature


def test_a_known_temperature_is_found():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, 200_000)
    labels = rng.random(200_000) < 1 / (1 + np.exp(-true))
    for temperature in (0.3, 1.0, 2.5):
        assert fit_temperature(true * temperature, labels) == pytest.approx(temperature, rel=0.02)


def test_the_optimum_in_closed_form():
    # Logits +-1, three of four right: sigmoid(1 / T) = 3 / 4, so T = 1 / ln 3.
    logits, labels = np.array([1.0, 1, 1, -1]), np.array([1, 1, 0, 0])
    assert fit_temperature(logits, labels) == pytest.approx(1 / np.log(3), rel=1e-6)
    # The wrong one counts three times: half are right, and no confidence is warranted.
    assert fit_temperature(logits, labels, np.array([1, 1, 3, 1])) == pytest.approx(20, rel=1e-3)


def test_perfect_answers_stay_finite():
    assert fit_temperature(np.array([3.0, -3.0]), np.array([1, 0])) == pytest.approx(0.05, rel=1e-3)


def test_balanced_logit_lies_between_two_shifted_classes_however_rare_one_is():
    rng = np.random.default_rng(0)
    logits = np.concatenate([rng.normal(-3, 1, 4000), rng.normal(1, 1, 400)])
    labels = np.r_[np.zeros(4000), np.ones(400)]
    # Equal normal classes: the posterior is even in the middle of their means.
    assert balanced_logit(logits, labels) == pytest.approx(-1, abs=0.15)


def test_balanced_logit_of_logits_that_say_the_opposite_is_zero():
    assert balanced_logit(np.array([2.0, 3, -2, -3]), np.array([0, 0, 1, 1])) == 0


def test_platt_finds_scale_and_shift():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(logits + 3) / 2))
    temperature, shift = fit_platt(logits, labels)
    assert temperature == pytest.approx(2, abs=0.1) and shift == pytest.approx(3, abs=0.2)
    # What is calibrated already stays as it is.
    again = fit_platt(logits + shift, labels)
    assert again == pytest.approx((temperature, 0), abs=1e-3)


def test_platt_says_nothing_where_logits_fall_with_the_labels():
    assert fit_platt(np.array([2.0, 1, -1, -2]), np.array([0, 0, 1, 1])) is None
