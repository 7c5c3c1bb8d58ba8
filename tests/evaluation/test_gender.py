import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from rows import assert_same, counts, figures

from facecom.evaluation import metrics, protocols
from facecom.evaluation.gender import identity_of


def gender_table(labels, conditions=None, second=None):
    names = [f"P{i}_0001" for i in range(len(labels))]
    table = pd.DataFrame({"photo": names, "gender": labels, "condition": conditions or ["clean"] * len(labels)})
    return table if second is None else table.assign(second_opinion=second)


def test_gender_is_scikit_learns():
    rng = np.random.default_rng(0)
    female = rng.random(300) < 0.3
    p_female = np.clip(0.35 * female + 0.65 * rng.random(300), 0, 1).round(2)
    table = gender_table(np.where(female, "female", "male"), list(rng.choice(["clean", "sunny"], 300)))
    rows = protocols.gender(table, p_female, 0.6)
    found, count = figures(rows), counts(rows)
    for condition in ("clean", "sunny", "all"):
        mine = (table["condition"] == condition).to_numpy() | (condition == "all")
        y, p = female[mine], p_female[mine]
        assert found[condition, "macro_f1"] == pytest.approx(sk.f1_score(y, p >= 0.6, average="macro"))
        assert found[condition, "balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(y, p >= 0.6))
        assert found[condition, "auc"] == pytest.approx(sk.roc_auc_score(y, p))
        assert found[condition, "ece"] == pytest.approx(metrics.ece(y, p))
        assert found[condition, "always_male"] == pytest.approx((~y).mean())
        assert count[condition, "accuracy female"] == y.sum()
        assert count[condition, "accuracy male"] + y.sum() == count[condition, "accuracy"] == mine.sum()
    low, high = next((r["low"], r["high"]) for r in rows if r["metric"] == "balanced_accuracy")
    assert low < found["clean", "balanced_accuracy"] < high


def test_gender_second_opinion_and_left_out_photos():
    table = gender_table(
        ["male", "male", "female", "female", "", "male"],
        second=["male", "female", "both", "male", "male", "male"],
    )
    rows = protocols.gender(table, [0.1, 0.9, 0.2, 0.8, 0.5, np.nan])
    found, count = figures(rows), counts(rows)
    assert count["clean", "accuracy"] == 4  # one without a label, one unreadable
    assert found["clean", "accuracy"] == 0.5
    assert found["clean", "accuracy second_opinion"] == 0.75  # the second turned right, `both` right anyway, one wrong
    assert found["clean", "accuracy gap"] == 0
    unsure = figures(protocols.gender(table, [0.1, 0.9, 0.2, 0.8, 0.5, np.nan], unsure=np.arange(6) == 0))
    assert (unsure["clean", "accuracy"], unsure["clean", "answered"]) == (0.25, 0.75)


def test_gender_copies_belong_to_their_person():
    """Ten copies of a photo are one person: the interval must not shrink with them."""
    labels = ["male", "female"] * 10
    p_female = np.where(np.arange(20) < 10, 0.1, 0.9)  # half of them right
    once, copied = gender_table(labels), pd.concat([gender_table(labels)] * 10)
    intervals = [
        [(r["low"], r["high"]) for r in protocols.gender(t, np.tile(p_female, n)) if r["metric"] == "accuracy"]
        for t, n in ((once, 1), (copied, 10))
    ]
    np.testing.assert_allclose(*intervals)


def test_gender_takes_the_identity_from_the_name_where_the_table_has_none():
    table = gender_table(["male", "female"] * 5)
    named = [f"P{i}" for i in range(10)]
    p_female = np.linspace(0.1, 0.9, 10)
    rows = protocols.gender(table, p_female)
    assert_same(protocols.gender(table.assign(identity=[np.nan] * 5 + named[5:]), p_female), rows)
    assert_same(protocols.gender(table.assign(identity=named), p_female), rows)


@pytest.mark.parametrize(
    "photo, identity", [("Ann_Lee_0001", "Ann_Lee"), ("Ann-12", "Ann"), ("Ann", "Ann"), ("0001", "0001")]
)
def test_identity_of_a_photo_name(photo, identity):
    assert identity_of(photo) == identity
