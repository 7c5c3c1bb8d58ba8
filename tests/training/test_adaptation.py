"""Closed-form adaptation against the textbook formulas."""

import numpy as np
import pytest
import torch

from facecom.models.networks import build_model
from facecom.training import adaptation
from facecom.training.adaptation import Compared, adapt, embeddings_of, fit, fold, shift_of, some_people


def people_of(count, photos, dimensions=16, within=1.0, between=1.0, seed=0):
    """Outputs float [N, 1, D] of `count` people, and whose they are: normal around a person's own mean."""
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(0, between, (count, dimensions)), photos, 0)
    return (centres + rng.normal(0, within, centres.shape))[:, None], np.repeat([f"P{i}" for i in range(count)], photos)


def test_the_mean_counts_every_person_the_same():
    outputs = np.array([[[1.0, 0]], [[3.0, 0]], [[10.0, 4.0]]])
    made = fit(outputs, np.array(["a", "a", "b"]), mean_share=1.0, shrinkage=1.0)
    np.testing.assert_allclose(made.mean, [(2 + 10) / 2, (0 + 4) / 2])
    np.testing.assert_array_equal(made.matrix, np.eye(2))
    np.testing.assert_allclose(fit(outputs, np.array(["a", "a", "b"]), 0.5, 1.0).mean, [3, 1])


def test_the_matrix_whitens_what_differs_within_people():
    """By hand: a at (0, 0) and (2, 0), b at (5, 1) and (5, 3): the same in both directions; then not."""
    outputs = np.array([[[0.0, 0]], [[2.0, 0]], [[5.0, 1]], [[5.0, 3]]])
    whose = np.array(["a", "a", "b", "b"])
    np.testing.assert_allclose(fit(outputs, whose, 0, 0.5).matrix, np.eye(2))
    outputs = np.array([[[0.0, 0]], [[4.0, 0]], [[5.0, 1]], [[5.0, 3]]])  # W = diag(8, 2) / 2, tr / D = 2.5
    made = fit(outputs, whose, 0, 0.5).matrix
    within = 0.5 * np.diag([4.0, 1.0]) + 0.5 * 2.5 * np.eye(2)
    np.testing.assert_allclose(made @ within @ made.T, 2.5 * np.eye(2))


def test_nothing_stays_nothing():
    outputs, whose = people_of(5, 3)
    made = fit(outputs, whose, 0.0, 1.0)
    assert made.nothing and not fit(outputs, whose, 0.5, 1.0).nothing
    np.testing.assert_allclose(made.embed(outputs), embeddings_of(outputs))


def test_folded_into_the_last_layer_it_answers_the_same():
    torch.manual_seed(0)
    config = {"task": "siamese", "backbone": "test_convnext", "img_size": 32, "pool": "map", "quality": True}
    model = build_model(config).eval()
    x = torch.randn(6, 3, 32, 32)
    whose = np.array(["a", "a", "b", "b", "c", "c"])
    with torch.inference_mode():
        outputs = model.projection(model.neck(model.encoder(x))).numpy()[:, None]
        quality = model.embed_with_quality(x)[1]
        made = fit(outputs, whose, 1.0, 0.5)
        fold(model, made)
        embeddings, after = model.embed_with_quality(x)
    np.testing.assert_allclose(embeddings.numpy(), made.embed(outputs), atol=1e-5)
    torch.testing.assert_close(after, quality)  # what the photo is worth is not of the last layer


def test_accepted_by_hand():
    """Angles of a, b and c in degrees: c lies 5 from both of a, which are 10 apart; b's are 1 apart."""
    angles = np.deg2rad([0, 10, 90, 91, 5])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], 1)
    compared = Compared(np.array(["a", "a", "b", "b", "c"]))
    assert compared.accepted(embeddings) == {}  # 8 impostor pairs: too few for any rate
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(adaptation, "LEAST_PASSING", 0)
        # Without a false accept a is refused; people of one photo are left out.
        assert compared.accepted(embeddings) == {"a": 0.0, "b": 1.0}
        copies = Compared(np.array(["a", "a", "b", "b", "c"]), np.array([1, 1, 2, 3, 4]))
        assert copies.accepted(embeddings) == {"b": 1.0}


def test_a_shift_by_hand():
    """Means (2, 0), (4, 0), (2, 2), (4, 2): their mean is (3, 1), their variances 4/3 and 4/3, so by chance it would
    lie at a squared distance of 8/3 over 4 people; it lies at 10."""
    means = np.array([[2.0, 0], [4, 0], [2, 2], [4, 2]])
    assert shift_of(means) == pytest.approx(10 / (8 / 3 / 4))
    assert shift_of(means[:3]) == 0  # too few
    assert shift_of(np.ones((4, 2))) == 0  # one person four times


def test_people_round_the_origin_are_no_shift():
    found = [shift_of(np.random.default_rng(seed).normal(0, 1, (30, 128))) for seed in range(50)]
    assert np.mean(found) == pytest.approx(1, abs=0.05) and max(found) < adaptation.SHIFTED


def test_a_camera_s_own_direction_is_taken_off_and_more_people_are_told_apart():
    outputs, whose = people_of(40, 6)
    outputs = outputs + 12 * np.eye(16)[0]  # all photos of this camera look alike
    test, names = people_of(60, 6, seed=9)
    test = test + 12 * np.eye(16)[0]
    made = adapt(outputs, whose)
    assert made.mean_share == pytest.approx(1 - 1 / made.shift) and made.mean_share > 0.9
    assert made.shrinkage == pytest.approx(1 - adaptation.WHITENED * made.mean_share)
    compared = Compared(names)
    shipped, adapted = (np.mean(list(compared.accepted(e).values())) for e in (embeddings_of(test), made.embed(test)))
    assert adapted > shipped + 0.1


def test_what_is_known_already_stays_as_it_is():
    outputs, whose = people_of(40, 4, dimensions=32)
    made = adapt(outputs, whose)
    assert made.nothing and made.shift < adaptation.SHIFTED
    assert np.allclose(made.embed(outputs), embeddings_of(outputs))


def test_a_small_shift_of_many_people_is_none():
    """Its size counts, not that so many people make sure of it: mean .1 in each of 16 directions is .01 of tr(B)."""
    outputs, whose = people_of(2000, 1, between=1.0, within=0.01)
    made = adapt(outputs + 0.1, whose)
    assert made.shift > 10 * adaptation.SHIFTED and made.offset == pytest.approx(0.01, abs=0.005) and made.nothing
    assert adapt(outputs[:30] + 1.0, whose[:30]).offset == pytest.approx(1, abs=0.3)


def test_three_people_are_too_few():
    outputs, whose = people_of(3, 4)
    assert adapt(outputs + 100, whose).nothing


def test_with_one_photo_of_everybody_the_mean_alone_is_taken_off():
    outputs, whose = people_of(40, 1)
    outputs = np.concatenate([outputs, outputs + np.random.default_rng(0).normal(0, 0.1, outputs.shape)], 1)  # mirrored
    made = adapt(outputs + 12 * np.eye(16)[0], whose)
    assert not made.nothing and np.array_equal(made.matrix, np.eye(16)) and made.mean[0] == pytest.approx(12, abs=0.5)


def test_better_by_chance_is_not_better():
    rng = np.random.default_rng(0)
    old = {str(i): [float(x)] for i, x in enumerate(rng.random(50))}
    assert adaptation.gain({name: [x[0] + 0.1] for name, x in old.items()}, old, 0).sure
    assert not adaptation.gain({name: [x[0] + float(rng.normal(0, 0.2))] for name, x in old.items()}, old, 0).sure


def test_a_gain_has_an_interval_over_people():
    old = {str(i): [0.0] for i in range(40)}
    made = adaptation.gain({name: [0.2 * (i % 2)] for i, name in enumerate(old)}, old, 0)  # half of them gain .2
    assert made.mean == pytest.approx(0.1) and made.sure
    half = 1.96 * 0.1 / 40**0.5
    assert made.low == pytest.approx(0.1 - half, abs=0.01) and made.high == pytest.approx(0.1 + half, abs=0.01)
    undefined = adaptation.gain({}, {}, 0)
    assert np.isnan(undefined.mean) and not undefined.sure


def test_whole_people_are_drawn():
    whose = np.repeat(["a", "b", "c", "d"], [3, 3, 3, 3])
    kept = some_people(whose, 7, seed=0)
    assert kept.sum() == 6 and all(kept[whose == name].sum() in (0, 3) for name in "abcd")
    assert some_people(whose, 12, seed=0).all()


def test_to_undo_takes_more_than_to_choose():
    """Eight people of twelve are better by as much as four are worse: so in most resamples, but not in 99 of 100."""
    new = {str(person): [0.1 if person < 8 else -0.1] for person in range(12)}
    old = {name: [0.0] for name in new}
    assert adaptation.gain(new, old, 0, 0.8).sure and not adaptation.gain(new, old, 0, adaptation.SURE_TO_UNDO).sure
    assert adaptation.gain({name: [0.1] for name in new}, old, 0, adaptation.SURE_TO_UNDO).sure


@pytest.mark.parametrize("people", [12, 30])
def test_the_best_of_ten_epochs_flatters_no_more_than_one_does(people):
    """Runs of ten epochs, none of which is better: how often one of them seems so, with the correction and without."""
    rng, old = np.random.default_rng(0), {str(person): [0.0] for person in range(people)}
    corrected, plain = adaptation.sure_of_one_in(10), adaptation.sure_of_one_in(1)
    assert (plain, corrected) == (pytest.approx(adaptation.SURE), pytest.approx(0.99))
    seemed, runs = {corrected: 0, plain: 0}, 100
    for _ in range(runs):
        epochs = [{name: [x] for name, x in zip(old, row, strict=True)} for row in rng.normal(0, 0.1, (10, people))]
        for sure in seemed:
            seemed[sure] += any(adaptation.gain(new, old, 0, sure).sure for new in epochs)
    assert seemed[corrected] / runs < 0.18 < 0.5 < seemed[plain] / runs


def test_how_sure_is_by_the_t_test():
    gains = [0.3, -0.1, 0.2, 0.1, 0.4]  # mean .18, standard deviation .1924, so t = 2.092: one-sided p = .0523
    new, old = {str(i): [x] for i, x in enumerate(gains)}, {str(i): [0.0] for i in range(5)}
    assert adaptation.gain(new, old, 0, 0.947).sure and not adaptation.gain(new, old, 0, 0.949).sure
    assert not adaptation.gain({"one": [1.0]}, {"one": [0.0]}, 0).sure  # one person says nothing
