"""How many pairs of two people pass, by hand; and when it is said."""

import warnings

import numpy as np
import pytest

from facecom.errors import FacecomWarning
from facecom.inference import strangers
from facecom.inference.strangers import Passing, passing, warn_of
from facecom.inference.templates import Templates


def at(*degrees):
    """Unit vectors in the plane: between those at a and b lies 2 sin((a - b) / 2)."""
    angles = np.deg2rad(np.array(degrees, float))
    return np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)


def test_pairs_of_two_people_are_counted_once():
    """Ann at 0 and 10 degrees, Bob at 20, Carl at 90: up to .36 (20.7 degrees) Bob is near both of Ann's photos."""
    found = passing(at(0, 10, 20, 90), np.array(["Ann", "Ann", "Bob", "Carl"]), 0.36)
    assert found == Passing(passing=2, pairs=5, people=1) and found.rate == 0.4
    assert passing(at(0, 10, 20, 90), np.array(["Ann", "Ann", "Bob", "Carl"]), 2.0).people == 3


def test_faces_that_cannot_be_read_do_not_count():
    faces = at(0, 5, 10)
    faces[1] = np.nan
    assert passing(faces, np.array(["a", "b", "c"]), 0.5) == Passing(1, 1, 1)
    told = Templates(at(0, 5, 10), None, np.array([True, True, False]))
    assert passing(told, np.array(["a", "b", "c"]), 0.5) == Passing(1, 1, 1)
    assert np.isnan(passing(at(0, 5), np.array(["a", "a"]), 0.5).rate)


def test_a_threshold_of_ones_own_keeps_to_the_promise():
    rng = np.random.default_rng(0)
    faces = rng.normal(size=(60, 8)).astype(np.float32)
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    people = np.arange(60) // 2
    found = passing(faces, people, 1.2, far=0.01)
    assert found.pairs == 60 * 59 // 2 - 30
    within = passing(faces, people, found.holds_at - 1e-4)
    assert within.passing == int(0.01 * found.pairs) and passing(faces, people, found.holds_at).rate > 0.01
    assert passing(faces, people, 1.2, far=0.001).holds_at is None, "of one or two pairs nobody knows a rate"


def test_of_many_photos_some_are_drawn(monkeypatch):
    monkeypatch.setattr(strangers, "MOST", 10)
    found = passing(at(*range(100)), np.arange(100), 0.01)
    assert found.pairs == 45 and found.passing == 0


@pytest.mark.parametrize(
    ("found", "far", "said"),
    [
        (Passing(40, 10_000, 12), 1e-3, "40 pass, 4 in 1,000 where 1 is promised"),
        (Passing(40, 10_000, 12, 0.91287), 1e-3, "or --threshold 0.912 keeps to it"),
        (Passing(25, 10_000, 12), 1e-3, None),  # 2.5 times as many: nobody knows
        (Passing(400, 10_000, 1), 1e-3, None),  # one person under two names
        (Passing(400, 10_000, 12), None, None),  # nothing is promised
        (Passing(0, 0, 0), 1e-3, None),
    ],
)
def test_it_is_said_where_clearly_more_pass_than_is_promised(found, far, said):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of(found, far)
    assert [said in str(one.message) and one.category is FacecomWarning for one in caught] == [True] * (
        said is not None
    )
