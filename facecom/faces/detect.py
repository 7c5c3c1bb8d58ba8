"""Every face of a photo, by the project's own detector: five landmarks and a score each.

A face's box is the upright square that its landmarks lead to, so a face is five points and nothing else.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

from facecom.data.images import CROP_SIZE
from facecom.faces.alignment import FIXED_BOX, TEMPLATE, align, similarity

if TYPE_CHECKING:
    import torch

    from facecom.models.detector import FaceDetector

#: A face's box: a square of this side around this point of the five-point template, pixels of a 112 px crop.
BOX_SIDE, BOX_MIDDLE = 84.0, (56.0, 67.0)

#: Two detections are one face when their boxes share more than this part of the smaller one.
SAME_FACE = 0.5

#: From this score on a detection counts as a face (chosen on composed scenes of held-back people, see
#: `benchmarks/detection.py`: from .53 on 95 % are faces; photos of whole people have more that is none).
THRESHOLD = 0.6

#: Smaller boxes are no faces: the detector has learned of none.
LEAST_FACE = 12.0

#: The detector looks at the photo, at a quarter of it, and so on: at one scale it finds faces up to ten times as large
#: as the smallest.
SCALE_STEP, LEAST_SIDE = 4, 64

#: Pixels of small photos that the detector sees at once: a call takes 5 ms whatever it sees. More take more memory.
PIXELS_AT_ONCE = 2**18

#: Side in pixels of a head that is cut out, and where the landmarks lie in it, float64 [5, 2], pixels of 112.
HEAD = 224
HEAD_TEMPLATE = (TEMPLATE - CROP_SIZE / 2) * FIXED_BOX[2] + np.array(FIXED_BOX[:2]) * CROP_SIZE


class Faces(NamedTuple):
    """landmarks: float32 [F, 5, 2], pixels of the photo, `left` and `right` of the upright face as its viewer sees
    them; scores: float32 [F], 0 to 1, highest first; boxes: float32 [F, 4], x, y, width, height, which may reach
    beyond the photo."""

    landmarks: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray


def frames_of(landmarks: np.ndarray) -> np.ndarray:
    """Scale and turn of each face against the template, as complex numbers [F] (pixels a pixel of a 112 px crop; the
    angle is how far the face is turned clockwise). landmarks: [F, 5, 2]. Least squares (Umeyama, PAMI 1991)."""
    template, points = _complex(TEMPLATE), _complex(landmarks)
    template, points = template - template.mean(), points - points.mean(-1, keepdims=True)
    # No matrix product: OpenBLAS's threads keep a core busy long after one.
    return (points * template.conj()).sum(-1) / (np.abs(template) ** 2).sum()


def _complex(points: np.ndarray) -> np.ndarray:
    """x, y [..., 2] -> x + iy, complex128 [...]."""
    x, y = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    return x + 1j * y


def sides_of(landmarks: np.ndarray) -> np.ndarray:
    """The side of each face's box in pixels, float64 [F]. landmarks: [F, 5, 2]."""
    return BOX_SIDE * np.abs(frames_of(landmarks))


def boxes_of(landmarks: np.ndarray) -> np.ndarray:
    """The box of each face, float32 [F, 4]: x, y, width, height. landmarks: [F, 5, 2]."""
    frames = frames_of(landmarks)
    middle = _complex(landmarks).mean(1) + frames * (complex(*BOX_MIDDLE) - _complex(TEMPLATE).mean())
    side = BOX_SIDE * np.abs(frames)
    return np.stack([middle.real - side / 2, middle.imag - side / 2, side, side], -1).astype(np.float32)


def turns_of(landmarks: np.ndarray) -> np.ndarray:
    """By how many degrees each face is turned clockwise, to the next quarter: int64 [F], one of 0, 90, 180, 270."""
    return (np.rint(np.angle(frames_of(landmarks)) / (np.pi / 2)).astype(np.int64) % 4) * 90


def detect(
    image: np.ndarray,
    threshold: float = THRESHOLD,
    device: "str | torch.device" = "cpu",
    amp: "torch.dtype | None" = None,
    model: "FaceDetector | None" = None,
) -> Faces:
    """All faces of a photo whose score reaches the threshold.

    image: RGB uint8 [H, W, 3], without impulse noise (`conditions.impulses`); amp: half precision, None for float32;
    model: a detector (default: the shipped one). Raises FacecomError when no detector is shipped.
    """
    return detect_each([image], threshold, device, amp, model)[0]


def detect_each(
    images: Sequence[np.ndarray],
    threshold: float = THRESHOLD,
    device: "str | torch.device" = "cpu",
    amp: "torch.dtype | None" = None,
    model: "FaceDetector | None" = None,
) -> list[Faces]:
    """The faces of each of several photos, which are seen together where they are of one size. All else: `detect`."""
    model = model or shipped_detector(str(device))
    seen = [(number, *level) for number, image in enumerate(images) for level in pyramid(image)]
    found: list[list[np.ndarray]] = [[np.zeros((0, 5, 2), np.float32)] for _ in images]
    scores: list[list[np.ndarray]] = [[np.zeros(0, np.float32)] for _ in images]
    for part in alike([picture for *_, picture in seen]):
        pictures = [seen[row][2] for row in part]
        for row, (landmarks, score) in zip(part, look(model, pictures, threshold, device, amp), strict=True):
            number, scale, _ = seen[row]
            found[number].append((landmarks + 0.5) / scale - 0.5)
            scores[number].append(score)
    return [strongest(*map(np.concatenate, each)) for each in zip(found, scores, strict=True)]


def alike(pictures: Sequence[np.ndarray]) -> Iterator[list[int]]:
    """The rows of the pictures that the detector sees together: as large as each other once they are padded, and no
    more than `PIXELS_AT_ONCE`, if not a single one."""
    of_size: dict[tuple[int, int], list[int]] = {}
    for row, picture in enumerate(pictures):
        of_size.setdefault(padded(picture), []).append(row)
    for (height, width), rows in of_size.items():
        step = max(1, PIXELS_AT_ONCE // (height * width))
        yield from (rows[start : start + step] for start in range(0, len(rows), step))


def padded(picture: np.ndarray) -> tuple[int, int]:
    """Height and width of the picture that the network is given: the next multiples of its coarsest stride."""
    height, width = (-(-side // 32) * 32 for side in picture.shape[:2])
    return height, width


def pyramid(image: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """(scale, picture) of a photo: itself, a quarter of its sides, a sixteenth, as long as enough is left."""
    levels: list[tuple[float, np.ndarray]] = [(1.0, image)]
    scale = 1.0 / SCALE_STEP
    while max(image.shape[:2]) * scale >= LEAST_SIDE:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        small: np.ndarray = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        levels.append((scale, small))
        scale /= SCALE_STEP
    return levels


def look(
    model: "FaceDetector",
    pictures: Sequence[np.ndarray],
    threshold: float,
    device: "str | torch.device" = "cpu",
    amp: "torch.dtype | None" = None,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each picture, all as large when `padded`: (landmarks float32 [F, 5, 2], scores float32 [F]) of all cells
    above the threshold, at one scale."""
    import torch

    device = torch.device(device)
    x = torch.full((len(pictures), *padded(pictures[0]), 3), 127.5)  # padding: 0 for the network
    for place, picture in zip(x, pictures, strict=True):
        place[: picture.shape[0], : picture.shape[1]] = torch.from_numpy(np.ascontiguousarray(picture))
    x = x.to(device).div_(127.5).sub_(1).permute(0, 3, 1, 2)
    with torch.inference_mode(), torch.autocast(device.type, amp, enabled=amp is not None):
        logits, landmarks = model(x)
    scores = logits.sigmoid().cpu().numpy()
    each = zip(landmarks.cpu().numpy(), scores, scores >= threshold, strict=True)
    return [(points[kept], score[kept]) for points, score, kept in each]


def strongest(landmarks: np.ndarray, scores: np.ndarray) -> Faces:
    """One detection a face: of those that overlap the one with the highest score (non-maximum suppression)."""
    boxes = boxes_of(landmarks)
    usable = boxes[:, 2] >= LEAST_FACE
    landmarks, scores, boxes = landmarks[usable], scores[usable], boxes[usable]
    kept: list[int] = []
    for candidate in np.argsort(-scores, kind="stable"):
        if not kept or covered(boxes[candidate], boxes[kept]).max() <= SAME_FACE:
            kept.append(int(candidate))
    return Faces(landmarks[kept], scores[kept], boxes[kept])


def shared_areas(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The area that a box [4] shares with each of others [F, 4] (x, y, width, height): float [F], square pixels."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    return np.clip(high - low, 0, None).prod(1)


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with others [F, 4] (x, y, width, height): float [F], 0 to 1."""
    shared = shared_areas(box, others)
    return shared / np.maximum(box[2:].prod() + others[:, 2:].prod(1) - shared, 1e-9)


def covered(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Which part of the smaller of two boxes they share; arguments as for `overlaps`: float [F], 0 to 1."""
    return shared_areas(box, others) / np.maximum(np.minimum(box[2:].prod(), others[:, 2:].prod(1)), 1e-9)


def largest(faces: Faces, shape: Sequence[int]) -> int | None:
    """Which face answers for a photo of this shape: the largest near the middle; None without one."""
    if not len(faces.scores):
        return None
    centre = np.array([shape[1], shape[0]]) / 2
    off = np.linalg.norm(faces.boxes[:, :2] + faces.boxes[:, 2:] / 2 - centre, axis=1) / max(shape[:2])
    return int(np.argmax(faces.boxes[:, 2] ** 2 * np.exp(-((off / 0.25) ** 2))))


@cache
def shipped_detector(device: str) -> "FaceDetector":
    """The shipped detector. Raises FacecomError when none is shipped."""
    from facecom.models import checkpoint

    return made_fast(cast("FaceDetector", checkpoint.load(None, "detector").model)).to(device)


def made_fast(detector: "FaceDetector") -> "FaceDetector":
    """The detector, in eval mode, for use alone: same answers up to rounding."""
    from torch import channels_last

    from facecom.models.backbones.folding import fold_norms
    from facecom.models.backbones.pointwise import as_products

    return as_products(fold_norms(detector)).to(memory_format=channels_last)


def head(image: np.ndarray, landmarks: np.ndarray, size: int = HEAD) -> np.ndarray:
    """The head of a face as a photo of its own, upright and framed as FACECOM's are: RGB uint8 [size, size, 3].

    image: RGB uint8 [H, W, 3]; landmarks: [5, 2] pixels of it.
    """
    return align(image, landmarks, size, HEAD_TEMPLATE)


def out_of_head(points: np.ndarray, landmarks: np.ndarray, size: int = HEAD) -> np.ndarray:
    """Points [5, 2] of a `head` in pixels of the photo it was cut from. landmarks: what it was cut by."""
    matrix = similarity(landmarks, HEAD_TEMPLATE * (size / CROP_SIZE))
    return cv2.transform(np.asarray(points, np.float64)[None], cv2.invertAffineTransform(matrix))[0].astype(np.float32)
