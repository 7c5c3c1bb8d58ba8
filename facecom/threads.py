"""Parts of one work, by several threads beside each other."""

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Part], Result], parts: Iterable[Part], threads: int) -> Iterator[Result]:
    """`map(work, parts)`, in their order. No more than two parts a thread are begun or wait to be taken, so memory does
    not grow with their number, and no thread waits for a slower one.

    Each thread computes with its share of PyTorch's threads: two batches beside each other are done sooner than two
    after each other by two cores, which wait for one another at every layer and idle between them. threads: 0 and 1
    work in the thread that asks. What `work` raises is raised here.
    """
    if threads <= 1:
        yield from map(work, parts)
        return
    rest = iter(parts)
    with _shared_out(threads) as begin:
        pool = ThreadPoolExecutor(threads, "facecom", initializer=begin)
        try:
            waiting = deque(pool.submit(work, part) for part in islice(rest, 2 * threads))
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(work, part) for part in islice(rest, 1))
                yield result
        finally:
            pool.shutdown(cancel_futures=True)


_lock = threading.Lock()
_users, _whole = 0, 1


@contextmanager
def _shared_out(threads: int) -> Iterator[Callable[[], None]]:
    """What a thread begins with. PyTorch's number of threads is one for the process: it goes back to what it was when
    the last of several users has ended."""
    global _users, _whole
    torch = sys.modules.get("torch")  # who has not imported it computes without it
    if torch is None:
        yield lambda: None
        return
    with _lock:
        if not _users:
            _whole = torch.get_num_threads()
        _users += 1
        share = max(1, _whole // threads)
    try:
        yield lambda: torch.set_num_threads(share)
    finally:
        with _lock:
            _users -= 1
            if not _users:
                torch.set_num_threads(_whole)
