"""Pairs and B-cubed against hand-counted groups."""

import numpy as np
import pytest

from facecom.evaluation.clustering import b_cubed, pairwise

# Two of Ann's three are together; the third lies with both of Bob's; Cy lies in no group.
TRUTH, FOUND = np.array(list("AAABBC")), np.array([1, 1, 2, 2, 2, 0])


def test_pairs_by_hand():
    # Together: 1 + 3 pairs, of which AA and BB are right. Of one person: 3 + 1 pairs.
    assert pairwise(TRUTH, FOUND) == (2 / 4, 2 / 4, 0.5)


def test_b_cubed_by_hand():
    precision = (1 + 1 + 1 / 3 + 2 / 3 + 2 / 3 + 1) / 6
    recall = (2 / 3 + 2 / 3 + 1 / 3 + 1 + 1 + 1) / 6
    found = b_cubed(TRUTH, FOUND)
    assert found == pytest.approx((precision, recall, 2 * precision * recall / (precision + recall)))


def test_numbers_of_groups_do_not_matter():
    assert b_cubed(TRUTH, np.array([7, 7, 3, 3, 3, 9])) == pytest.approx(b_cubed(TRUTH, FOUND))


def test_perfect_and_everybody_alone():
    assert b_cubed(TRUTH, np.array([1, 1, 1, 2, 2, 3])) == (1, 1, 1)
    assert pairwise(TRUTH, np.zeros(6, int)) == (1, 0, 0)
    assert pairwise(np.array(["A"]), np.array([1])) == (1, 1, 1)


def test_nobody_is_refused():
    with pytest.raises(ValueError, match="no faces"):
        b_cubed(np.array([], str), np.array([], int))
