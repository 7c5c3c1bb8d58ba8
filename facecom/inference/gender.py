"""Gender as the data sets label it (binary, perceived): the Python interface to the gender network."""

import os
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from facecom.cli import pick_amp, pick_device
from facecom.inference import ensemble
from facecom.inference.pipeline import BATCH_SIZE, Photo, collect, name_of

#: Where no operating point is stored.
DEFAULT_THRESHOLD = 0.5


class GenderPredictor:
    """Says male or female. Photos are paths or RGB uint8 arrays [H, W, 3] of any sizes; what OpenCV read is BGR: pass
    `image[:, :, ::-1]`.

    The arguments are `FaceVerifier`'s. Raises FacecomError for weights that cannot be used.
    """

    def __init__(
        self,
        *weights: str | os.PathLike,
        align: str | None = None,
        detector_model: str | os.PathLike | None = None,
        device: str = "auto",
        amp: bool = True,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
    ):
        where = pick_device(device)
        self.ensemble = ensemble.load(
            weights, "gender", align=align, detector_model=detector_model, device=where, amp=pick_amp(amp, where)
        )
        self.batch_size, self.workers = batch_size, workers
        self.threshold = threshold_of(self.ensemble)

    def predict(self, photos: Sequence[Photo]) -> pd.DataFrame:
        """DataFrame[filename, gender, p_female, face_confidence], a row a photo.

        filename: the path, or the position of an array in the list; gender: male, female, or empty for cannot tell and
        for an unreadable photo (whose figures are NaN; a warning names it); p_female, face_confidence: 0 to 1.
        """
        answers, skipped = collect(photos, self.ensemble, batch_size=self.batch_size, workers=self.workers)
        for position, reason in skipped:
            warnings.warn(f"{name_of(photos[position], position)}: {reason}", stacklevel=2)
        return pd.DataFrame(
            {
                "filename": [name_of(photo, position) for position, photo in enumerate(photos)],
                "gender": words(verdicts(answers, self.ensemble, self.threshold)),
                "p_female": answers.outputs,
                "face_confidence": answers.confidence,
            }
        )


def threshold_of(gender: ensemble.Ensemble) -> float:
    """The probability from which on a face is called female."""
    points = gender.operating_points()
    return points[0]["threshold"] if points else DEFAULT_THRESHOLD


def verdicts(answers: ensemble.Answers, gender: ensemble.Ensemble, threshold: float) -> np.ndarray:
    """1 for female, 0 for male, NaN for cannot tell or an unreadable photo: float [N]."""
    told = ~np.isnan(answers.outputs) & gender.can_tell(answers.confidence, answers.quality)
    return np.where(told, answers.outputs >= threshold, np.nan)


def words(found: np.ndarray) -> np.ndarray:
    """`female`, `male` or empty for the verdicts 1, 0 and NaN: object [N]."""
    return np.select([found == 1, found == 0], ["female", "male"], "").astype(object)
