import threading
import time

import pytest
import torch

from facecom.threads import side_by_side


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_results_come_in_the_order_of_the_parts(threads):
    def work(part):
        time.sleep(0.002 * (7 - part % 7))  # later ones are done sooner
        return part**2

    assert list(side_by_side(work, iter(range(20)), threads)) == [part**2 for part in range(20)]
    assert list(side_by_side(work, [], threads)) == []


def test_two_parts_are_worked_on_at_once():
    """Each waits for the other: alone it would wait for ever."""
    both = threading.Barrier(2, timeout=20)
    assert len(list(side_by_side(lambda part: both.wait(), range(6), 2))) == 6


def test_one_thread_or_none_is_the_one_that_asks():
    for threads in (0, 1):
        assert set(side_by_side(lambda part: threading.get_ident(), range(3), threads)) == {threading.get_ident()}
    assert threading.get_ident() not in set(side_by_side(lambda part: threading.get_ident(), range(3), 2))


def test_no_more_than_two_parts_a_thread_are_begun_before_a_result_is_taken():
    begun = []
    results = side_by_side(begun.append, range(100), 2)
    for taken in range(1, 6):
        next(results)
        time.sleep(0.01)
        assert len(begun) <= taken + 4
    results.close()
    assert len(begun) <= 9
    assert not any(thread.name.startswith("facecom") for thread in threading.enumerate())


def test_a_thread_works_on_while_another_takes_longer():
    done = threading.Event()

    def work(part):
        if part == 3:
            done.set()
        assert part or done.wait(20)  # the first ends after the fourth
        return part

    assert list(side_by_side(work, range(8), 2)) == list(range(8))


def test_what_work_raises_is_raised_at_its_place():
    def work(part):
        return 1 // (3 - part)

    results = side_by_side(work, range(10), 2)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert not any(thread.name.startswith("facecom") for thread in threading.enumerate())


@pytest.fixture
def four():
    """PyTorch with four threads, and as it was before."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def threads_of_a_new_thread():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.parametrize("threads, share", [(2, 2), (4, 1), (8, 1), (1, 4)])
def test_the_threads_share_pytorchs(four, threads, share):
    assert set(side_by_side(lambda part: torch.get_num_threads(), range(9), threads)) == {share}
    assert torch.get_num_threads() == threads_of_a_new_thread() == 4


def test_pytorch_has_its_threads_again_when_the_last_of_several_users_ends(four):
    """Two users, of whom the first to begin ends first: the second still shares, then all is as it was."""
    first, second = (side_by_side(lambda part: torch.get_num_threads(), range(9), 2) for _ in range(2))
    assert (next(first), next(second)) == (2, 2)
    first.close()
    assert set(second) == {2}
    assert torch.get_num_threads() == threads_of_a_new_thread() == 4
