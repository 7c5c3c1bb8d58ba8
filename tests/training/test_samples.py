"""Views of crops, in batches."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from facecom.data.augmentation import eval_transform, train_transform
from facecom.errors import FacecomWarning
from facecom.training import samples
from facecom.training.samples import Samples, batches, evaluation_batches

HALF = (0.5,) * 3


def test_views_do_not_depend_on_the_number_of_processes():
    crops = np.random.default_rng(1).integers(0, 256, (6, 32, 32, 3), np.uint8)
    transforms = {"clean": train_transform(32, HALF, HALF), "eval": eval_transform(32, HALF, HALF)}
    rows = np.array([[0, 0], [1, 2], [3, 4], [5, 5], [2, 1]])
    which = ["clean"] * 5 + ["eval"]
    made = Samples(crops, transforms, which, rows, np.arange(10).reshape(5, 2), seed=3)
    alone, helped = (list(batches(made, 2, workers=workers)) for workers in (0, 2))
    assert len(alone) == 3 and [len(batch[2]) for batch in alone] == [2, 2, 1]
    for one, other in zip(alone, helped, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert alone[1][2].tolist() == [4, 6] and alone[1][3].tolist() == [5, 7]
    assert not torch.equal(*(view[0] for view in alone[0][:2]))  # both sides of a pair are views of their own
    assert torch.equal(*(view[1] for view in alone[1][:2]))  # row 3 is crop 5, which is not augmented
    assert len(list(batches(made, 2, whole=True))) == 2 and len(list(batches(made, 9, whole=True))) == 1


def test_evaluation_batches_keep_the_order():
    crops = [np.full((8, 8, 3), value, np.uint8) for value in (255, 0, 51)]
    found = torch.cat([x for (x,) in evaluation_batches(crops, eval_transform(8, HALF, HALF), 2)])
    assert torch.allclose(found[:, 0, 0, 0], torch.tensor([1.0, -1.0, -0.6]))


def test_as_many_workers_as_shared_memory_has_room_for(monkeypatch):
    monkeypatch.setattr(samples.os, "statvfs", lambda place: SimpleNamespace(f_bavail=1000, f_frsize=4096))
    monkeypatch.setattr(samples.os.path, "isdir", lambda place: True)
    assert (
        samples.usable_workers(0) == 0 and samples.usable_workers(4) == 4 and samples.usable_workers(4, 1_000_000) == 4
    )
    with pytest.warns(FacecomWarning, match="little shared memory .*: 2 worker processes in place of 4"):
        assert samples.usable_workers(4, 2_000_000) == 2
    with pytest.warns(FacecomWarning, match="no worker processes in place of 4"):
        assert samples.usable_workers(4, 5_000_000) == 0

    def none(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(samples.multiprocessing, "get_context", lambda: SimpleNamespace(Semaphore=none))
    with pytest.warns(FacecomWarning, match="no worker processes in place of 4"):
        assert samples.usable_workers(4) == 0


HANDED_ON = """
from multiprocessing import current_process, resource_sharer
from multiprocessing.connection import Client
from facecom.training.samples import start_worker
start_worker(0)
address, _ = resource_sharer.DupFd(0)._id
Client(address, authkey=current_process().authkey).close()
resource_sharer.stop()
raise ValueError("a real fault")
"""


def test_a_worker_whose_reader_has_ended_says_nothing_of_it():
    """What a worker hands on is read by the process that started it; other faults are still told."""
    done = subprocess.run([sys.executable, "-c", HANDED_ON], capture_output=True, text=True, timeout=60)
    assert done.stderr.count("Traceback") == 1 and done.stderr.endswith("ValueError: a real fault\n")
