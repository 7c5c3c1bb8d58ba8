"""The project's own finder: five landmarks of the face in a roughly centred head photo.

Its network looks at a square picture and its mirror image, then closer, and what two looks say is put together.

landmarks: float [B, 5, 2], pixels; errors: float [B, 5], how far each landmark is expected to be off, as a share of the
distance between the eyes (the scale of a Laplace distribution).
"""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from facecom.conditions.impulses import without_impulses
from facecom.data.images import CROP_SIZE
from facecom.faces.alignment import TEMPLATE, align, fixed_landmarks, similarity
from facecom.faces.yunet import MIRRORED, mirror
from facecom.models.networks import face_confidence

if TYPE_CHECKING:
    import torch

    from facecom.models.networks import LandmarkNet


#: Nine in ten of FACECOM's faces are enlarged by less for the second look.
USUAL_ENLARGEMENT = 1.55


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
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(landmarks, errors, confidence float32 [B]): the means over the pictures and their mirror images, since each errs
    in its own way. pictures: RGB uint8 [S, S, 3]; amp: half precision, None for float32."""
    import torch

    device, count = torch.device(device), len(pictures)
    both = np.stack([*pictures, *(picture[:, ::-1] for picture in pictures)])
    x = torch.from_numpy(both).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode(), torch.autocast(device.type, amp, enabled=amp is not None):
        landmarks, log_error, face = model(x)
    sure = face_confidence(log_error, face).cpu().numpy()
    landmarks, errors = landmarks.float().cpu().numpy(), log_error.float().exp().cpu().numpy()
    turned = np.stack([mirror(points, model.img_size) for points in landmarks[count:]])
    errors = (errors[:count] + errors[count:][:, MIRRORED]) / 2
    return (landmarks[:count] + turned) / 2, errors, (sure[:count] + sure[count:]) / 2


def coarseness(enlarged: list[float]) -> np.ndarray:
    """What the first look's errors are to be multiplied by, float [B, 1]: 1 for faces as large as in the photos that
    the finder knows best, more for smaller ones, of which it is too sure. enlarged: the second look's size of the face
    over the first's."""
    return np.maximum(1, np.array(enlarged)[:, None] / USUAL_ENLARGEMENT) ** 2


def together(first: np.ndarray, errors: np.ndarray, second: np.ndarray, other_errors: np.ndarray) -> np.ndarray:
    """Landmarks of two looks: the mean weighted by the inverse of their variances, which is best when their errors have
    nothing to do with each other (Aitken, 1935). All in the photo's pixels."""
    weight, other = errors[..., None] ** -2.0, other_errors[..., None] ** -2.0
    return (weight * first + other * second) / (weight + other)


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
    """Landmarks of the face in each photo, by the project's own finder: impulse noise is taken off, then comes a look
    at the whole picture, then one at the face that the first look found. The second sees more of the face, the first
    where faces are in photos, which is what is left to go by under glare: the mean of both, by how sure each is, is
    nearer to the truth than either (`together`).

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
    from facecom.models import checkpoint

    return made_fast(cast("LandmarkNet", checkpoint.load(None, "landmarks").model)).to(device)


def made_fast(finder: "LandmarkNet") -> "LandmarkNet":
    """The finder, in eval mode, for use alone: batch norms folded into convolutions, which saves a quarter on a CPU."""
    from torch import channels_last
    from torch.fx.experimental.optimization import fuse

    finder.backbone, finder.mix = fuse(finder.backbone), cast("torch.nn.Sequential", fuse(finder.mix))
    return finder.to(memory_format=channels_last)
