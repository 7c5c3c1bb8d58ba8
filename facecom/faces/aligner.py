"""Photos -> aligned crops, one way or another."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from facecom.cli import ALIGNMENTS, DEFAULT_ALIGN
from facecom.conditions.impulses import without_impulses
from facecom.data.images import CROP_SIZE
from facecom.errors import FacecomError
from facecom.faces.alignment import align, fixed_landmarks, template_of, whole
from facecom.faces.detect import detect as detect_all
from facecom.faces.detect import head, largest, out_of_head, shipped_detector
from facecom.faces.finder import _shipped_finder, find, from_afar, settled
from facecom.faces.yunet import detect, open_detector

if TYPE_CHECKING:
    import torch


#: Below this confidence of the finder, a face is looked for elsewhere in the photo and any side up; above, it counts.
#: Upright heads of FACECOM's clean photos have .65 at least, the same upside down .4 at most.
SURE = 0.6


#: Photos whose faces are looked for together.
BATCH = 64


class Aligned(NamedTuple):
    """crops: RGB uint8 [N, size, size, 3]; confidence: float32 [N], 0 to 1 (NaN: nobody looked); faces: int64 [N],
    how many were seen; landmarks: float32 [N, 5, 2], pixels of each photo (NaN: nobody looked, or no face)."""

    crops: np.ndarray
    confidence: np.ndarray
    faces: np.ndarray
    landmarks: np.ndarray


def turned_back(landmarks: np.ndarray, turns: int, shape: Sequence[int]) -> np.ndarray:
    """Landmarks [5, 2] of `np.rot90(image, turns)` in pixels of the image. shape: of the image; turns: 0 to 3."""
    x, y = landmarks.T
    right, bottom = shape[1] - 1, shape[0] - 1
    places = [(x, y), (right - y, x), (right - x, bottom - y), (y, bottom - x)]
    return np.stack(places[turns], 1)


class Aligner:
    """Photos -> aligned crops, one way or another.

    mode: `finder` (our own network), `yunet` (OpenCV's detector, for faces that are small in a large scene; where it
    sees none, the fixed box and confidence 0), `fixed` (FACECOM's central box), `off` (the whole photo); size: side of
    the crops in pixels; frame: what they show, one of `FRAMES` (with `off`: everything); detector_model: YuNet's ONNX
    file; device, amp: see `find`. All but `off` see the photos without impulse noise.
    Raises FacecomError for an unknown mode, a detector that cannot be read, and a finder that is not there.
    """

    def __init__(
        self,
        mode: str = DEFAULT_ALIGN,
        size: int = CROP_SIZE,
        detector_model: str | os.PathLike | None = None,
        device: "str | torch.device" = "cpu",
        amp: "torch.dtype | None" = None,
        frame: str = "face",
    ):
        if mode not in ALIGNMENTS:
            raise FacecomError(f"unknown alignment {mode!r}: one of {', '.join(ALIGNMENTS)}")
        self.mode, self.size, self.device, self.amp = mode, size, device, amp
        self.detector = open_detector(detector_model) if mode == "yunet" else None
        self.finder = _shipped_finder(str(device)) if mode == "finder" else None
        self.frame, self.template = frame, template_of(frame)

    def __call__(self, images: Sequence[np.ndarray]) -> Aligned:
        """images: RGB uint8 [H, W, 3] of any sizes; none gives empty arrays."""
        if self.mode != "off":
            images = [without_impulses(image) for image in images]
        count = len(images)
        confidence, faces = np.full(count, np.nan, np.float32), np.ones(count, np.int64)
        landmarks = np.full((count, 5, 2), np.nan, np.float32)
        if self.mode == "finder":
            landmarks, confidence = self._find(images)
            unsure = np.flatnonzero(confidence < SURE)
            if len(unsure):
                looks = self._look_everywhere([images[i] for i in unsure], landmarks[unsure], confidence[unsure])
                landmarks[unsure], confidence[unsure], faces[unsure] = looks
        elif self.detector is not None:
            for i, image in enumerate(images):
                found, confidence[i], faces[i] = detect(image, self.detector)
                if found is not None:
                    landmarks[i] = found
        crops = np.empty((count, self.size, self.size, 3), np.uint8)
        for i, image in enumerate(images):
            crops[i] = self._crop(image, landmarks[i])
        return Aligned(crops, confidence, faces, landmarks)

    def _find(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return find(images, BATCH, self.device, self.amp, self.finder)

    def _look_everywhere(self, images: list[np.ndarray], landmarks: np.ndarray, confidence: np.ndarray):
        """(landmarks, confidence, number of faces) where the finder is not sure of a face in the middle: the photo may
        lie on its side, or the face may be small or at the edge, where the detector sees it. Another look counts
        if it is sure: of several looks at no face one is always a bit surer."""
        landmarks, confidence, count = landmarks.copy(), confidence.copy(), np.ones(len(images), np.int64)
        detector = shipped_detector(str(self.device))
        turned, surer = self._look_turned(images)
        sure = surer >= SURE
        landmarks[sure], confidence[sure] = turned[sure], surer[sure]
        heads = []
        for i in np.flatnonzero(~sure):
            seen = detect_all(images[i], device=self.device, amp=self.amp, model=detector)
            best, count[i] = largest(seen, images[i].shape), max(1, len(seen.scores))
            if best is not None:
                heads.append((i, seen.landmarks[best]))
        closer, close = self._find([head(images[i], place) for i, place in heads])
        for (i, place), points, known in zip(heads, closer, close, strict=True):
            if known >= SURE:
                landmarks[i], confidence[i] = out_of_head(points, place), known
        return landmarks, confidence, count

    def _look_turned(self, images: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """(landmarks [N, 5, 2], pixels of each photo; confidence float32 [N]) of faces that lie on their side or stand
        on their head: the turn at which a first look is surest, and the closer look at that one."""
        finder, shapes = _shipped_finder(str(self.device)), [image.shape for image in images]
        views = [np.ascontiguousarray(np.rot90(image, turns)) for image in images for turns in (1, 2, 3)]
        first = from_afar(finder, views, self.device, self.amp)
        best = first.confidence.reshape(-1, 3).argmax(1)
        chosen = 3 * np.arange(len(images)) + best
        # What is said in the end is the mean of both looks, so no closer look makes up for less than this.
        likely = first.confidence[chosen] >= 2 * SURE - 1
        found, sure = first.landmarks[chosen], first.confidence[chosen]
        if likely.any():
            again = chosen[likely]
            closer = settled(finder, [views[i] for i in again], first.of(again), self.device, self.amp)
            found[likely], sure[likely] = closer
        return np.stack([turned_back(*each) for each in zip(found, 1 + best, shapes, strict=True)]), sure

    def _crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        if self.mode == "off":
            return whole(image, self.size)
        try:
            return align(image, landmarks, self.size, self.template)
        except ValueError:  # nobody looked, or what was found is no face
            return align(image, fixed_landmarks(image), self.size, self.template)
