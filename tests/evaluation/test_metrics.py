import numpy as np
import pytest
import sklearn.metrics as sk

from facecom.evaluation import metrics


@pytest.fixture
def scores():
    """Rounded to one decimal, so that there are many ties within and between the two."""
    rng = np.random.default_rng(3)
    return rng.normal(1, 1, 300).round(1), rng.normal(0, 1, 700).round(1)


def test_roc_and_auc_are_scikit_learns_with_ties(scores):
    genuine, impostor = scores
    labels = np.r_[np.ones(len(genuine)), np.zeros(len(impostor))]
    far, tar, thresholds = sk.roc_curve(labels, np.concatenate(scores), drop_intermediate=False)
    ours = metrics.roc(genuine, impostor)
    for mine, theirs in zip(ours, (far, tar, thresholds), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-12)
    assert metrics.auc(genuine, impostor) == pytest.approx(sk.roc_auc_score(labels, np.concatenate(scores)), abs=1e-12)


def test_auc_counts_a_tie_as_one_half():
    # 1 of 4 pairs is right, 1 wrong, 2 tied.
    assert metrics.auc([2, 1], [1, 2]) == 0.5
    assert metrics.auc([2, 2], [1, 2]) == 0.75
    assert metrics.auc([5, 5, 5], [5, 5]) == 0.5


@pytest.mark.parametrize(
    "far, tar, rejected",
    [
        (0.0, 0.25, 9),  # only 9.5 is above the strictest impostor
        (0.1, 0.5, 8),  # one impostor may pass
        (0.19, 0.5, 8),
        (0.2, 0.5, 7),  # 7 must be rejected: the genuine 7 goes with it
        (0.3, 1.0, 6),
    ],
)
def test_tar_at_far_by_hand(far, tar, rejected):
    found, threshold = metrics.tar_at_far([9.5, 8.5, 7, 6.5], np.arange(10), far)
    assert found == tar
    assert rejected < threshold < rejected + 1e-9


def test_tied_impostors_are_rejected_together():
    # Two of ten may pass, but three share the highest score: accepting one is accepting all.
    impostor = [5, 5, 5, 1, 1, 1, 1, 1, 1, 1]
    tar, threshold = metrics.tar_at_far([6, 5, 4], impostor, 0.2)
    assert tar == pytest.approx(1 / 3)
    assert threshold > 5
    assert metrics.tar_at_far([6, 5, 4], impostor, 0.3)[0] == 1


def test_the_highest_impostors_say_what_all_of_them_would():
    # Two of a hundred may pass: of the three highest, the third must not.
    assert metrics.tar_at_far([9.5, 8.5, 7], [10, 9, 8], 0.02, count=100) == pytest.approx((2 / 3, 8))
    assert metrics.tar_at_far([9.5, 8.5, 7], [10, 9, 8], 0.02) == pytest.approx((0, 10))


def test_allowed_share_survives_floating_point():
    impostor = np.arange(100)
    _, threshold = metrics.tar_at_far([1], impostor, 0.29)  # 0.29 * 100 is 28.999999999999996
    assert (impostor >= threshold).sum() == 29


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threshold_rejects_in_the_precision_of_the_scores(dtype):
    impostor = np.array([0.1, 0.2, 0.3, 0.7], dtype)
    _, threshold = metrics.tar_at_far(impostor, impostor, 0.25)
    assert (impostor >= threshold).sum() == 1
    assert (-impostor <= -threshold).sum() == 1


def test_everything_may_pass():
    assert metrics.tar_at_far([1, 2], [3, 4], 1.0) == (1.0, -np.inf)


def test_realised_far_never_exceeds_the_limit(scores):
    genuine, impostor = scores
    for far in (0.001, 0.01, 0.05, 0.5):
        tar, threshold = metrics.tar_at_far(genuine, impostor, far)
        assert (impostor >= threshold).mean() <= far
        assert tar == (genuine >= threshold).mean()
        assert metrics.tar_on_curve(*metrics.roc(genuine, impostor)[:2], far) == tar


def test_eer_by_hand():
    assert metrics.eer([3, 4], [1, 2]) == 0
    assert metrics.eer([1, 2], [3, 4]) == 1
    assert metrics.eer([4, 3, 3, 1], [2, 2, 0, 0]) == 0.25  # 3 is reached with FAR 0, FRR .25; then FAR rises to .5
    assert metrics.eer([7, 7], [7, 7, 7]) == 0.5  # one step from (0, 0) to (1, 1)


def test_undefined_is_nan():
    assert np.isnan(metrics.auc([], [1.0]))
    assert np.isnan(metrics.auc([1.0], []))
    assert np.isnan(metrics.eer([], [1.0]))
    assert np.isnan(metrics.eer([], []))
    assert np.isnan(metrics.auc([], []))
    assert np.isnan(metrics.eer([1.0], []))
    assert all(np.isnan(metrics.tar_at_far([1.0], [], 0.1)))
    tar, threshold = metrics.tar_at_far([], [1.0, 2.0], 0.5)
    assert np.isnan(tar) and 1 < threshold < 2
    assert np.isnan(metrics.rank_k(np.ones((2, 3)), np.zeros((2, 3), bool), 1))
    assert np.isnan(metrics.ece([], []))
    assert all(np.isnan(value) for value in metrics.classification([], [], []).values())


def test_figures_that_need_both_labels_are_undefined_with_one():
    figures = metrics.classification([1, 1, 1], [1, 1, 0], [0.9, 0.8, 0.1])
    assert figures["accuracy"] == figures["recall"] == pytest.approx(2 / 3)
    assert figures["precision"] == 1
    assert np.isnan([figures[name] for name in ("macro_f1", "balanced_accuracy", "auc", "specificity")]).all()
    assert np.isnan(metrics.classification([0, 0], [0, 1])["f1"])


def test_classification_is_scikit_learns():
    rng = np.random.default_rng(0)
    labels = rng.random(200) < 0.3
    probabilities = np.clip(labels * 0.3 + rng.random(200) * 0.7, 0, 1).round(2)
    predictions = probabilities >= 0.5
    figures = metrics.classification(labels, predictions, probabilities)
    expected = {
        "accuracy": sk.accuracy_score(labels, predictions),
        "precision": sk.precision_score(labels, predictions),
        "recall": sk.recall_score(labels, predictions),
        "f1": sk.f1_score(labels, predictions),
        "macro_f1": sk.f1_score(labels, predictions, average="macro"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predictions),
        "specificity": sk.recall_score(~labels, ~predictions),
        "auc": sk.roc_auc_score(labels, probabilities),
    }
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-12), name
    assert figures["answered"] == 1


def test_cannot_tell_is_never_right():
    labels = [1, 1, 1, 0, 0, 0]
    figures = metrics.classification(labels, [1, np.nan, 0, 0, np.nan, 1])
    assert figures["accuracy"] == pytest.approx(2 / 6)
    assert figures["precision"] == 1 / 2
    assert figures["recall"] == pytest.approx(1 / 3)
    assert figures["f1"] == pytest.approx(2 / 5)
    assert figures["answered"] == pytest.approx(4 / 6)
    assert metrics.classification(labels, [np.nan] * 6)["accuracy"] == 0


def test_ece_by_hand():
    # Bins of width .5. Low: mean .2, half are positive, error .3. High: mean .9, all positive, error .1.
    assert metrics.ece([0, 1, 1, 1], [0.1, 0.3, 0.9, 0.9], bins=2) == pytest.approx((2 * 0.3 + 2 * 0.1) / 4)
    assert metrics.ece([0, 1, 1], [0.0, 1.0, 1.0]) == 0
    assert metrics.ece([1, 0], [0.0, 1.0]) == 1


def test_ranks_by_hand():
    scores = np.array([[3, 2, 1], [3, 2, 1], [3, 3, 1], [1, 1, 1], [-np.inf, 2, 1], [-np.inf, 2, 1]], float)
    same = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]], bool)
    # Ties count against us; a photo left out (-inf) is no photo; a probe without one has no rank.
    np.testing.assert_array_equal(metrics.ranks(scores, same), [1, 3, 2, 3, np.nan, 2])
    assert metrics.rank_k(scores, same, 1) == 1 / 5
    assert metrics.rank_k(scores, same, 2) == 3 / 5
    assert metrics.rank_k(scores, same, 3) == 1


def test_macro_f1_is_scikit_learns_over_those_asked_for():
    rng = np.random.default_rng(1)
    truth, answer = rng.integers(0, 5, 60), rng.integers(0, 7, 60)  # 5 and 6 are answered, never asked for
    truth[truth == 3] = 2
    confusion = np.zeros((7, 7))
    np.add.at(confusion, (truth, answer), 1)
    expected = sk.f1_score(truth, answer, average="macro", labels=np.unique(truth), zero_division=0)
    assert metrics.macro_f1_of_confusion(confusion, np.ones((1, 7))) == pytest.approx([expected])
    assert np.isnan(metrics.macro_f1_of_confusion(np.zeros((2, 2)), np.ones((1, 2)))).all()


def test_macro_f1_of_repeated_identities():
    # Person 0 drawn twice: its copy has 3 of 4 right, and person 1's one mistake goes to either of them.
    confusion = np.array([[3, 1], [1, 1]])
    weights = np.array([[2.0, 1.0]])
    expected = (2 * 6 / (4 + 3 + 1) + 2 / (2 + 1 + 2)) / 3
    assert metrics.macro_f1_of_confusion(confusion, weights) == pytest.approx([expected])


def test_curves_of_resamples_are_the_curves_of_repeated_scores(scores):
    """The vectorised way against repeating every score as often as its identity was drawn."""
    genuine, impostor = scores
    rng = np.random.default_rng(0)
    whose = [rng.integers(0, 20, len(s)) for s in scores]
    levels = metrics.score_levels(genuine)
    counts = [metrics.level_counts(s, o, 20, levels) for s, o in zip(scores, whose, strict=True)]
    drawn = np.stack([np.ones(20, int), *rng.multinomial(20, [1 / 20] * 20, size=5)])
    tar, far = (metrics.curve(c, drawn.astype(float)) for c in counts)
    for row, weights in enumerate(drawn):
        repeated = [np.repeat(s, weights[o]) for s, o in zip(scores, whose, strict=True)]
        assert metrics.auc_on_curve(far, tar)[row] == pytest.approx(metrics.auc(*repeated), abs=1e-12)
        assert metrics.eer_on_curve(far, tar)[row] == pytest.approx(metrics.eer(*repeated), abs=1e-12)
        for limit in (0.001, 0.01, 0.1):
            assert metrics.tar_on_curve(far, tar, limit)[row] == metrics.tar_at_far(*repeated, limit)[0]


def test_counts_of_many_people_take_no_more_than_their_scores():
    """Dense, 100,000 people at 8,000 levels would be 12 GB."""
    scores, whose = np.array([2.0, 2.0, 3.5]), np.array([7, 7, 99_999])
    counts = metrics.level_counts(scores, whose, 100_000, np.arange(8000.0))
    assert counts.nnz == 2 and counts[7, 5] == 2 and counts[99_999, 8] == 1


def test_thinned_levels_keep_the_ends(monkeypatch):
    monkeypatch.setattr(metrics, "MAX_LEVELS", 4)
    np.testing.assert_array_equal(metrics.score_levels(np.array([5, 1, 2, 3, 4, 6, 7, 5])), [1, 3, 5, 7])


def test_bootstrap_resamples_identities_not_photos():
    """10 people, half of them always right, with 1 or 100 photos each: the interval is that of 10 draws."""
    right = np.tile([0.0, 1.0], 5)
    for photos in (1, 100):

        def statistic(weights, photos=photos):
            return {"accuracy": weights @ (right * photos) / (weights.sum(1) * photos)}

        value, low, high = metrics.bootstrap(10, statistic)["accuracy"]
        assert value == 0.5
        assert (low, high) == pytest.approx((0.2, 0.8))  # the 2.5 % points of Binomial(10, .5) / 10


def test_bootstrap_is_seeded_and_skips_undefined_resamples():
    def statistic(weights):
        return {"first": metrics.share(weights[:, 0], weights[:, 0]), "never": np.full(len(weights), np.nan)}

    found = metrics.bootstrap(5, statistic, seed=1)
    assert found["first"] == (1, 1, 1)  # undefined where the first person was not drawn
    assert np.isnan(found["never"]).all()

    def mean(weights):
        return {"mean": weights @ np.arange(5) / 5}

    assert metrics.bootstrap(5, mean, seed=1) == metrics.bootstrap(5, mean, seed=1)
    assert metrics.bootstrap(5, mean, seed=1) != metrics.bootstrap(5, mean, seed=2)
    assert np.isnan(metrics.bootstrap(5, mean, resamples=0)["mean"][1:]).all()
    assert np.isnan(metrics.bootstrap(0, mean_of_nobody)["mean"]).all()


def mean_of_nobody(weights):
    return {"mean": metrics.share(weights.sum(1), weights.sum(1))}
