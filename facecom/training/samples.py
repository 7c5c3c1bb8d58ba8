"""Augmented views of crops for training, which depend on seeds alone."""

import math
import multiprocessing
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import albumentations as A
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from facecom.data.augmentation import derived_seed, reseed
from facecom.errors import FacecomWarning

#: Where Linux keeps what processes share.
SHARED = "/dev/shm"

#: Batches that a worker process has in shared memory at a time: two that wait, and one in use.
BATCHES_AHEAD = 3


class Samples(Dataset):
    """Samples of an epoch, each of one or more views of crops and of numbers that belong to them.

    crops: RGB uint8 crops by position; transforms: by name, and which: the transform's name for each crop;
    rows: int [N, V], the crops of each sample; numbers: float32 [N, M], such as labels; seed: with the sample's and
    the view's position it decides the augmentation, so it is the same however many processes draw the samples.
    """

    def __init__(
        self,
        crops: Sequence[np.ndarray],
        transforms: dict[str, A.Compose],
        which: Sequence[str],
        rows: np.ndarray,
        numbers: np.ndarray | None = None,
        seed: int = 0,
    ):
        self.crops, self.transforms, self.which, self.rows, self.seed = crops, transforms, which, rows, seed
        self.numbers = np.zeros((len(rows), 0), np.float32) if numbers is None else numbers.astype(np.float32)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple:
        """(float32 [3, S, S] a view, ..., float32 number, ...)."""
        views = []
        for side, row in enumerate(self.rows[index]):
            transform = self.transforms[self.which[row]]
            reseed(transform, derived_seed(self.seed, index, side))
            views.append(transform(image=self.crops[row])["image"])
        return (*views, *self.numbers[index])


def batches(
    samples: Samples, batch_size: int, *, workers: int = 0, device: torch.device | None = None, whole: bool = False
) -> DataLoader:
    """Batches of samples in their order. whole: leave out a smaller last batch, unless it is the only one."""
    # Only forked processes share the crops; elsewhere they would be copied into each process every epoch.
    views = samples.rows.shape[1] * 3 * math.prod(samples.crops[0].shape[:2]) if len(samples) else 0
    workers = usable_workers(workers, BATCHES_AHEAD * 4 * views * batch_size) if sys.platform == "linux" else 0
    return DataLoader(
        samples,
        batch_size,
        num_workers=workers,
        drop_last=whole and len(samples) > batch_size,
        pin_memory=device is not None and device.type == "cuda",
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=start_worker,
    )


def evaluation_batches(
    crops: Sequence[np.ndarray], transform: A.Compose, batch_size: int = 128, *, workers: int = 0, device=None
) -> DataLoader:
    """Batches (float32 [B, 3, S, S],) of all crops in their order, as they are."""
    samples = Samples(crops, {"eval": transform}, ["eval"] * len(crops), np.arange(len(crops))[:, None])
    return batches(samples, batch_size, workers=workers, device=device)


def start_worker(_: int) -> None:
    """What a worker process does first (`worker_init_fn`): it decodes with one thread, and where its reader ends in the
    middle of a batch it has nothing to say: the thread that hands batches on would print the broken connection."""
    import cv2

    cv2.setNumThreads(0)
    sys.excepthook = _unless_hung_up


def _unless_hung_up(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if not issubclass(kind, (OSError, EOFError)):
        sys.__excepthook__(kind, error, trace)


def usable_workers(workers: int, each: int = 0) -> int:
    """As many worker processes as asked for, or as few as the machine's shared memory has room for, with a warning: in
    containers it may be small or missing. each: bytes that one of them shares."""
    if not workers:
        return 0
    try:
        multiprocessing.get_context().Semaphore()
        memory = os.statvfs(SHARED) if each and os.path.isdir(SHARED) else None
        free = memory.f_bavail * memory.f_frsize if memory else math.inf
    except (OSError, ImportError):
        free, each = 0, 1
    fit = workers if workers * each <= free else int(free // each)
    if fit < workers:
        text = (
            f"little shared memory ({SHARED}): {fit or 'no'} worker processes in place of {workers}, so it takes longer"
        )
        warnings.warn(text, FacecomWarning, stacklevel=2)
    return fit
