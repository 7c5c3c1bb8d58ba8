"""The faces of a video, linked to tracks: one person from when they come to when they go.

A face goes on with a track where it lies where that was last seen, unless it is clearly somebody else's, and elsewhere
where it is the same person by the operating point. Of all ways to share out the faces of a picture the one with the
smallest distances is taken (the assignment problem: Kuhn, 1955). A track's template is pooled as it grows.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from facecom.faces.detect import overlaps

#: A face lies where a track was last seen when their boxes share so much of their union.
SAME_PLACE = 0.3

#: In the same place it is somebody else from this distance on: half of strangers' pairs are further apart than the
#: square root of 2, and hardly any is nearer than this less 0.1.
SOMEBODY_ELSE = 1.3

#: Seconds after which whom nobody has seen is gone.
GONE = 3.0


@dataclass
class Track:
    """first, last: seconds; box: float32 [4], x, y, width, height in pixels, where it was last seen; faces: how many;
    told: of them, which can be read; total: float64 [D], sum of the embeddings of those (of all, while there are none);
    confidence, quality: the best of any face, 0 to 1; best: (sureness, seconds, box) of the face that shows most."""

    first: float
    last: float
    box: np.ndarray
    total: np.ndarray
    faces: int = 0
    told: int = 0
    confidence: float = np.nan
    quality: float = np.nan
    best: tuple[float, float, np.ndarray] = field(default=(-1.0, 0.0, np.zeros(4, np.float32)))

    @property
    def template(self) -> np.ndarray:
        """float32 [D], unit length."""
        return (self.total / max(np.linalg.norm(self.total), 1e-12)).astype(np.float32)

    def take(self, time: float, box, embedding, told: bool, confidence: float, quality: float) -> None:
        """One more face of this person."""
        if told and not self.told:
            self.total = np.zeros(len(embedding))
        if told or not self.told:
            self.total = self.total + embedding
        self.last, self.box = time, box
        self.faces, self.told = self.faces + 1, self.told + int(told)
        self.confidence, self.quality = np.fmax(self.confidence, confidence), np.fmax(self.quality, quality)
        sureness = np.nan_to_num(confidence) * np.nan_to_num(quality, nan=1.0) + told
        if sureness > self.best[0]:
            self.best = (float(sureness), time, box)


class Tracker:
    """Links the faces of one picture after the other. threshold: distance up to which two faces are one person; gone:
    seconds after which a track that was not seen is at its end."""

    def __init__(self, threshold: float, gone: float = GONE):
        self.threshold, self.gone = threshold, gone
        self.open: list[Track] = []
        self.ended: list[Track] = []

    def see(self, time: float, faces: "Seen") -> None:
        """The faces of the picture at `time` seconds, which never goes back."""
        self.ended += [track for track in self.open if time - track.last > self.gone]
        self.open = [track for track in self.open if time - track.last <= self.gone]
        links = self._links(faces)
        for face in range(len(faces)):
            track = links.get(face)
            if track is None:
                track = Track(time, time, faces.boxes[face], np.zeros(faces.embeddings.shape[1]))
                self.open.append(track)
            said = faces.told[face], faces.confidence[face], faces.quality[face]
            track.take(time, faces.boxes[face], faces.embeddings[face], *said)

    def _links(self, faces: "Seen") -> dict[int, Track]:
        """{face: the track that it goes on with}."""
        if not self.open or not len(faces):
            return {}
        templates = np.stack([track.template for track in self.open])
        apart = np.sqrt(np.maximum(2 - 2 * faces.embeddings @ templates.T, 0))
        known = faces.told[:, None] & np.array([track.told > 0 for track in self.open])[None]
        boxes = np.stack([track.box for track in self.open])
        shared = np.stack([overlaps(box, boxes) for box in faces.boxes])
        there = shared >= SAME_PLACE
        allowed = (there & ~(known & (apart > SOMEBODY_ELSE))) | (known & (apart <= self.threshold))
        # What is not allowed costs more than all that is.
        cost = np.where(allowed, np.where(known, apart, SOMEBODY_ELSE) - shared, 1e3)
        pairs = zip(*linear_sum_assignment(cost), strict=True)
        return {int(face): self.open[track] for face, track in pairs if allowed[face, track]}

    def tracks(self) -> list[Track]:
        """All so far, by when they began, and from the left."""
        return sorted(self.ended + self.open, key=lambda track: (track.first, float(track.best[2][0])))


@dataclass(frozen=True)
class Seen:
    """The faces of one picture. boxes: float32 [F, 4], x, y, width, height in pixels; embeddings: float32 [F, D], unit
    length; told: bool [F]; confidence, quality: float32 [F], 0 to 1, NaN where unknown."""

    boxes: np.ndarray
    embeddings: np.ndarray
    told: np.ndarray
    confidence: np.ndarray
    quality: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)
