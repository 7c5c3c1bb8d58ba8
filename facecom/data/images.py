"""A photo as an array: decoding, and how large photos are looked at.

Many from a camera must fit in memory, and training must see what testing sees.
"""

import errno
import io
import os
import stat
from functools import cache
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from facecom.errors import FacecomError
from facecom.files import without_waiting

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

#: Pixels that are converted at a time.
STRIP = 1 << 24


def read_photo(path: str | os.PathLike) -> np.ndarray:
    """A photo as RGB uint8 [H, W, 3], turned as its EXIF orientation says.

    Grey, palette and CMYK are converted, deeper grey is scaled to 8 bits, transparent pixels show mid grey, of an
    animation the first picture counts; EXIF that is damaged does not. Raises FacecomError, beginning with the path, for
    what is not a whole photo. Pipes and devices are not opened: they may never end. The file may change meanwhile.
    """
    try:
        _refuse_others(path, os.stat(path).st_mode)
        # Pillow is given the open file: of a path it would map grey photos, and one cut short then ends the process.
        with open(path, "rb", opener=without_waiting) as file:
            _refuse_others(path, os.fstat(file.fileno()).st_mode)
            with _open(file) as image:
                return _turned(_pixels(image), _orientation(image))
    except FacecomError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        reason = "a link that leads nowhere" if os.path.islink(path) else "no such file"
        reason = "its name is not UTF-8; rename it" if "\\udc" in str(path) else reason
    except IsADirectoryError:  # it has taken the photo's place
        reason = "a folder, not a photo"
    except PermissionError:
        reason = "no permission to read it"
    except UnidentifiedImageError:
        reason = _unidentified(path)
    except Image.DecompressionBombError:
        reason = "more than 178 million pixels; scale it down"
    except MemoryError:
        reason = "too large for this machine's memory; scale it down"
    except Exception as error:  # decoders raise anything at all for damaged files
        reason = _refused(error) or f"truncated or damaged ({' '.join(str(error).split())})"
    raise FacecomError(f"{path}: {reason}")


def _refuse_others(path: str | os.PathLike, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise FacecomError(f"{path}: {'a folder' if stat.S_ISDIR(mode) else 'a pipe or a device'}, not a photo")


def _refused(error: Exception) -> str:
    """Why the system does not give a file out, `` where it is not the system that raised the error."""
    number = getattr(error, "errno", None)
    if number in (None, errno.EINVAL):  # damaged files send decoders to places before their beginning
        return ""
    told = str(getattr(error, "strerror", "")).lower()
    return "links lead in a circle" if number == errno.ELOOP else f"the disk does not give it out ({told})"


def _unidentified(path: str | os.PathLike) -> str:
    """Why nothing knows this file as a photo."""
    kind = Path(path).suffix.lower()
    if kind in OTHER_TYPES or (kind in HEIF_TYPES and not _knows_heif()):
        return f"{kind[1:].upper()} cannot be read here; save it as JPEG"
    try:
        return "an empty file" if os.path.getsize(path) == 0 else "not an image"
    except OSError:  # gone meanwhile
        return "no such file"


def _open(file: BinaryIO) -> Image.Image:
    """Pillow's image of an open file; what only pillow-heif reads makes it load that."""
    try:
        image = Image.open(file)
    except UnidentifiedImageError:
        if not _knows_heif():
            raise
        file.seek(0)
        return Image.open(file)
    if image.format == "JPEG2000":  # OpenJPEG ends the process where the file becomes shorter
        file.seek(0)
        return Image.open(io.BytesIO(file.read()))
    return image


@cache
def _knows_heif() -> bool:
    """Whether telephones' HEIC files can be read: the first call makes Pillow read them."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 to 8; 1 (upright) where EXIF is missing, damaged, or says anything else."""
    try:
        found = image.getexif().get(EXIF_ORIENTATION, 1)
    except Exception:  # the pixels are whole all the same
        return 1
    return found if found in _TURNS else 1


#: By EXIF orientation: quarter turns to the left, after a mirror image (left and right exchanged) or not.
_TURNS = {1: (0, False), 2: (0, True), 3: (2, False), 4: (2, True), 5: (1, True), 6: (3, False), 7: (3, True),
          8: (1, False)}  # fmt: skip


def _turned(photo: np.ndarray, orientation: int) -> np.ndarray:
    turns, mirrored = _TURNS[orientation]
    return np.ascontiguousarray(np.rot90(photo[:, ::-1] if mirrored else photo, turns))


def _pixels(image: Image.Image) -> np.ndarray:
    """RGB uint8 [H, W, 3] of an image of any mode, in strips: of a large one, no second copy is ever whole."""
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        return np.repeat(_grey(image)[..., None], 3, 2)
    width, height = image.size
    photo = np.empty((height, width, 3), np.uint8)
    step = max(1, STRIP // max(width, 1))
    for top in range(0, height, step):
        strip = image if step >= height else image.crop((0, top, width, min(top + step, height)))
        photo[top : top + step] = _rgb(strip)
    return photo


def _grey(image: Image.Image) -> np.ndarray:
    """Grey of 16 or 32 bits or of floating point, as uint8 [H, W]; Pillow's own conversion would clip it at 255.

    White is 65535; where all values are at most 255, and the file need not have 16 bits, 255, or of floats 1.
    """
    grey = np.asarray(image)
    if image.mode == "F":
        grey = np.nan_to_num(grey, nan=0.0, posinf=65535.0, neginf=0.0)
    highest = grey.max(initial=0)
    if image.mode == "F" and highest <= 1:
        grey = grey * 255
    elif image.mode not in ("I", "F") or highest > 255:
        grey = grey / 257
    return np.round(grey).clip(0, 255).astype(np.uint8)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*BACKDROP, 255)), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


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
