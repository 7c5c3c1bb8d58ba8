"""Looks at a face with the finder's network: at a square picture and its mirror image, and what two looks say together.

landmarks: float [B, 5, 2], pixels; errors: float [B, 5], how far each landmark is expected to be off, as a share of the
distance between the eyes (the scale of a Laplace distribution).
"""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from facecom.detector import MIRRORED, mirror

if TYPE_CHECKING:
    import torch

    from facecom.models import LandmarkNet

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


def face_confidence(log_error: "torch.Tensor", face: "torch.Tensor") -> "torch.Tensor":
    """Probability that there is a face and that a landmark is within a tenth of the distance between the eyes.

    log_error: float [B, 5], face: logit [B], as `LandmarkNet` gives them. Returns float [B].
    """
    # A Laplace distribution in the plane: P(r < t) = 1 - (1 + t / b) exp(-t / b), t a tenth of the eye distance.
    ratio = 0.1 / log_error.exp().mean(1)
    return face.sigmoid() * (1 - (1 + ratio) * (-ratio).exp())
