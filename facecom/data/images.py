"""A photo as an array: decoding, and how large photos are looked at.

Many from a camera must fit in memory, and training must see what testing sees.
"""

import os
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from facecom.errors import FacecomError

#: Endings of photos that are read; HEIC and HEIF by pillow-heif.
PHOTO_TYPES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".heic", ".heif")
    + (".avif", ".jp2", ".j2k", ".ppm", ".pgm", ".pnm", ".tga")
)

#: Photos that cannot be read here: named among the unreadable, and not passed over.
OTHER_TYPES = frozenset((".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw"))

#: What shows through transparent pixels, whose own colour is arbitrary: mid grey, neither dark nor bright.
BACKDROP = (128, 128, 128)


HEIF_TYPES = frozenset((".heic", ".heif"))

EXIF_ORIENTATION = 0x0112


def read_photo(path: str | os.PathLike) -> np.ndarray:
    """A photo as RGB uint8 [H, W, 3], turned as its EXIF orientation says.

    Grey, palette and CMYK are converted, 16-bit grey is scaled to 8 bits, transparent pixels show mid grey, of an
    animation the first picture counts. Raises FacecomError, beginning with the path, for what is not a whole photo.
    """
    try:
        with _open(path) as file:
            image: Image.Image = file
            if image.getexif().get(EXIF_ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
            return np.array(_rgb(image))
    except FileNotFoundError:
        raise FacecomError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise FacecomError(f"{path}: a folder, not a photo") from None
    except PermissionError:
        raise FacecomError(f"{path}: no permission to read it") from None
    except UnidentifiedImageError:
        kind = Path(path).suffix.lower()
        reason = "an empty file" if os.path.getsize(path) == 0 else "not an image"
        unknown = kind in OTHER_TYPES or (kind in HEIF_TYPES and not _knows_heif())
        reason = f"{kind[1:].upper()} cannot be read here; save it as JPEG" if unknown else reason
        raise FacecomError(f"{path}: {reason}") from None
    except Image.DecompressionBombError:
        raise FacecomError(f"{path}: more than 178 million pixels; scale it down") from None
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError) as error:
        # Pillow's decoders raise all of these for damaged files.
        raise FacecomError(f"{path}: truncated or damaged ({error})") from None


def _open(path: str | os.PathLike) -> Image.Image:
    """Pillow's image of a file; what only pillow-heif reads makes it load that."""
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if not _knows_heif():
            raise
        return Image.open(path)


@cache
def _knows_heif() -> bool:
    """Whether telephones' HEIC files can be read: the first call makes Pillow read them."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        grey = np.asarray(image)
        grey = grey / 257 if image.mode != "I" or grey.max(initial=0) > 255 else grey
        return Image.fromarray(np.round(grey).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*BACKDROP, 255)), image).convert("RGB")
    return image.convert("RGB")


#: Longest side in pixels that a photo is scaled down to once decoded. A face that fills a third of the picture keeps
#: twice the pixels of the crop; YuNet is for smaller ones.
LONGEST_SIDE, LONGEST_SIDE_YUNET = 640, 1600

#: The same where every face is looked for, however small.
LONGEST_SIDE_FACES = 4000


def longest_side(mode: str) -> int:
    """The longest side for a way of finding the face (`cli.ALIGNMENTS`)."""
    return LONGEST_SIDE_YUNET if mode == "yunet" else LONGEST_SIDE


def shrink(photo: np.ndarray, longest: int) -> np.ndarray:
    """The photo itself, or where it is larger a copy of which the longest side has so many pixels."""
    share = longest / max(photo.shape[:2])
    if share >= 1:
        return photo
    height, width = (max(1, round(side * share)) for side in photo.shape[:2])
    return cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA)


CROP_SIZE = 112
