"""The aligned crops of many photos, found once."""

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from torch.utils.data import ConcatDataset
from tqdm import tqdm

from facecom.conditions import DISTORTIONS, distort
from facecom.conditions.impulses import without_impulses
from facecom.conditions.jpeg import through_jpeg
from facecom.data.augmentation import derived_seed
from facecom.data.images import LONGEST_SIDE, longest_side, read_photo, shrink
from facecom.errors import FacecomError
from facecom.faces.aligner import Aligned, Aligner
from facecom.faces.alignment import align
from facecom.threads import side_by_side

#: Crops that take more bytes than this stay on the disk and are cut again whenever they are needed.
IN_MEMORY = 2 * 2**30

#: Photos that are decoded and searched for faces at a time.
CHUNK = 64


class Crops(Sequence):
    """Aligned crops, RGB uint8 [size, size, 3], from memory or cut from the photo each time.

    photos: a path, or an encoded photo's bytes, for each; landmarks: float32 [N, 5, 2], pixels, NaN where `fallback`
    (an aligner that needs no landmarks, for the same size and frame) cuts; array: uint8 [N, size, size, 3] or None;
    longest: see `open_photo`; names: what errors call encoded photos, a file and a row.
    """

    def __init__(
        self,
        photos: Sequence,
        landmarks: np.ndarray,
        fallback: Aligner,
        array: np.ndarray | None = None,
        longest: int = LONGEST_SIDE,
        names: Sequence[str] | None = None,
    ):
        self.names = names
        self.photos, self.landmarks, self.fallback, self.array = list(photos), landmarks, fallback, array
        self.longest = longest

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        if self.array is not None:
            return self.array[index]
        try:
            photo = open_photo(self.photos[index], self.longest)
        except FacecomError as error:
            if self.names is not None:
                raise FacecomError(f"{self.names[index]}: {error}: take the row out, or mend it") from error
            raise FacecomError(f"{error}; it could be read before: put it back, or begin again without it") from error
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
    try:
        decoded = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # no bytes at all, or more pixels than OpenCV takes
        decoded = None
    if decoded is None:
        raise FacecomError("a photo in a table is damaged")
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)


def load_crops(
    table: pd.DataFrame, aligner: Aligner, *, workers: int = 2, quiet: bool = False, name: str = "photos"
) -> tuple[pd.DataFrame, Crops]:
    """Find and cut the face of every photo of a table, once. Returns the rows that could be read, and their crops.

    table: a column `path` (or `image`, encoded bytes); workers: threads. Says how many files could not be read, and
    why the first ones.
    Raises FacecomError when none could.
    """
    photos = table["image" if "image" in table else "path"].tolist()
    keep_all = len(photos) * 3 * aligner.size**2 <= IN_MEMORY
    longest = longest_side(aligner.mode)
    starts = range(0, len(photos), CHUNK)
    found, landmarks, crops, failures = [], [], [], []

    def search(start: int) -> tuple[list[np.ndarray | FacecomError], Aligned | None]:
        opened = [_attempt(photo, longest) for photo in photos[start : start + CHUNK]]
        good = [one for one in opened if isinstance(one, np.ndarray)]
        return opened, aligner(good) if good else None

    bar = tqdm(total=len(photos), desc=f"faces of {name}", unit="photo", disable=quiet or None, leave=False)
    with bar:
        searched = side_by_side(search, starts, min(workers, len(starts)))
        for start, (opened, aligned) in zip(starts, searched, strict=True):
            failures += [str(one) for one in opened if isinstance(one, FacecomError)]
            if aligned is not None:
                found += [start + i for i, one in enumerate(opened) if isinstance(one, np.ndarray)]
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
