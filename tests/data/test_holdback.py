import pandas as pd
import pytest

from facecom.data import holdback
from facecom.errors import FacecomError


def people(count, photos_each=2):
    names = [f"P{i:03d}" for i in range(count) for _ in range(photos_each)]
    return pd.DataFrame({"identity": names, "file": range(len(names))})


def test_hold_back_takes_whole_identities_about_the_share():
    train, held = holdback.hold_back(people(1000), share=0.1, seed=0)
    assert not set(train["identity"]) & set(held["identity"])
    assert sorted([*train["file"], *held["file"]]) == list(range(2000))
    assert 70 < held["identity"].nunique() < 130
    again = holdback.hold_back(people(1000), share=0.1, seed=0)[1]
    pd.testing.assert_frame_equal(held, again)
    assert set(holdback.hold_back(people(1000), seed=1)[1]["identity"]) != set(held["identity"])


def test_hold_back_keeps_families_together():
    table = people(300)
    families = table["identity"].str[:3]
    train, held = holdback.hold_back(table, share=0.3, groups=families)
    assert len(held) and not set(train["identity"].str[:3]) & set(held["identity"].str[:3])


@pytest.mark.parametrize(("count", "fewest", "most"), [(3, 1, 1), (4, 2, 2), (8, 2, 6)])
@pytest.mark.parametrize("seed", range(8))
def test_hold_back_leaves_impostors_on_both_sides_of_small_sets(count, fewest, most, seed):
    _, held = holdback.hold_back(people(count), share=0.1, seed=seed)
    assert fewest <= held["identity"].nunique() <= most


def test_hold_back_of_nobody_and_of_too_few():
    train, held = holdback.hold_back(people(2), share=0)
    assert len(train) == 4 and len(held) == 0
    with pytest.raises(FacecomError, match="photos of 2 people are not enough"):
        holdback.hold_back(people(2), share=0.1)


@pytest.mark.parametrize(
    "people, held",
    [(4, 2), (10, 5), (24, 12), (40, 12), (60, 12), (100, 20), (599, 119.8), (600, 60), (788, 78.8)],
)
def test_enough_people_judge(people, held):
    """A fifth and never fewer than 12, but no more than half; of many a tenth."""
    assert holdback.enough_share(people) * people == pytest.approx(held)


def test_hold_back_holds_just_the_share_back_where_it_is_asked_to():
    """Whatever the names hash to: 12 of 30, though all of these would be held back at a share of 0.05."""
    names = [name for name in map(str, range(5000)) if holdback.is_held_back(name, 0.05)][:30]
    table = pd.DataFrame({"identity": names})
    assert len(holdback.hold_back(table, 0.4)[1]) == 28
    assert len(holdback.hold_back(table, 0.4, exact=True)[1]) == 12
