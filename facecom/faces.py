"""Where the face is: five landmarks -> aligned 112 px crop.

Landmark order everywhere: left eye, right eye, nose tip, left mouth corner, right mouth corner, where left and
right are as the viewer sees them. Coordinates are pixels, x first, (0, 0) the centre of the first pixel.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from facecom.detector import detect, open_detector
from facecom.errors import FacecomError
from facecom.impulses import without_impulses
from facecom.looks import coarseness, is_heap, letterbox, look, together

if TYPE_CHECKING:
    import torch

    from facecom.models import LandmarkNet

CROP_SIZE = 112

#: The five-point template that face recognition shares (float32 [5, 2], pixels of a 112 px crop).
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    dtype=np.float32,
)

#: `--align`: how the face is found.
ALIGNMENTS = ("finder", "yunet", "fixed", "off")
DEFAULT_ALIGN = "finder" if (Path(__file__).parent / "weights" / "landmarks.pt").exists() else "fixed"

#: The finder's second look: the same face smaller, so that the whole head shows when the face itself is glare.
LOOSE_TEMPLATE = (TEMPLATE - CROP_SIZE / 2) * 0.75 + CROP_SIZE / 2

#: `--frame`: how large the face is in the crop, as a share of face recognition's size. With the whole head, hair and
#: collar still say the gender where the face itself is glare; closer, there is more of the face and less of the rest.
FRAMES = {"face": 1.0, "close": 1.1, "head": 0.6}

#: `--align fixed`: the box of FACECOM's photos that the face fills (centre x, centre y, side; shares of the side).
FIXED_BOX = (112 / 224, 107 / 224, 118 / 224)


def frame_matrix(frame: str, size: int = CROP_SIZE) -> np.ndarray:
    """From the pixels of a 112 px crop in the frame `face` to those of a crop of this frame and size: float64 [2, 3].

    Closer, the middle of the landmarks stays where it is, farther the middle of the crop. Raises FacecomError.
    """
    if frame not in FRAMES:
        raise FacecomError(f"unknown frame {frame!r}: one of {', '.join(FRAMES)}")
    share = FRAMES[frame]
    middle = TEMPLATE.mean(0, dtype=np.float64) if share > 1 else np.full(2, CROP_SIZE / 2)
    return np.column_stack([share * np.eye(2), (1 - share) * middle]) * (size / CROP_SIZE)


def template_of(frame: str) -> np.ndarray:
    """Where the landmarks go in a crop of this frame: float32 [5, 2], pixels of a 112 px crop. Raises FacecomError."""
    matrix = frame_matrix(frame)
    return (TEMPLATE @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Least-squares similarity transform without mirroring (Umeyama, PAMI 1991; in the plane it has a closed form).

    source, target: [K, 2] points, K >= 2. Returns float64 [2, 3]: target ~ A[:, :2] @ source + A[:, 2].
    Raises ValueError when all source points coincide.
    """
    source, target = (np.asarray(points, np.float64) @ [1, 1j] for points in (source, target))
    centred = source - source.mean()
    variance = np.vdot(centred, centred).real
    if variance < 1e-12 * len(source):
        raise ValueError("the landmarks coincide: no alignment is possible")
    turn = np.vdot(centred, target - target.mean()) / variance  # scale and rotation as one complex number
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def align(
    image: np.ndarray, landmarks: np.ndarray, size: int = CROP_SIZE, template: np.ndarray = TEMPLATE
) -> np.ndarray:
    """Aligned crop of one face.

    image: RGB uint8 [H, W, 3]; landmarks: [5, 2] pixels of it; template: where they go, [5, 2] pixels of a 112 px crop.
    Returns RGB uint8 [size, size, 3]; what lies outside the image is its replicated border.
    """
    template = template * (size / CROP_SIZE)
    matrix = similarity(landmarks, template)
    # Far smaller than the face: average before sampling, or the crop is aliased.
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.5:
        height, width = (max(1, round(side * shrink * 2)) for side in image.shape[:2])
        factor = np.array([width / image.shape[1], height / image.shape[0]])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        matrix = similarity((np.asarray(landmarks) + 0.5) * factor - 0.5, template)
    return cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def fixed_landmarks(image: np.ndarray) -> np.ndarray:
    """Where `--align fixed` takes the landmarks of a photo to be: float64 [5, 2], pixels of it."""
    height, width = image.shape[:2]
    side = min(height, width)
    centre = np.array([(width - side) / 2 + side * FIXED_BOX[0], (height - side) / 2 + side * FIXED_BOX[1]])
    return centre + (TEMPLATE / CROP_SIZE - 0.5) * side * FIXED_BOX[2]


def fixed_crop(image: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """`--align fixed`: the central box of a FACECOM photo, scaled. RGB uint8 [H, W, 3] -> RGB uint8 [size, size, 3]."""
    return align(image, fixed_landmarks(image), size)


def whole(image: np.ndarray, size: int = CROP_SIZE) -> np.ndarray:
    """`--align off`: the whole photo, squeezed. RGB uint8 [H, W, 3] -> RGB uint8 [size, size, 3]."""
    shrinks = max(image.shape[:2]) > size
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def find(
    images: list[np.ndarray],
    batch_size: int = 64,
    device: "str | torch.device" = "cpu",
    amp: "torch.dtype | None" = None,
    model: "LandmarkNet | None" = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of the face in each photo, by the project's own finder: impulse noise is taken off, then comes a look
    at the whole picture, then one at the face that the first look found. The second sees more of the face, the first
    where faces are in photos, which is what is left to go by under glare: the mean of both, by how sure each is, is
    nearer to the truth than either (`facecom/looks.py`).

    images: RGB uint8 [H, W, 3] of any sizes, each a roughly centred head; amp: half precision, None for float32;
    model: a finder (default: the shipped one). Returns landmarks float32 [N, 5, 2] in pixels of each image, and
    confidence float32 [N], 0 to 1: the probability that there is a face and that a landmark is within a tenth of the
    distance between the eyes. Raises FacecomError when no finder is shipped.
    """
    model = model or _shipped_finder(str(device))
    landmarks, confidence = np.zeros((len(images), 5, 2), np.float32), np.zeros(len(images), np.float32)
    for start in range(0, len(images), batch_size):
        batch = [without_impulses(image) for image in images[start : start + batch_size]]
        part = slice(start, start + len(batch))
        framed = [letterbox(image, model.img_size) for image in batch]
        first = look(model, [picture for picture, _, _ in framed], device, amp)
        points = [(p - offset + 0.5) / scale - 0.5 for p, (_, scale, offset) in zip(first[0], framed, strict=True)]
        # Without a face the landmarks may lie in a heap that no similarity can be fitted to.
        heap = [is_heap(p) for p in points]
        points = [fixed_landmarks(image) if h else p for image, p, h in zip(batch, points, heap, strict=True)]
        crops = [align(image, p, model.img_size, LOOSE_TEMPLATE) for image, p in zip(batch, points, strict=True)]
        second = look(model, crops, device, amp)
        into = [similarity(p, LOOSE_TEMPLATE * (model.img_size / CROP_SIZE)) for p in points]
        again = [cv2.transform(q[None], cv2.invertAffineTransform(m))[0] for q, m in zip(second[0], into, strict=True)]
        enlarged = [np.sqrt(np.linalg.det(m[:, :2])) / scale for m, (_, scale, _) in zip(into, framed, strict=True)]
        nothing = np.array(heap) | [is_heap(q) for q in second[0]]
        merged = together(np.stack(points), first[1] * coarseness(enlarged), np.stack(again), second[1])
        landmarks[part] = np.where(nothing[:, None, None], points, merged)
        confidence[part] = np.where(nothing, 0, (first[2] + second[2]) / 2)
    return landmarks, confidence


@cache
def _shipped_finder(device: str) -> "LandmarkNet":
    from facecom import checkpoint

    return made_fast(checkpoint.load(None, "landmarks").model).to(device)


def made_fast(finder: "LandmarkNet") -> "LandmarkNet":
    """The finder, in eval mode, for use alone: batch norms folded into convolutions, which saves a quarter on a CPU."""
    from torch import channels_last
    from torch.fx.experimental.optimization import fuse

    finder.backbone, finder.mix = fuse(finder.backbone), fuse(finder.mix)
    return finder.to(memory_format=channels_last)


def landmark_errors(landmarks: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Mean distance of five landmarks, as a share of the distance between the eyes: [N, 5, 2] twice -> [N]."""
    eyes = np.linalg.norm(truth[:, 1] - truth[:, 0], axis=1)
    return np.linalg.norm(landmarks - truth, axis=2).mean(1) / eyes


class Aligned(NamedTuple):
    """crops: RGB uint8 [N, size, size, 3]; confidence: float32 [N], 0 to 1 (NaN: nobody looked); faces: int64 [N],
    how many were seen; landmarks: float32 [N, 5, 2], pixels of each photo (NaN: nobody looked, or no face)."""

    crops: np.ndarray
    confidence: np.ndarray
    faces: np.ndarray
    landmarks: np.ndarray


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
        detector_model: str | Path | None = None,
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

    def __call__(self, images: list[np.ndarray]) -> Aligned:
        """images: RGB uint8 [H, W, 3] of any sizes; none gives empty arrays."""
        if self.mode != "off":
            images = [without_impulses(image) for image in images]
        count = len(images)
        confidence, faces = np.full(count, np.nan, np.float32), np.ones(count, np.int64)
        landmarks = np.full((count, 5, 2), np.nan, np.float32)
        if self.mode == "finder":
            landmarks, confidence = find(images, device=self.device, amp=self.amp, model=self.finder)
        elif self.mode == "yunet":
            for i, image in enumerate(images):
                found, confidence[i], faces[i] = detect(image, self.detector)
                if found is not None:
                    landmarks[i] = found
        crops = np.empty((count, self.size, self.size, 3), np.uint8)
        for i, image in enumerate(images):
            crops[i] = self._crop(image, landmarks[i])
        return Aligned(crops, confidence, faces, landmarks)

    def _crop(self, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
        if self.mode == "off":
            return whole(image, self.size)
        if np.isnan(landmarks).any():
            landmarks = fixed_landmarks(image)
        return align(image, landmarks, self.size, self.template)
