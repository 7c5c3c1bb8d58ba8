"""`--extra_data`: more photos to train on, from folders and from tables (parquet) of encoded photos."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from torch.utils.data import ConcatDataset, Subset

from facecom.data.folders import GENDERS, task_a_table, task_b_table
from facecom.data.holdback import group_of, hold_back
from facecom.data.images import CROP_SIZE
from facecom.errors import FacecomError
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import TEMPLATE
from facecom.faces.crops import Crops
from facecom.training.distributed import load_crops

#: Share of the people of an extra source who are held back, as many (and the same ones) as of the shipped encoder's.
HELD_BACK = 0.05

#: Columns of a table that hold the five landmarks, in pixels of the photo, in the order of `alignment.TEMPLATE`.
LANDMARK_COLUMNS = [
    f"{p}_{axis}" for p in ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth") for axis in "xy"
]


def open_extra(
    path: str | Path, task: str, aligner: Aligner, *, workers: int = 2, quiet: bool = False
) -> tuple[pd.DataFrame, Crops]:
    """One source of extra photos: [path, file, identity, photo, condition, group, name, source], `gender` for task `A`.

    path: a folder (`male/` and `female/` for task `A`, identity folders for `B`), or a parquet table with a column
    `image` (encoded photos). A table with `LANDMARK_COLUMNS` holds whole photos, one without holds aligned crops;
    other columns: `gender` (rows without are left out in task `A`), `identity` (default: each row its own; in
    task `B` no row may be without), `source`.
    group: what must not be split between training and held-back people; name: whose photo it is, as the folder or the
    table says. Raises FacecomError.
    """
    path = Path(path)
    if path.is_dir():
        table = (task_a_table if task == "A" else task_b_table)(path).assign(source=path.name)
        table["group"] = table["name"] = table["identity"]
        table, crops = load_crops(table, aligner, workers=workers, quiet=quiet, name=f"photos of {path}")
    else:
        table, images, landmarks, names = _read_table(path, task)
        # Neither kind needs the finder. With --align off the network is to see whole photos.
        if aligner.mode == "off":
            landmarks = np.full_like(landmarks, np.nan)
        elif aligner.frame != "face":  # an aligned crop, whole, is the face's frame only
            landmarks = np.stack([_in_aligned(*pair) for pair in zip(images, landmarks, strict=True)])
        crops = Crops(images, landmarks, Aligner("off", aligner.size, frame=aligner.frame), names=names)
    if task == "A" and not set(table["gender"]) <= set(GENDERS):
        raise FacecomError(f"{path}: holds no male/ and female/ folders: --extra_data needs to know the gender")
    return table, crops


def _read_table(path: Path, task: str) -> tuple[pd.DataFrame, list[bytes], np.ndarray, list[str]]:
    """(table, encoded photos, landmarks float32 [N, 5, 2] or NaN, what errors call each row) of a parquet file."""
    try:
        raw = pd.read_parquet(path)
    except ImportError:
        raise FacecomError(f'{path}: tables need pyarrow: pip install -e ".[pretraining]"') from None
    except FileNotFoundError:
        raise FacecomError(f"{path}: no such file or folder: check --extra_data") from None
    except (OSError, ValueError) as error:
        raise FacecomError(f"{path}: neither a folder nor a parquet table: check --extra_data") from error
    needed = {"image", "gender"} if task == "A" else {"image", "identity"}
    if needed - set(raw):
        raise FacecomError(f"{path}: no column {', '.join(sorted(needed - set(raw)))}: --extra_data needs it")
    names = np.array([f"{path}: row {row} of {len(raw)}" for row in range(1, len(raw) + 1)], dtype=object)
    if task == "A":
        used = raw["gender"].isin(GENDERS).to_numpy()
        raw, names = raw[used], names[used]
    raw = raw.reset_index(drop=True)
    if raw.empty:
        raise FacecomError(f"{path}: no row that can be used")
    _refuse_rows(raw, names, task)
    rows = raw.index.astype(str)
    table = pd.DataFrame({"path": str(path), "file": rows, "photo": rows, "condition": "clean"})
    table["source"] = raw["source"].fillna(path.stem).astype(str) if "source" in raw else path.stem
    people = raw["identity"].astype(str).where(raw["identity"].notna(), rows) if "identity" in raw else rows
    table["identity"] = table["source"] + "/" + people
    if "gender" in raw:
        table["gender"] = raw["gender"]
    own = table["identity"].str.split("/", n=1).str[1]
    table["name"] = own if "identity" in raw else ""
    table["group"] = [group_of(*pair) for pair in zip(own, table["source"], strict=True)]
    if set(LANDMARK_COLUMNS) <= set(raw):
        landmarks = raw[LANDMARK_COLUMNS].to_numpy(np.float32).reshape(-1, 5, 2)
    else:
        landmarks = np.full((len(raw), 5, 2), np.nan, np.float32)
    return table, raw["image"].tolist(), landmarks, names.tolist()


def _refuse_rows(raw: pd.DataFrame, names: np.ndarray, task: str) -> None:
    """Raises FacecomError for the first row without an encoded photo, or in task `B` without an identity: all such
    rows would be one person."""
    wrong = ~raw["image"].map(lambda one: isinstance(one, bytes)).to_numpy()
    if wrong.any():
        kind = type(raw["image"][wrong.argmax()]).__name__
        held = f"holds {'nothing' if kind in ('NoneType', 'float') else kind}, not the bytes of an encoded photo"
        raise FacecomError(f"{names[wrong.argmax()]}: the column image {held}: fill it in, or take the row out")
    if task == "B":
        nobody = (raw["identity"].isna() | (raw["identity"].astype(str).str.strip() == "")).to_numpy()
        if nobody.any():
            raise FacecomError(f"{names[nobody.argmax()]}: no identity: say whose photo it is, or take the row out")


def _in_aligned(photo: bytes, landmarks: np.ndarray) -> np.ndarray:
    """The landmarks of an encoded photo, [5, 2] pixels; where they are unknown (NaN), those of an aligned crop."""
    if np.isfinite(landmarks).all():
        return landmarks
    try:
        with Image.open(io.BytesIO(photo)) as crop:
            return TEMPLATE * np.float32(crop.width / CROP_SIZE)
    except OSError:  # damaged: an error as soon as it is used
        return landmarks


def joined(parts: Sequence[tuple[pd.DataFrame, Any]]) -> tuple[pd.DataFrame, Any]:
    """Several tables with their crops as one."""
    return pd.concat([table for table, _ in parts], ignore_index=True), ConcatDataset([crops for _, crops in parts])


def parted(table: pd.DataFrame, crops: Any, share: float = HELD_BACK) -> tuple[tuple, ...]:
    """A source as (table, crops) to train on and (table, crops) held back, whole groups on either side."""
    numbered = table.assign(row=np.arange(len(table)))
    parts = hold_back(numbered, share, groups=numbered["group"])
    return tuple((part.drop(columns="row"), Subset(crops, part["row"].tolist())) for part in parts)
