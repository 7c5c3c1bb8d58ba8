"""One weight file or several as one: photos in, answers with face confidence out."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from facecom.faces.aligner import Aligner
from facecom.inference import same_photo
from facecom.inference.templates import Templates
from facecom.models import loading


@dataclass(frozen=True)
class Answers:
    """What an ensemble says about N photos.

    outputs: float32, task siamese [N, D] embeddings of unit length, task gender [N] probability of female;
    quality: float32 [N] in 0 to 1, NaN where the network does not say; confidence: float32 [N] of the face found, in 0
    to 1, NaN where none was looked for; faces: int [N], how many; photos: float32 [N, 128], descriptors of the whole
    photographs (`same_photo`), None for task gender and where faces alone count; landmarks: float32 [N, 5, 2] of that
    face, pixels of the photo as it was given, NaN where none was looked for; None where nobody kept them.
    """

    outputs: np.ndarray
    quality: np.ndarray
    confidence: np.ndarray
    faces: np.ndarray
    photos: np.ndarray | None = None
    landmarks: np.ndarray | None = None


class Ensemble:
    """Networks of one task, each with its own photo preparation; a single one is an ensemble too.

    Gender: the mean of the probabilities. Verification: unit embeddings side by side, scaled to unit length again, so
    the squared distance is the mean of the members' squared distances.

    align: how to find the face (`Aligner`'s modes) in place of what each weight file says; detector_model, device
    and amp: see `Aligner`; faces_only: False also looks, for verification, whether two files are one photograph
    (`same_photo`).
    """

    def __init__(
        self,
        members: Sequence[loading.Runner],
        align: str | None = None,
        detector_model: str | os.PathLike | None = None,
        device: torch.device | str = "cpu",
        amp: torch.dtype | None = None,
        faces_only: bool = True,
    ):
        self.task, self.members = members[0].task, list(members)
        self.describes_photos = self.task == "siamese" and not faces_only
        # Members that see the same crop share the search for the face.
        said = [member.preprocessing for member in members]
        self.crops = [(align or p["align"], p["size"], p.get("frame", "face")) for p in said]
        self.aligners = {
            (mode, size, frame): Aligner(mode, size, detector_model, device, amp, frame)
            for mode, size, frame in dict.fromkeys(self.crops)
        }

    def __call__(self, photos: Sequence[np.ndarray]) -> Answers:
        """photos: RGB uint8 [H, W, 3] of any sizes, at least one."""
        aligned = {key: aligner(photos) for key, aligner in self.aligners.items()}
        outputs = [member.forward(aligned[key].crops) for member, key in zip(self.members, self.crops, strict=True)]
        # The first member that looks for a face speaks for all.
        face = next((a for a in aligned.values() if not np.isnan(a.confidence).all()), aligned[self.crops[0]])
        if self.task == "gender":
            values = np.mean([output[0] for output in outputs], axis=0)
            quality = np.full(len(photos), np.nan, np.float32)
        else:
            values = np.concatenate([output[0] for output in outputs], axis=1) / np.float32(math.sqrt(len(outputs)))
            quality = mean_of_known(np.stack([output[1] for output in outputs]))
        described = same_photo.describe(photos, face.landmarks) if self.describes_photos else None
        return Answers(values, quality, face.confidence, face.faces, described, face.landmarks)

    def templates(self, answers: Answers) -> Templates:
        """What these answers of a Siamese ensemble are compared by; with a stored threshold readable faces decide."""
        points = self.operating_points()
        told = self.can_tell(answers.confidence, answers.quality)
        return Templates(answers.outputs, answers.photos, told, points[0]["threshold"] if points else math.inf)

    def operating_points(self, far: float | None = None) -> list[dict]:
        """The stored operating points (or the one stored for `far`), the default one first; may be empty.

        {threshold, far, impostor}: two photos show one person at a distance of at most the threshold, a face is female
        at a probability of at least it; impostor: the comparisons of strangers that it was fixed on, None where nobody
        knows. Several members: the root of the mean of the squared thresholds for distances, the mean for
        probabilities, the fewest comparisons, at the rates that all of them have. Without a common one, the default
        ones of all, and nobody knows the rate (None).
        """
        stored = [{point.get("far"): point for point in member.operating_points} for member in self.members]
        rates = [rate for rate in stored[0] if far in (None, rate) and all(rate in points for points in stored)]
        if not rates and far is None and all(stored):
            stored, rates = [{None: next(iter(points.values()))} for points in stored], [None]
        power = 1 if self.task == "gender" else 2
        points = []
        for rate in rates:
            thresholds = np.array([points[rate]["threshold"] for points in stored])
            known = [points[rate].get("impostor") for points in stored]
            compared = [count for count in known if count is not None]
            point = {"threshold": float((thresholds**power).mean() ** (1 / power)), "far": rate}
            points.append(point | {"impostor": min(compared) if len(compared) == len(known) else None})
        return points

    @property
    def limits(self) -> dict[str, float]:
        """`face_confidence` and `quality` below which the answer is "cannot tell": the lowest of all; may be empty."""
        found = {}
        for name in ("face_confidence", "quality"):
            values = [member.limits[name] for member in self.members if member.limits.get(name) is not None]
            if len(values) == len(self.members):
                found[name] = min(values)
        return found

    def can_tell(self, confidence: np.ndarray, quality: np.ndarray) -> np.ndarray:
        """Whether face and quality are good enough for an answer, bool of the arrays' shape; NaN never forbids it."""
        limits = self.limits
        low_face = confidence < limits.get("face_confidence", -np.inf)
        low_quality = quality < limits.get("quality", -np.inf)
        return ~(low_face | low_quality)

    def describe(self) -> str:
        """The weights and how the face is found, in one line."""
        names = [str(member.path) for member in self.members]
        ways = [
            f"{size} px, align {mode}" + (f", frame {frame}" if frame != "face" else "")
            for mode, size, frame in dict.fromkeys(self.crops)
        ]
        return f"{', '.join(names)} ({'; '.join(ways)})"


def load(
    weights: Sequence[str | os.PathLike | None],
    task: str,
    *,
    align: str | None = None,
    detector_model: str | os.PathLike | None = None,
    device: torch.device | str = "cpu",
    amp: torch.dtype | None = None,
    normalize: bool = False,
    mirror: bool | None = None,
    faces_only: bool = True,
) -> Ensemble:
    """The ensemble of these weight files (None or an empty list: the shipped one).

    amp: `cli.pick_amp`'s half precision, None for float32; normalize, mirror: see `loading.load`; the others: see
    `Ensemble`.
    Raises FacecomError for a file that cannot be used.
    """
    members = [loading.load(path, task, device, amp, normalize, mirror) for path in weights or [None]]
    return Ensemble(members, align, detector_model, device, amp, faces_only)


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis without the NaN; NaN where nothing else is. values: [M, N] -> [N]."""
    known = ~np.isnan(values)
    count = known.sum(0)
    total = np.where(known, values, 0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
