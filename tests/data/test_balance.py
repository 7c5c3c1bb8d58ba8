import numpy as np
import pandas as pd
import pytest

from facecom.data.balance import draw_epoch, settle


def table(male, female, source=None):
    frame = pd.DataFrame({"gender": ["male"] * male + ["female"] * female})
    return frame if source is None else frame.assign(source=source)


@pytest.mark.parametrize("male, female, expected", [(60, 40, "none"), (40, 60, "none"), (61, 39, "weighted")])
def test_auto_looks_at_the_counts_and_says_so(male, female, expected):
    found, said = settle("auto", table(male, female))
    assert found == expected
    assert f"{male} photos of men, {female} of women" in said
    assert said.endswith("nothing is done" if expected == "none" else "the rarer its gender")


def test_what_is_asked_for_is_done():
    assert settle("undersample", table(60, 40)) == (
        "undersample", "balance: 60 photos of men, 40 of women: 40 of each are drawn"
    )  # fmt: skip
    assert settle("none", table(99, 1))[0] == "none"


def test_undersampling_draws_as_many_of_each():
    frame = table(30, 10)
    rows, weight = draw_epoch(frame, "undersample", seed=1)
    assert len(rows) == 20 == len(set(rows)) and (weight == 1).all()
    assert (frame["gender"].to_numpy()[rows] == "female").sum() == 10
    others = draw_epoch(frame, "undersample", seed=2)[0]
    assert set(rows) != set(others) and set(range(30, 40)) <= set(rows)


def test_weights_make_both_count_the_same():
    rows, weight = draw_epoch(table(30, 10), "weighted", seed=1)
    assert sorted(rows) == list(range(40))
    assert weight[rows < 30].sum() == pytest.approx(20) == weight[rows >= 30].sum()
    assert weight.mean() == pytest.approx(1)


def test_one_gender_alone_is_left_as_it_is():
    for balance in ("undersample", "weighted"):
        rows, weight = draw_epoch(table(5, 0), balance, seed=0)
        assert len(rows) == 5 and (weight == 1).all()


def test_a_large_source_does_not_drown_a_small_one():
    frame = pd.concat([table(50, 50, "small"), table(5000, 5000, "large")], ignore_index=True)
    rows, _ = draw_epoch(frame, "none", seed=0)
    small = rows < 100
    assert len(rows) == 10100 and small.sum() == round(10100 / 11)  # roots 10 and 100
    times = np.bincount(rows[small], minlength=100)
    assert times.min() == 9 and times.max() == 10  # none before all others had their turn


def test_both_genders_count_the_same_in_each_source():
    frame = pd.concat([table(30, 10, "a"), table(10, 30, "b"), table(7, 0, "c")], ignore_index=True)
    balance, said = settle("auto", frame)
    assert (
        balance == "weighted" and "47 photos of men, 40 of women, fewer than 40% are of the rarer gender in c" in said
    )
    assert settle("auto", frame[:80])[1].count("in a:") == 1  # none is rarer in the sum
    rows, weight = draw_epoch(frame, balance, seed=0)
    for name in "abc":
        mine = frame["source"].to_numpy()[rows] == name
        female = frame["gender"].to_numpy()[rows] == "female"
        assert weight[mine].mean() == pytest.approx(1)
        if name != "c":
            assert weight[mine & female].sum() == pytest.approx(weight[mine & ~female].sum())
