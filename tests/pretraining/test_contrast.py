"""Which of many views is of the same person: InfoNCE, what sources have in common, what is remembered."""

import math

import pytest
import torch

from pretraining.contrast import ENOUGH, Remembered, contrast, in_common

SAME = torch.zeros(2, dtype=torch.int64)


def test_infonce_on_a_hand_listed_case():
    """Two people, cosines [[1, .6], [.6, 1]] at temperature .5: each way log(1 + exp((.6 - 1) / .5))."""
    one = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    assert float(contrast(one, one, 0.5, SAME)) == pytest.approx(math.log1p(math.exp(-0.8)), abs=1e-6)


def test_infonce_is_the_mean_of_both_ways():
    one, other = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6], [1.0, 0.0]])
    there = [math.log1p(math.exp(1.0 - 0.8)), math.log1p(math.exp(0.6 - 0.0))]  # rows: [.8, 1], [.6, 0]
    back = [math.log1p(math.exp(0.6 - 0.8)), math.log1p(math.exp(1.0 - 0.0))]  # columns
    assert float(contrast(one, other, 1.0, SAME)) == pytest.approx(sum(there + back) / 4, abs=1e-6)


def test_strangers_are_of_ones_own_source():
    one, other = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6], [1.0, 0.0]])
    assert float(contrast(one, other, 1.0, torch.tensor([4, 5]))) == 0


def test_what_a_source_has_in_common_is_the_length_of_its_mean():
    """Of two orthogonal rows it is 1 / 2, of two opposite ones nothing; of few rows nobody knows."""
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]]).repeat(ENOUGH, 1)
    source = torch.tensor([0, 0, 1, 1]).repeat(ENOUGH)
    assert float(in_common(rows, source)) == pytest.approx(0.5)
    assert float(in_common(rows[:8], source[:8])) == 0


ROWS, KEYS = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.8, 0.6], [0.6, 0.8]])


def remembered(size: int = 100) -> Remembered:
    """Persons 0 to 2 are of one source, 3 of another."""
    return Remembered(torch.tensor([0, 0, 0, 1]), size, temperature=0.5)


def softmax_loss(own: float, others: list[float]) -> float:
    return math.log(sum(math.exp((cosine - own) / 0.5) for cosine in [own, *others]))


def test_without_memory_strangers_are_the_batch():
    found = remembered()(ROWS, KEYS, torch.tensor([0, 1]))
    assert float(found) == pytest.approx(softmax_loss(0.8, [0.6]), abs=1e-6)
    assert float(remembered()(ROWS, KEYS, torch.tensor([0, 3]))) == 0, "of two sources"


def test_keys_of_batches_before_are_strangers_but_oneself_and_other_sources():
    memory = remembered()
    before = torch.tensor([[0.0, 1.0], [0.6, -0.8], [1.0, 0.0]])
    memory(before, before, torch.tensor([2, 3, 0]))
    found = memory(ROWS, KEYS, torch.tensor([0, 1]))
    first, second = softmax_loss(0.8, [0.6, 0.0]), softmax_loss(0.8, [0.6, 1.0, 0.0])
    assert float(found) == pytest.approx((first + second) / 2, abs=1e-6)


def test_nobody_knows_who_it_is():
    memory = remembered()
    rows = ROWS.clone().requires_grad_()
    memory(rows, KEYS, torch.tensor([-1, -1])).backward()
    assert float(rows.grad.abs().sum()) == 0 and len(memory.people) == 0
    assert float(memory(ROWS, KEYS, torch.tensor([-1, 1]))) == 0, "no strangers: unknown ones may be oneself"
    assert memory.people.tolist() == [1] and memory.keys.tolist() == [pytest.approx([0.6, 0.8])]


def test_the_latest_keys_are_remembered():
    memory = remembered(size=3)
    for who in ([0, 1], [2, 0], [1, 2]):
        memory(ROWS, KEYS, torch.tensor(who))
    assert memory.people.tolist() == [1, 2, 2]
    torch.testing.assert_close(memory.keys, torch.stack([KEYS[0], KEYS[1], KEYS[0]]))
