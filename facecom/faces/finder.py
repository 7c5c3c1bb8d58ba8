"""The project's own finder: five landmarks of the face in a roughly centred head photo.

Its network looks at the whole picture. Where it is not sure, or the face is small, it looks closer at the mirror image
too, since each errs in its own way, and what both say is put together.

landmarks: float [B, 5, 2], pixels; errors: float [B, 5], how far each landmark is expected to be off, as a share of the
distance between the eyes (the scale of a Laplace distribution).
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

from facecom.data.images import CROP_SIZE
from facecom.faces.alignment import TEMPLATE, align, fixed_landmarks, similarity
from facecom.faces.yunet import MIRRORED, mirror
from facecom.models.networks import face_confidence, parts_of

if TYPE_CHECKING:
    import torch

    from facecom.models.networks import LandmarkNet


#: Nine in ten of FACECOM's faces would be enlarged by less for a second look.
USUAL_ENLARGEMENT = 1.55

#: A first look as sure as this, at a face of usual size, is enough (`benchmarks/looks.py`).
SURE_AT_ONCE = 0.8


def letterbox(image: np.ndarray, size: int = 112) -> tuple[np.ndarray, float, np.ndarray]:
    """The whole picture in a square, grey beside it.

    image: RGB uint8 [H, W, 3]. Returns RGB uint8 [size, size, 3], the scale, and the offset [2]: a point p of the image
    lies at `(p + 0.5) * scale - 0.5 + offset`.
    """
    height, width = image.shape[:2]
    scale = size / max(height, width)
    inner = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = cv2.resize(image, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size - inner[0]) // 2, (size - inner[1]) // 2
    if inner == (size, size):
        return scaled, scale, np.zeros(2)
    square = np.full((size, size, 3), 127, np.uint8)
    square[top : top + inner[1], left : left + inner[0]] = scaled
    return square, scale, np.array([left, top])


def look(
    model: "LandmarkNet",
    pictures: list[np.ndarray],
    device: "str | torch.device" = "cpu",
    amp: "torch.dtype | None" = None,
    mirrored: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(landmarks, errors, confidence float32 [B]) of one pass of the network. pictures: RGB uint8 [S, S, 3]; amp: half
    precision, None for float32; mirrored: it sees their mirror images, and what it says is turned back."""
    said = [_pass(model, part, device, amp, mirrored) for part in parts_of(pictures, device)]
    landmarks, errors, sure = map(np.concatenate, zip(*said, strict=True))
    if mirrored:
        landmarks, errors = np.stack([mirror(points, model.img_size) for points in landmarks]), errors[:, MIRRORED]
    return landmarks, errors, sure


def _pass(model: "LandmarkNet", pictures: list[np.ndarray], device, amp, mirrored: bool) -> tuple[np.ndarray, ...]:
    """What the network says of these, as it says it."""
    import torch

    device = torch.device(device)
    x = torch.from_numpy(np.stack([picture[:, ::-1] for picture in pictures] if mirrored else pictures))
    x = x.to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
    with torch.inference_mode(), torch.autocast(device.type, amp, enabled=amp is not None):
        said, log_error, face = model(x)
    sure = face_confidence(log_error, face)
    return said.float().cpu().numpy(), log_error.float().exp().cpu().numpy(), sure.cpu().numpy()


class Seen(NamedTuple):
    """What one look saw. landmarks: pixels of each photo; confidence: float32 [B]; nothing: bool [B], landmarks in a
    heap; scale: float [B], pixels that the network saw for one of the photo."""

    landmarks: np.ndarray
    errors: np.ndarray
    confidence: np.ndarray
    nothing: np.ndarray
    scale: np.ndarray

    def of(self, rows: np.ndarray) -> "Seen":
        """What it saw on some of the photos. rows: int [b]."""
        return Seen(*(field[rows] for field in self))


def from_afar(model: "LandmarkNet", images: Sequence[np.ndarray], *how, **more) -> Seen:
    """A look at whole photos, RGB uint8 [H, W, 3]. Without a face the landmarks may lie in a heap, which no similarity
    can be fitted to: then they are those of the fixed box. how, more: as for `look`."""
    framed = [letterbox(image, model.img_size) for image in images]
    found, errors, sure = look(model, [picture for picture, _, _ in framed], *how, **more)
    nothing = np.array([is_heap(points) for points in found])
    places = [(p - offset + 0.5) / scale - 0.5 for p, (_, scale, offset) in zip(found, framed, strict=True)]
    places = [fixed_landmarks(image) if n else p for image, p, n in zip(images, places, nothing, strict=True)]
    return Seen(np.stack(places), errors, sure, nothing, np.array([scale for _, scale, _ in framed]))


def close_up(model: "LandmarkNet", images: Sequence[np.ndarray], landmarks: np.ndarray, *how, **more) -> Seen:
    """A look at the faces that have these landmarks, in the loose frame; the others: as for `from_afar`."""
    size = model.img_size
    crops = [align(image, p, size, LOOSE_TEMPLATE) for image, p in zip(images, landmarks, strict=True)]
    found, errors, sure = look(model, crops, *how, **more)
    into = [_into_loose(p, size) for p in landmarks]
    places = [cv2.transform(p[None], cv2.invertAffineTransform(m))[0] for p, m in zip(found, into, strict=True)]
    nothing = np.array([is_heap(points) for points in found])
    return Seen(np.stack(places), errors, sure, nothing, np.array([_scale(m) for m in into]))


def _into_loose(landmarks: np.ndarray, size: int) -> np.ndarray:
    return similarity(landmarks, LOOSE_TEMPLATE * (size / CROP_SIZE))


def _scale(matrix: np.ndarray) -> float:
    return float(np.hypot(matrix[0, 0], matrix[0, 1]))


def unsure(first: Seen, size: int) -> np.ndarray:
    """bool [B]: where the first look is not enough, being unsure, or coarse since the face is small. size: of the
    picture that the network sees."""
    enlarged = np.array([_scale(_into_loose(p, size)) for p in first.landmarks]) / first.scale
    return first.nothing | (first.confidence < SURE_AT_ONCE) | (enlarged > USUAL_ENLARGEMENT)


def coarseness(enlarged: np.ndarray) -> np.ndarray:
    """What the first look's errors are to be multiplied by, float [B, 1]: 1 for faces as large as in the photos that
    the finder knows best, more for smaller ones, of which it is too sure. enlarged: float [B], the second look's size
    of the face over the first's."""
    return np.maximum(1, enlarged[:, None] / USUAL_ENLARGEMENT) ** 2


def together(first: Seen, second: Seen) -> tuple[np.ndarray, np.ndarray]:
    """(landmarks, confidence float32 [B]) of two looks: the mean weighted by the inverse of their variances, which is
    best when their errors have nothing to do with each other (Aitken, 1935), and the mean confidence; where one of them
    saw nothing, the first's landmarks and 0."""
    coarse = first.errors * coarseness(second.scale / first.scale)
    weight, other = coarse[..., None] ** -2.0, second.errors[..., None] ** -2.0
    merged = (weight * first.landmarks + other * second.landmarks) / (weight + other)
    nothing = first.nothing | second.nothing
    sure = np.where(nothing, 0, (first.confidence + second.confidence) / 2)
    return np.where(nothing[:, None, None], first.landmarks, merged), sure


def settled(model: "LandmarkNet", images: Sequence[np.ndarray], first: Seen, *how) -> tuple[np.ndarray, np.ndarray]:
    """(landmarks, confidence float32 [B]) after the closer look that a first one of these photos may need. how: as for
    `look`."""
    places, sure = first.landmarks.copy(), first.confidence.copy()
    again = np.flatnonzero(unsure(first, model.img_size))
    if len(again):
        seen = first.of(again)
        second = close_up(model, [images[i] for i in again], seen.landmarks, *how, mirrored=True)
        places[again], sure[again] = together(seen, second)
    return places, sure


def is_heap(landmarks: np.ndarray) -> bool:
    """Whether all landmarks [5, 2] lie within a pixel of each other, as they may where there is no face."""
    return bool(np.ptp(landmarks, axis=0).max() < 1)


#: The finder's second look: the same face smaller, so that the whole head shows when the face itself is glare.
LOOSE_TEMPLATE = (TEMPLATE - CROP_SIZE / 2) * 0.75 + CROP_SIZE / 2


def find(
    images: Sequence[np.ndarray],
    batch_size: int = 64,
    device: "str | torch.device" = "cpu",
    amp: "torch.dtype | None" = None,
    model: "LandmarkNet | None" = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of the face in each photo, by the project's own finder: a look at the whole picture, and where that is
    not enough (`unsure`) one at the mirror image of the face that it found. The second sees more of the face, the first
    where faces are in photos, which is what is left to go by under glare: the mean of both, by how sure each is, is
    nearer to the truth than either (`together`).

    images: RGB uint8 [H, W, 3] of any sizes, each a roughly centred head, without impulse noise (`without_impulses`);
    amp: half precision, None for float32; model: a finder (default: the shipped one). Returns landmarks float32
    [N, 5, 2] in pixels of each image, and confidence float32 [N], 0 to 1: the probability that there is a face and
    that a landmark is within a tenth of the distance between the eyes. Raises FacecomError when no finder is shipped.
    """
    model = model or _shipped_finder(str(device))
    landmarks, confidence = np.zeros((len(images), 5, 2), np.float32), np.zeros(len(images), np.float32)
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        places, sure = settled(model, batch, from_afar(model, batch, device, amp), device, amp)
        part = slice(start, start + len(batch))
        landmarks[part], confidence[part] = places, sure
    return landmarks, confidence


@cache
def _shipped_finder(device: str) -> "LandmarkNet":
    from facecom.models import checkpoint

    return made_fast(cast("LandmarkNet", checkpoint.load(None, "landmarks").model)).to(device)


def made_fast(finder: "LandmarkNet") -> "LandmarkNet":
    """The finder, in eval mode, for use alone: batch norms folded into convolutions, which saves a quarter on a CPU."""
    from torch import channels_last

    from facecom.models.backbones.folding import fold_norms

    return fold_norms(finder).to(memory_format=channels_last)
