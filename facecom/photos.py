"""Photos and folders of photos: a photo as an array, a data set as one table. No file of the user's is moved."""

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError

from facecom.audit import audit as audit
from facecom.distortions import condition_of
from facecom.errors import FacecomError, FacecomWarning
from facecom.holdback import held_back_position

PHOTO_TYPES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif"))

#: Photos that Pillow may not be able to read: named among the unreadable then, and not passed over.
OTHER_TYPES = frozenset((".avif", ".heic", ".heif", ".jxl"))
GENDERS = ("male", "female")

#: Where a table's distorted copies lie, below the folder of their identity.
DISTORTED = "distortion"

#: What shows through transparent pixels, whose own colour is arbitrary: mid grey, neither dark nor bright.
BACKDROP = (128, 128, 128)

EXIF_ORIENTATION = 0x0112


def read_photo(path: str | Path) -> np.ndarray:
    """A photo as RGB uint8 [H, W, 3], turned as its EXIF orientation says.

    Grey, palette and CMYK are converted, 16-bit grey is scaled to 8 bits, transparent pixels show mid grey, of an
    animation the first picture counts. Raises FacecomError, beginning with the path, for what is not a whole photo.
    """
    try:
        with Image.open(path) as image:
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
        reason = f"{kind[1:].upper()} cannot be read here; save it as JPEG" if kind in OTHER_TYPES else reason
        raise FacecomError(f"{path}: {reason}") from None
    except Image.DecompressionBombError:
        raise FacecomError(f"{path}: more than 178 million pixels; scale it down") from None
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, OverflowError) as error:
        # Pillow's decoders raise all of these for damaged files.
        raise FacecomError(f"{path}: truncated or damaged ({error})") from None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
        grey = np.asarray(image)
        grey = grey / 257 if image.mode != "I" or grey.max(initial=0) > 255 else grey
        return Image.fromarray(np.round(grey).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, (*BACKDROP, 255)), image).convert("RGB")
    return image.convert("RGB")


def flat_table(folder: str | Path) -> pd.DataFrame:
    """The photos that lie in a folder itself: [path, file, photo, condition], sorted by file name.

    photo, condition: what the name says (`distortions.condition_of`). Raises FacecomError without any photo.
    """
    rows = [_row(path, path.name) for path in _photos_in(_existing(folder))]
    if not rows:
        raise FacecomError(f"{folder}: no photos ({', '.join(sorted(PHOTO_TYPES))})")
    return pd.DataFrame(rows)


def task_a_table(folder: str | Path) -> pd.DataFrame:
    """A split of Task A: [path, file, identity, photo, condition, gender], sorted by file.

    folder: holds `male/` and `female/`, or is flat (gender is then ``). file: relative to it, `/` as separator;
    identity: the name without its number, as in `Ann_Lee_0002`; where names do not say it (no number, or the same
    word before most numbers, as in `IMG_0002`), each photo stands for a person. Raises FacecomError without any photo.
    """
    folder = _existing(folder)
    rows = []
    if any((folder / gender).is_dir() for gender in GENDERS):
        _name_strays(folder, "male/ and female/", GENDERS)
    for gender in GENDERS:
        for path in _photos_in(folder / gender):
            rows.append(_row(path, f"{gender}/{path.name}") | {"gender": gender})
    table = pd.DataFrame(rows) if rows else flat_table(folder).assign(gender="")
    people = table["photo"].map(identity_of)
    named = people != table["photo"]
    if people[named].value_counts().max() > max(len(table) / 2, 1):
        named[:] = False
    # The same name in another split says nothing then: the folders keep them apart.
    alone = folder.name + "/" + table["gender"] + "/" + table["photo"]
    table.insert(2, "identity", people.where(named, alone))
    return table.sort_values("file", ignore_index=True)


def task_b_table(folder: str | Path) -> pd.DataFrame:
    """A split of Task B: [path, file, identity, photo, condition], sorted by identity and file.

    folder: `<identity>/<photo>.jpg` and `<identity>/distortion/<photo>_<condition>.jpg`. file: relative to it, `/` as
    separator. A photo is known by identity and photo together. Raises FacecomError without any photo, and for a
    distorted copy whose name does not say its condition: it would pass for a clean photo.
    """
    folder = _existing(folder)
    rows = []
    _name_strays(folder, "the folders of the people")
    for identity in _folders_in(folder):
        for path in _photos_in(identity):
            rows.append({"identity": identity.name} | _row(path, f"{identity.name}/{path.name}"))
        for path in _photos_in(identity / DISTORTED):
            row = _row(path, f"{identity.name}/{DISTORTED}/{path.name}")
            if row["condition"] == "clean":
                raise FacecomError(f"{path}: the name does not end in its condition, such as `_foggy`; rename the file")
            rows.append({"identity": identity.name} | row)
    if not rows:
        raise FacecomError(f"{folder}: no photos in identity folders; <identity>/<photo>.jpg is expected")
    return pd.DataFrame(rows)[["path", "file", "identity", "photo", "condition"]]


def labelled_copies(table: pd.DataFrame, split: Path) -> pd.DataFrame:
    """The distorted copies in a split of Task B of the photos in Task A's `table`, with its `gender`.

    Raises FacecomError when there are none: the two folders do not belong together; and where a name stands for two
    photos, so that nobody knows whose copies they are.
    """
    copies = task_b_table(split).query("condition != 'clean'")
    for names in (table["photo"], copies[["identity", "photo"]].drop_duplicates()["photo"]):
        twice = names[names.duplicated()]
        if len(twice) and (shared := set(twice) & set(copies["photo"]) & set(table["photo"])):
            raise FacecomError(f"{split}: two photos are called {min(shared)}, so whose copies they are is unknown")
    copies = copies.merge(table[["photo", "gender"]], on="photo")
    if copies.empty:
        raise FacecomError(f"{split}: no distorted copies of these photos: give the same split of Task B")
    return copies


def identity_of(photo: str) -> str:
    """Whose photo a name like `Ann_Lee_0002` says it is: `Ann_Lee`; a name without a number stands for itself."""
    return re.sub(r"[_-]\d+$", "", photo)


def layout(folder: str | Path) -> str:
    """`genders` (`male/`, `female/`), `identities` (other folders with photos in them) or `flat` (neither).

    One person's own folder is flat: its `distortion/` is nobody's name.
    """
    folder = _existing(folder)
    if any((folder / gender).is_dir() for gender in GENDERS):
        return "genders"
    for below in _folders_in(folder):
        if below.name == DISTORTED:
            continue
        if next(_photos_in(below), None) or next(_photos_in(below / DISTORTED), None):
            return "identities"
    return "flat"


def any_table(folder: str | Path) -> pd.DataFrame:
    """The photos of a folder in any layout, distorted copies too: at least [path, file, photo, condition]."""
    return {"genders": task_a_table, "identities": task_b_table, "flat": flat_table}[layout(folder)](folder)


def split_folders(data_dir: str | Path, task: str) -> tuple[Path, Path | None]:
    """The folders `train` and `val` of a data set; val is None where there is none.

    data_dir: holds them itself, or the organisers' folders above them. task: `A` or `B`.
    Raises FacecomError where there is no `train`.
    """
    data_dir = _existing(data_dir, "fetch the data with download_data.py, or draw some with download_data.py --sample")
    for place in ("", f"Task_{task}", f"Comys_Hackathon5/Task_{task}"):
        train, val = data_dir / place / "train", data_dir / place / "val"
        if train.is_dir():
            return train, val if val.is_dir() else None
    raise FacecomError(f"{data_dir}: no folder `train` in it; --data_dir names the folder that holds train/ and val/")


def hold_back(
    table: pd.DataFrame, share: float = 0.1, seed: int = 0, groups: Sequence[str] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part a table in (train, held back), whole identities on either side.

    share: of the identities, 0 to 1; groups: a name for each row that keeps relatives together (default: the
    identity). Who is held back depends on name and seed alone, but for small sets: two groups at least are held back
    (one of three) and two stay, so that there are impostors. Raises FacecomError for fewer than three groups.
    """
    names = pd.Series(table["identity"] if groups is None else groups).to_numpy(str)
    position = {name: held_back_position(name, seed) for name in np.unique(names)}
    if share <= 0:
        return table.reset_index(drop=True), table.iloc[:0].copy()
    if len(position) < 3:
        raise FacecomError(f"photos of {len(position)} people are not enough: two to train on and one to hold back")
    ranked = sorted(position.values())
    fewest = np.nextafter(ranked[min(2, len(ranked) - 2) - 1], 1)
    limit = min(max(share, fewest), ranked[-2])
    held = np.array([position[name] < limit for name in names])
    return table[~held].reset_index(drop=True), table[held].reset_index(drop=True)


def _existing(folder: str | Path, remedy: str = "check the path") -> Path:
    folder = Path(folder)
    if not folder.is_dir():
        raise FacecomError(f"{folder}: {'a file, not a folder' if folder.exists() else 'no such folder'}; {remedy}")
    return folder


def _folders_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _photos_in(folder: Path) -> Iterator[Path]:
    """The photos of a folder, which may be missing, in sorted order; hidden files are none."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_file()]
    for name in sorted(names):
        if os.path.splitext(name)[1].lower() in PHOTO_TYPES | OTHER_TYPES:
            yield folder / name


def _name_strays(folder: Path, beside: str, known: Sequence[str] = ()) -> None:
    """Warns of photos that are left out: loose ones, and where the folders' names are `known`, those in others."""
    strays = [*_photos_in(folder)]
    for other in _folders_in(folder) if known else ():
        strays += _photos_in(other) if other.name not in known else ()
    if strays:
        count = "1 photo lies" if len(strays) == 1 else f"{len(strays)} photos lie"
        text = f"{folder}: {count} beside {beside} and will be left out, such as {strays[0].relative_to(folder)}"
        warnings.warn(text, FacecomWarning, stacklevel=3)


def _row(path: Path, file: str) -> dict:
    photo, condition = condition_of(path)
    return {"path": str(path), "file": file, "photo": photo, "condition": condition}
