"""Photos as training sees them: aligned crops, found once, and augmented views of them that depend on seeds alone."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import albumentations as A
import cv2
import numpy as np
import pandas as pd
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset
from tqdm import tqdm

from facecom.conditions import DISTORTIONS, distort
from facecom.errors import FacecomError
from facecom.faces import Aligner, align
from facecom.impulses import without_impulses
from facecom.jpeg import through_jpeg
from facecom.photos import read_photo
from facecom.sizes import LONGEST_SIDE, longest_side, shrink
from facecom.transforms import reseed

#: Crops that take more bytes than this stay on the disk and are cut again whenever they are needed.
IN_MEMORY = 2 * 2**30

#: Photos that are decoded and searched for faces at a time.
CHUNK = 64


class Crops(Sequence):
    """Aligned crops, RGB uint8 [size, size, 3], from memory or cut from the photo each time.

    photos: a path, or an encoded photo's bytes, for each; landmarks: float32 [N, 5, 2], pixels, NaN where `fallback`
    (an aligner that needs no landmarks, for the same size and frame) cuts; array: uint8 [N, size, size, 3] or None;
    longest: see `open_photo`.
    """

    def __init__(
        self,
        photos: Sequence,
        landmarks: np.ndarray,
        fallback: Aligner,
        array: np.ndarray | None = None,
        longest: int = LONGEST_SIDE,
    ):
        self.photos, self.landmarks, self.fallback, self.array = list(photos), landmarks, fallback, array
        self.longest = longest

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> np.ndarray:
        if self.array is not None:
            return self.array[index]
        photo = open_photo(self.photos[index], self.longest)
        if not np.isfinite(self.landmarks[index]).all():
            return self.fallback([photo]).crops[0]
        if self.fallback.mode != "off":  # as every aligner but that one does
            photo = without_impulses(photo)
        return align(photo, self.landmarks[index], self.fallback.size, self.fallback.template)


def open_photo(photo: str | bytes, longest: int = LONGEST_SIDE) -> np.ndarray:
    """RGB uint8 [H, W, 3] of a path, scaled down to this longest side as in testing, or of an encoded photo's bytes, as
    it is: its landmarks may be known. Raises FacecomError."""
    if not isinstance(photo, bytes):
        return shrink(read_photo(photo), longest)
    decoded = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise FacecomError("a photo in a table is damaged")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def load_crops(
    table: pd.DataFrame, aligner: Aligner, *, workers: int = 2, quiet: bool = False, name: str = "photos"
) -> tuple[pd.DataFrame, Crops]:
    """Find and cut the face of every photo of a table, once. Returns the rows that could be read, and their crops.

    table: a column `path` (or `image`, encoded bytes). Says how many files could not be read, and why the first ones.
    Raises FacecomError when none could.
    """
    photos = table["image" if "image" in table else "path"].tolist()
    keep_all = len(photos) * 3 * aligner.size**2 <= IN_MEMORY
    longest = longest_side(aligner.mode)
    found, landmarks, crops, failures = [], [], [], []
    bar = tqdm(total=len(photos), desc=f"faces of {name}", unit="photo", disable=quiet or None, leave=False)
    with ThreadPoolExecutor(max(1, workers)) as threads, bar:
        for start in range(0, len(photos), CHUNK):
            opened = list(threads.map(partial(_attempt, longest=longest), photos[start : start + CHUNK]))
            failures += [str(one) for one in opened if isinstance(one, FacecomError)]
            good = [i for i, one in enumerate(opened) if not isinstance(one, FacecomError)]
            if good:
                aligned = aligner([opened[i] for i in good])
                found += [start + i for i in good]
                landmarks.append(aligned.landmarks)
                crops += [aligned.crops] if keep_all else []
            bar.update(len(opened))
    if failures:
        more = f" and {len(failures) - 3} more" if len(failures) > 3 else ""
        print(f"{len(failures)} of {len(photos)} files left out: {'; '.join(failures[:3])}{more}")
    if not found:
        raise FacecomError(f"none of the {name} could be read: {failures[0] if failures else 'there are none'}")
    fallback = Aligner("off" if aligner.mode == "off" else "fixed", aligner.size, frame=aligner.frame)
    array = np.concatenate(crops) if keep_all else None
    kept = Crops([photos[i] for i in found], np.concatenate(landmarks), fallback, array, longest)
    return table.iloc[found].reset_index(drop=True), kept


def _attempt(photo: str | bytes, longest: int) -> np.ndarray | FacecomError:
    try:
        return open_photo(photo, longest)
    except FacecomError as error:
        return error


def with_copies(table: pd.DataFrame, crops: Sequence[np.ndarray], scale: float | None, seed: int = 0):
    """Table and crops, and behind them a simulated copy of each clean crop, the seven distortions in turn, as it comes
    out of a JPEG file.

    For judging bad conditions where a data set has no distorted copies of its own. scale: see `conditions.distort`.
    """
    clean = np.flatnonzero(table["condition"] == "clean")
    conditions = [DISTORTIONS[i % len(DISTORTIONS)] for i in range(len(clean))]
    copies = [
        through_jpeg(distort(crops[row], condition, 3, derived_seed(seed, int(row)), scale))
        for row, condition in zip(clean, conditions, strict=True)
    ]
    copied = table.iloc[clean].assign(condition=conditions)
    return pd.concat([table, copied], ignore_index=True), ConcatDataset([crops, copies])


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


def derived_seed(*parts: int) -> int:
    """One 32-bit seed from several numbers (seed, epoch, position ...), unlike for unlike numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])


def batches(
    samples: Samples, batch_size: int, *, workers: int = 0, device: torch.device | None = None, whole: bool = False
) -> DataLoader:
    """Batches of samples in their order. whole: leave out a smaller last batch, unless it is the only one."""
    # Only forked processes share the crops; elsewhere they would be copied into each process every epoch.
    workers = workers if sys.platform == "linux" else 0
    return DataLoader(
        samples,
        batch_size,
        num_workers=workers,
        drop_last=whole and len(samples) > batch_size,
        pin_memory=device is not None and device.type == "cuda",
        multiprocessing_context="fork" if workers else None,
        worker_init_fn=_one_thread,
    )


def evaluation_batches(
    crops: Sequence[np.ndarray], transform: A.Compose, batch_size: int = 128, *, workers: int = 0, device=None
) -> DataLoader:
    """Batches (float32 [B, 3, S, S],) of all crops in their order, as they are."""
    samples = Samples(crops, {"eval": transform}, ["eval"] * len(crops), np.arange(len(crops))[:, None])
    return batches(samples, batch_size, workers=workers, device=device)


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)
