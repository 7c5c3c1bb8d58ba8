"""Face embedders of others, as ONNX files, in the place of our own weights: to compare with, and to audit data with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facecom.data.images import CROP_SIZE


def foreign(path: str, mean: Sequence[float], std: Sequence[float]):
    """Any ONNX face embedder: input float32 [B, 3, 112, 112] RGB, normalised with mean and std of values in 0 to 1.
    Raises FacecomError for a file that is none, and without onnxruntime."""
    from facecom.models.loading import Runner, open_onnx  # torch is slow to import

    session = open_onnx(Path(path))
    entry = session.get_inputs()[0]
    size = entry.shape[2] if isinstance(entry.shape[2], int) else CROP_SIZE
    fixed_batch = entry.shape[0] if isinstance(entry.shape[0], int) else None
    spread = np.asarray(std, np.float32)
    gain, offset = 1 / (255 * spread), -np.asarray(mean, np.float32) / spread

    def forward(crops):
        x = np.ascontiguousarray((crops * gain + offset).transpose(0, 3, 1, 2), np.float32)
        steps = [x[i : i + 1] for i in range(len(x))] if fixed_batch == 1 else [x]
        found = np.concatenate([session.run(None, {entry.name: step})[0] for step in steps])
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found, np.full(len(found), np.nan, np.float32)

    return Runner("siamese", Path(path), forward, {"size": size, "align": "fixed"})
