"""Who it is, and whether two photos show the same person: the Python interface to the Siamese network."""

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from facecom.cli import pick_amp, pick_device
from facecom.data.folders import task_b_table
from facecom.errors import FacecomError
from facecom.inference import ensemble
from facecom.inference.pipeline import BATCH_SIZE, Photo, collect, name_of
from facecom.inference.search import nearest
from facecom.inference.templates import distances


@dataclass(frozen=True)
class Verification:
    """distance: 0 to 2; same: True, False, or None for cannot tell; threshold: the distance up
    to which two photos are called the same person; far: share of strangers' pairs that pass it, None where unknown."""

    distance: float
    same: bool | None
    threshold: float
    far: float | None


class FaceVerifier:
    """Compares faces. Photos are paths or RGB uint8 arrays [H, W, 3] of any sizes; what OpenCV read is BGR: pass
    `image[:, :, ::-1]`.

    weights: checkpoint or .onnx, several for an ensemble, none for the shipped one; far: which of the stored operating
    points to decide at (None: the first); align: `finder|yunet|fixed|off` in place of what the weights say; device:
    auto, cpu or cuda; amp: half precision where the device is fast at it; workers: threads, each for a batch; mirror:
    look at each face and its mirror image, or at the face alone (None: as the weights say); faces_only: False looks
    whether both files are one photograph, too: for data sets of copies, not for photos of one camera.
    Raises FacecomError for weights that cannot be used, and for a `far` that they have no operating point for.
    """

    def __init__(
        self,
        *weights: str | os.PathLike,
        far: float | None = None,
        align: str | None = None,
        detector_model: str | os.PathLike | None = None,
        device: str = "auto",
        amp: bool = True,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
        mirror: bool | None = None,
        faces_only: bool = True,
    ):
        where = pick_device(device)
        self.ensemble = ensemble.load(
            weights,
            "siamese",
            align=align,
            detector_model=detector_model,
            device=where,
            amp=pick_amp(amp, where),
            faces_only=faces_only,
            mirror=mirror,
        )
        self.batch_size, self.workers = batch_size, workers
        self._decide(far)

    @classmethod
    def of(
        cls,
        siamese: ensemble.Ensemble,
        far: float | None = None,
        batch_size: int = BATCH_SIZE,
        workers: int | None = None,
    ) -> "FaceVerifier":
        """The verifier of an ensemble that is loaded already. Raises FacecomError for a `far` that is not stored."""
        made = cls.__new__(cls)
        made.ensemble, made.batch_size, made.workers = siamese, batch_size, workers
        made._decide(far)
        return made

    def _decide(self, far: float | None) -> None:
        point = decide_at(self.ensemble, far)
        self.threshold, self.far = point["threshold"], point["far"]

    def embed(self, photos: Sequence[Photo]) -> np.ndarray:
        """float32 [N, 128] (128 a member of an ensemble), unit length; NaN and a warning for an unreadable photo."""
        return self._answers(photos).outputs

    def faces(self, photos: Sequence[Photo]) -> pd.DataFrame:
        """Every face of these photos: DataFrame[filename, face, x, y, width, height, rotation, confidence, quality,
        embedding], a row a face, from the left within a photo.

        x, y, width, height: its square in pixels of the photo; rotation: degrees clockwise (0, 90, 180, 270);
        confidence, quality: 0 to 1; embedding: float32 [128], unit length. An unreadable photo has no row and a
        warning.
        """
        from facecom.inference.faces import collect_faces

        found, skipped = collect_faces(photos, self.ensemble, workers=self.workers)
        for position, reason in skipped:
            warnings.warn(f"{name_of(photos[position], position)}: {reason}", stacklevel=2)
        found.insert(0, "filename", [name_of(photos[position], position) for position in found.photo])
        columns = ["filename", "face", "x", "y", "width", "height", "rotation", "face_confidence", "quality"]
        return found[[*columns, "embedding"]].rename(columns={"face_confidence": "confidence"})

    def verify(self, a: Photo, b: Photo) -> Verification:
        """Whether two photos show the same person. Raises FacecomError for an unreadable one."""
        answers, skipped = collect([a, b], self.ensemble, workers=0)
        for position, reason in skipped:
            raise FacecomError(f"{name_of((a, b)[position], position)}: {reason}")
        templates = self.ensemble.templates(answers)
        found = distances(templates[0], templates[1])
        told = templates.tell(found).all()
        distance = float(found)
        return Verification(distance, distance <= self.threshold if told else None, self.threshold, self.far)

    def identify(
        self, probes: Sequence[Photo], gallery: str | os.PathLike | Mapping[str, Sequence[Photo]]
    ) -> pd.DataFrame:
        """The nearest person of the gallery for each probe.

        gallery: a folder of identity folders (their clean photos are taken), or {identity: photos}. Returns
        DataFrame[probe, identity, distance, same]; `same` is nullable: <NA> for cannot tell. An unreadable probe has
        no identity. Raises FacecomError for a gallery without a readable photo.
        """
        names, photos = gallery_photos(gallery)
        known = self.ensemble.templates(self._answers(photos))
        if not known.readable.any():
            raise FacecomError("the gallery holds no readable photo: give folders of photos, one a person")
        templates = self.ensemble.templates(self._answers(probes))
        rows, found = (column[:, 0] for column in nearest(templates, known))
        readable = ~np.isnan(found)
        same = pd.array(found <= self.threshold, dtype="boolean")
        same[~(readable & templates.tell(found))] = pd.NA
        return pd.DataFrame(
            {
                "probe": [name_of(photo, position) for position, photo in enumerate(probes)],
                "identity": np.where(readable, np.array(names, object)[rows], None),
                "distance": found,
                "same": same,
            }
        )

    def _answers(self, photos):
        answers, skipped = collect(photos, self.ensemble, batch_size=self.batch_size, workers=self.workers)
        for position, reason in skipped:
            warnings.warn(f"{name_of(photos[position], position)}: {reason}", stacklevel=3)
        return answers


def decide_at(siamese: ensemble.Ensemble, far: float | None = None) -> dict:
    """The operating point to use (`Ensemble.operating_points`). Raises FacecomError when the weights have none such."""
    points = siamese.operating_points(far)
    if not points:
        stored = [f"{point['far']:g}" for point in siamese.operating_points() if point["far"]]
        wanted = "operating point" if far is None else f"operating point for a false accept rate of {far:g}"
        known = f"they have one for {', '.join(stored)}" if stored else "they have none"
        raise FacecomError(f"{siamese.describe()}: no {wanted} is stored with these weights; {known}")
    return points[0]


def gallery_photos(gallery: str | os.PathLike | Mapping[str, Sequence[Photo]]) -> tuple[list[str], list[Photo]]:
    """(identity, photo) of every gallery photo, as two lists. Raises FacecomError for an empty gallery."""
    if isinstance(gallery, Mapping):
        pairs = [(str(name), photo) for name, photos in gallery.items() for photo in photos]
    else:
        table = task_b_table(Path(gallery))
        clean = table[table.condition == "clean"]
        pairs = list(zip(clean.identity, clean.path, strict=True))
    if not pairs:
        raise FacecomError(f"{gallery}: the gallery is empty: give folders of photos, one a person")
    return [name for name, _ in pairs], [photo for _, photo in pairs]
