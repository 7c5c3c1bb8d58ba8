"""The processes that `torchrun` has started for one training, and how it ends when one of them does."""

import contextlib
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import distributed

from facecom.errors import FacecomError, FacecomWarning
from facecom.signals import Terminated

#: What is said when another process is gone.
DEAD = (
    "a process of this training has ended early (killed, or out of memory?), so all of them stop: start it again with "
    "--resume to go on after the last whole epoch"
)


def size() -> int:
    """How many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def first() -> bool:
    """Whether this process is the one that writes and prints."""
    return rank() == 0


def for_objects():
    """The group that moves what lies in memory, not on a GPU."""
    return _objects[0] if _objects else None


_objects: list = []


@contextlib.contextmanager
def joined(device: str) -> Iterator[None]:
    """As one of the processes of `torchrun`; without it nothing happens.

    device: as `--device` says; on CUDA each process of a machine takes a device of its own. Of what goes wrong one
    process tells, the first to know; the others leave in silence, with exit code 2. Raises FacecomError, and where
    another process is gone, too.
    """
    if "RANK" not in os.environ:
        yield
        return
    store = _begin(device)
    silence = contextlib.ExitStack()
    if not first():
        silence.enter_context(contextlib.redirect_stdout(silence.enter_context(open(os.devnull, "w"))))
        silence.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", FacecomWarning)
    try:
        with silence:
            yield
        distributed.barrier(for_objects())
    except FacecomError as error:
        where = "" if first() else f"process {rank()}: "
        _end(store, FacecomError(f"{where}{error}"))
    except Terminated:
        _end(store, FacecomError(DEAD))
    except RuntimeError as error:
        if not _is_of_others(error):
            raise
        _end(store, FacecomError(DEAD))
    _objects.clear()
    distributed.destroy_process_group()


def _begin(device: str) -> distributed.Store:
    on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    local = int(os.environ.get("LOCAL_RANK", 0))
    if on_cuda and local >= torch.cuda.device_count():
        raise FacecomError(
            f"{torch.cuda.device_count()} CUDA devices for {os.environ.get('LOCAL_WORLD_SIZE')} processes: start "
            "torchrun with --nproc_per_node=gpu, or give --device cpu"
        )
    if on_cuda:
        torch.cuda.set_device(local)
    try:
        store, number, count = next(iter(distributed.rendezvous("env://")))
        distributed.init_process_group(
            "nccl" if on_cuda else "gloo", store=distributed.PrefixStore("group", store), rank=number, world_size=count
        )
        _objects[:] = [distributed.new_group(backend="gloo")]
    except (RuntimeError, ValueError) as error:
        raise FacecomError(f"the processes do not find each other: {str(error).splitlines()[0]}") from error
    return distributed.PrefixStore("facecom", store)


def _end(store: distributed.Store, error: FacecomError) -> None:
    """Raises the error where nobody has told of one yet, and leaves where somebody has."""
    try:
        earlier = store.add("told", 1) - 1
    except RuntimeError:  # with the first process of all the store is gone
        earlier = 0
    if earlier:
        raise SystemExit(2)
    raise error from None


def _is_of_others(error: RuntimeError) -> bool:
    """Whether it says that another process did not answer."""
    text = str(error).lower()
    return isinstance(error, distributed.DistError) or any(
        word in text for word in ("gloo", "nccl", "connection closed by peer", "connection reset", "broken pipe")
    )


def from_first(value: Any | Callable[[], Any]) -> Any:
    """The first process's value on all of them. value: it, or what makes it, which is called there alone."""
    if size() == 1:
        return value() if callable(value) else value
    told = [None]
    if first():
        told = [value() if callable(value) else value]
    distributed.broadcast_object_list(told, src=0, group=for_objects())
    return told[0]
