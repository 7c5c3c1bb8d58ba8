"""The crops of a table's photos, each process having looked at its part of them."""

import numpy as np
import pandas as pd
import torch
from torch import distributed

from facecom.errors import FacecomError
from facecom.faces import crops
from facecom.faces.aligner import Aligner
from facecom.training.distributed.group import for_objects, rank, size
from facecom.training.distributed.parts import mine


def load_crops(table: pd.DataFrame, aligner: Aligner, **options) -> tuple[pd.DataFrame, crops.Crops]:
    """As `faces.crops.load_crops`, with the work shared out; all processes get the same."""
    if size() == 1:
        return crops.load_crops(table, aligner, **options)
    whole = table.reset_index(drop=True)
    part = whole.iloc[mine(len(whole))].assign(position=mine(len(whole)))
    error: FacecomError | None = None
    told: tuple
    own: crops.Crops | None
    try:
        found, own = crops.load_crops(part, aligner, **options)
        told = (found["position"].to_numpy(), own.landmarks, own.array is not None, None)
    except FacecomError as unreadable:  # all of this part; the others may have something
        error, own, told = unreadable, None, (np.zeros(0, int), None, True, str(unreadable))
    parts: list = [None] * size()
    distributed.all_gather_object(parts, told, group=for_objects())
    positions = np.concatenate([one[0] for one in parts])
    if not len(positions):
        raise error or FacecomError(f"none of the {options.get('name', 'photos')} could be read")
    order = np.argsort(positions)
    landmarks = np.concatenate([one[1] for one in parts if one[1] is not None])[order]
    in_memory = len(whole) * 3 * aligner.size**2 <= crops.IN_MEMORY and all(one[2] for one in parts)
    array = _joined([len(one[0]) for one in parts], order, own, aligner.size) if in_memory else None
    kept = whole.iloc[positions[order]].reset_index(drop=True)
    lost = sum(len(range(number, len(whole), size())) - len(one[0]) for number, one in enumerate(parts) if number)
    if lost:
        print(f"{lost} of {len(whole)} files left out by the other processes")
    photos = kept["image" if "image" in kept else "path"].tolist()
    fallback = Aligner("off" if aligner.mode == "off" else "fixed", aligner.size, frame=aligner.frame)
    return kept, crops.Crops(photos, landmarks, fallback, array, crops.longest_side(aligner.mode))


def _joined(counts: list[int], order: np.ndarray, own: crops.Crops | None, side: int) -> np.ndarray:
    """All crops, uint8 [N, side, side, 3], in order; besides them one process's part is held at a time."""
    whole, place, start = np.empty((len(order), side, side, 3), np.uint8), np.argsort(order), 0
    for number, count in enumerate(counts):
        if not count:
            continue
        part = (
            torch.from_numpy(own.array) if number == rank() else torch.empty((count, side, side, 3), dtype=torch.uint8)
        )
        distributed.broadcast(part, number, group=for_objects())
        whole[place[start : start + count]] = part.numpy()
        start += count
    return whole
