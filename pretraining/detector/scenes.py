"""What the detector learns from: scenes of many faces and of none, put together from single photos.

Photos are laid on a background at all sizes and turns; no face is covered by another. Faces of a photo that the
detector's teacher sees beside the main one are known, too. The scene is then distorted as a whole.
"""

from typing import NamedTuple

import cv2
import numpy as np

from facecom.conditions import distort
from facecom.conditions.jpeg import drawn_quality, through_jpeg
from facecom.faces.detect import boxes_of, shared_areas, sides_of
from facecom.faces.yunet import mirror
from pretraining.finder.framings import other_colours
from pretraining.finder.no_face import without_face
from pretraining.photos import PHOTO, Photo

#: Side in pixels of a scene, and of the smallest and the largest face that is to be found at one scale.
SCENE, SMALLEST, LARGEST = 256, 12.0, 170.0

#: How often a scene is in each condition; the others share the rest evenly.
CONDITION_SHARES = {"clean": 0.22, "blurred": 0.2, "noisy": 0.12, "rainy": 0.13, "occluded": 0.04, "sunny": 0.02} | {
    condition: 0.09 for condition in ("foggy", "lowlight", "resized")
}

SEVERITY_SHARES = (0.2, 0.25, 0.35, 0.15, 0.05)

#: A share of the scenes has a patchwork of other photos' details behind the faces: sides of a patch in pixels of its
#: photo, by how much it is enlarged, how many, and how much of a face may be on one that is to have none.
PATCHED, PATCH_SIDES, PATCH_SCALES, PATCHES, FACE_PART = 0.6, (20, 110), (0.5, 3.0), 16, 0.2

#: Of a face that is to be found so much of the box shows: half a face at the edge is neither right nor wrong.
SEEN = 0.75

#: A share of the faces lies on its side or stands on its head.
TURNED = 0.25


class Scene(NamedTuple):
    """image: RGB uint8 [S, S, 3]; landmarks: float32 [F, 5, 2], pixels, `left` as the upright face's viewer sees it;
    known: bool [F], False where nobody is sure that it is a face, or much of it is cut off (such are neither right nor
    wrong)."""

    image: np.ndarray
    landmarks: np.ndarray
    known: np.ndarray


class Source(NamedTuple):
    """A photo, the landmarks of all faces on it, float32 [F, 5, 2], the main one first, and which of them are surely
    faces, bool [F]."""

    image: np.ndarray
    landmarks: np.ndarray
    sure: np.ndarray


def compose(
    rng: np.random.Generator,
    photos: list[Source],
    scenes: list[np.ndarray],
    size: tuple[int, int] = (SCENE, SCENE),
    most: int = 10,
    sides: tuple[float, float] = (SMALLEST, LARGEST),
    turned: float = TURNED,
) -> Scene:
    """A scene of up to `most` faces, not yet distorted; one in ten has none.

    photos: to lay on it; scenes: pictures without a face, for the background; size: (height, width); sides: of the
    faces, pixels, least and most; turned: share of faces that lie or stand on their heads.
    """
    canvas = _background(rng, photos, scenes, size)
    landmarks: list[np.ndarray] = []
    known: list[bool] = []
    wanted = 0 if rng.random() < 0.1 else 1 + int(rng.integers(most) * rng.random())
    for _ in range(3 * wanted):
        if len(landmarks) >= wanted:
            break
        photo = photos[rng.integers(len(photos))]
        side = np.exp(rng.uniform(*np.log(sides)))
        placed, sure = _lay(rng, canvas, photo, side, landmarks, turned)
        landmarks += list(placed)
        known += list(sure)
    return Scene(canvas, np.array(landmarks, np.float32).reshape(-1, 5, 2), np.array(known, bool))


def worsen(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The scene in a condition drawn by `CONDITION_SHARES`, mostly out of a JPEG. Distortions count in pixels of a
    224 px photo: in a scene they are those of faces of any size."""
    image = other_colours(rng, image)
    condition = rng.choice(list(CONDITION_SHARES), p=list(CONDITION_SHARES.values()))
    severity = 1 + int(rng.choice(5, p=SEVERITY_SHARES))
    scale = float(np.exp(rng.uniform(np.log(0.3), 0)))
    if condition != "clean":
        image = distort(image, condition, severity, rng, scale)
    return through_jpeg(image, drawn_quality(rng)) if rng.random() < 0.8 else image


def _background(rng, photos: list[Source], scenes: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    source = photos[rng.integers(len(photos))]
    picture = without_face(rng, Photo(source.image, source.landmarks[0], []), scenes, PHOTO)
    if rng.random() < PATCHED:
        return _patchwork(rng, cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR), photos)
    if rng.random() < 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(1, 12))
    return cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR)


def _patchwork(rng, canvas: np.ndarray, photos: list[Source]) -> np.ndarray:
    """The canvas with details of photos laid on it: clothes, hands, hair, letters, an eye alone: what looks like a face
    to a network that has seen heads only."""
    height, width = canvas.shape[:2]
    for _ in range(PATCHES * height * width // SCENE**2):
        photo = photos[rng.integers(len(photos))]
        limits = np.array(photo.image.shape[:2])
        sides = np.minimum(np.exp(rng.uniform(*np.log(PATCH_SIDES), 2)).astype(int), limits - 1)
        top, left = rng.integers(0, limits - sides)
        part = np.array([left, top, sides[1], sides[0]], float)
        faces = boxes_of(photo.landmarks)
        if (shared_areas(part, faces) > FACE_PART * faces[:, 2] ** 2).any():
            continue
        patch = photo.image[top : top + sides[0], left : left + sides[1]]
        scale = np.exp(rng.uniform(*np.log(PATCH_SCALES)))
        shape = np.clip(sides * scale, 8, [height, width]).astype(int)
        patch = cv2.resize(patch, shape[::-1].tolist(), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        patch = patch[:, ::-1] if rng.random() < 0.5 else patch
        top, left = rng.integers(0, [height, width] - shape + 1)
        canvas[top : top + shape[0], left : left + shape[1]] = patch
    return canvas


def _lay(
    rng, canvas, photo: Source, side: float, present: list[np.ndarray], turned: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a photo on the canvas so that its main face has this side; returns the landmarks of its faces there and which
    of them are surely faces, or none where it would cover another face."""
    nothing = np.zeros((0, 5, 2)), np.zeros(0, bool)
    image, landmarks, sure = photo
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        landmarks = np.stack([mirror(points, image.shape[1]) for points in landmarks])
    height, width = canvas.shape[:2]
    angle = rng.normal(0, 8) if rng.random() < 0.8 else rng.uniform(-30, 30)
    angle += 90 * rng.integers(1, 4) if rng.random() < turned else 0
    scale = side / sides_of(landmarks[:1])[0]
    matrix = cv2.getRotationMatrix2D(landmarks[0].mean(0).astype(float).tolist(), angle, scale)
    margin = 0.35 * side
    if min(height, width) <= 2 * margin:
        return nothing
    matrix[:, 2] += rng.uniform(margin, np.array([width, height]) - margin) - landmarks[0].mean(0)
    mask = _mask(rng, image, landmarks[0])
    image, mask, matrix = _reduced(image, mask, matrix, scale)
    layer = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    cover = cv2.warpAffine(mask, matrix, (width, height))
    if present and _covers(cover, np.stack(present)):
        return nothing
    reduction = landmarks * np.float32(1 / _reduction(scale)) + np.float32(0.5 / _reduction(scale) - 0.5)
    placed = np.stack([cv2.transform(points[None].astype(np.float64), matrix)[0] for points in reduction])
    inside = (placed.mean(1) >= 0).all(1) & (placed.mean(1) < [width, height]).all(1)
    middle = np.floor(placed.mean(1)).astype(int)
    shown = [bool(ok) and cover[y, x] > 127 for ok, (x, y) in zip(inside, middle, strict=True)]
    if not shown[0]:
        return nothing
    share = cover[:, :, None].astype(np.uint16)
    canvas[:] = ((canvas * (255 - share) + layer * share + 127) // 255).astype(np.uint8)
    placed, sure = placed[np.array(shown)], sure[np.array(shown)]
    return placed, sure & (seen_of(cover, placed) >= SEEN)


def seen_of(cover: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """How much of each face's box shows, float [F], 0 to 1: the edge of its photo, of its mask or of the scene may cut
    through it. cover: uint8 [H, W], how much of the photo shows; landmarks: [F, 5, 2]."""
    boxes = np.rint(boxes_of(landmarks)).astype(int)
    low, high = np.maximum(boxes[:, :2], 0), np.maximum(boxes[:, :2] + boxes[:, 2:], 0)
    shown = [cover[y:bottom, x:right].sum() / 255 for (x, y), (right, bottom) in zip(low, high, strict=True)]
    return np.array(shown) / np.maximum(boxes[:, 2:].prod(1), 1)


def _reduction(scale: float) -> int:
    return max(1, int(0.7 / scale))


def _reduced(image, mask, matrix, scale):
    """Photo, mask and matrix for a photo that is first averaged down, so that the warp does not alias."""
    factor = _reduction(scale)
    if factor == 1:
        return image, mask, matrix
    height, width = (side // factor for side in image.shape[:2])
    area = slice(0, height * factor), slice(0, width * factor)
    image = cv2.resize(image[area], (width, height), interpolation=cv2.INTER_AREA)
    mask = cv2.resize(mask[area], (width, height), interpolation=cv2.INTER_AREA)
    matrix = matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ np.full(2, (factor - 1) / 2)
    matrix[:, :2] *= factor
    return image, mask, matrix


def _mask(rng, image: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """How much of the photo shows, uint8 [H, W]: all of it, as a print on the wall, or the head with a soft edge."""
    mask = np.zeros(image.shape[:2], np.uint8)
    if rng.random() < 0.45:
        mask[:] = 255
        return mask
    side = float(sides_of(landmarks[None])[0])
    centre = landmarks.mean(0) - [0, 0.1 * side]
    axes = side * rng.uniform(0.75, 1.1), side * rng.uniform(0.85, 1.2)
    cv2.ellipse(mask, (centre.tolist(), (2 * axes[0], 2 * axes[1]), 0), 255, -1)
    return cv2.GaussianBlur(mask, (0, 0), max(0.5, side * rng.uniform(0.01, 0.08)))


def _covers(cover: np.ndarray, present: np.ndarray) -> bool:
    """Whether more than a tenth of a face that is there would be hidden."""
    height, width = cover.shape
    for x, y, side, _ in boxes_of(present):
        left, top = max(0, int(x)), max(0, int(y))
        part = cover[top : max(top + 1, min(height, int(y + side))), left : max(left + 1, min(width, int(x + side)))]
        if part.size and part.mean() > 25:
            return True
    return False
