"""Genuine and impostor pairs: drawn from a table of photos, as positions of its rows, the same for the same seed; or
read from a file, as people save them."""

import codecs
import io
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd

from facecom.errors import FacecomError


def draw_pairs(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """One epoch of training pairs: each row once as `a`, half of them (rounded up) in genuine pairs, shuffled.

    table: a row a file, columns identity and photo. Returns a, b (positions of rows) and same (1 or 0). The other side
    of a genuine pair is another photo of the person where there is one, else another copy of the same photo, else the
    file itself (augmentation makes two pictures of it). All choices are even, so conditions mix on both sides.
    Raises FacecomError for fewer than two identities.
    """
    if table["identity"].nunique() < 2:
        raise FacecomError("pairs need photos of at least two people: add identity folders")
    order = np.lexsort([table["photo"], table["identity"]])
    first, size = _blocks(table["identity"].to_numpy()[order])
    photos = pd.factorize(table["identity"] + "/" + table["photo"])[0][order]
    photo_first, photo_size = _blocks(photos)

    rng = np.random.default_rng(seed)
    count = len(table)
    anchors = rng.permutation(count)  # positions in sorted order
    same = np.arange(count) % 2 == 0
    chance = rng.random(count)
    first, size, photo_first, photo_size = (x[anchors] for x in (first, size, photo_first, photo_size))

    # Genuine: the person's block without the photo's own block, or without the row itself, or the row itself.
    others = size - photo_size
    gap_first = np.where(others > 0, photo_first, anchors)
    gap_size = np.where(others > 0, photo_size, np.where(size > 1, 1, 0))
    genuine = _pick(chance, first, size, gap_first, gap_size)
    impostor = _pick(chance, np.zeros_like(first), np.full_like(size, count), first, size)
    b = np.where(same, genuine, impostor)
    pairs = pd.DataFrame({"a": order[anchors], "b": order[b], "same": same.astype(np.int64)})
    return pairs.iloc[rng.permutation(count)].reset_index(drop=True)


def draw_people(table: pd.DataFrame, photos: int, seed: int) -> np.ndarray:
    """One epoch of people: int [N, photos], rows of one person each, in an order of chance.

    table: a row a file, column identity. Every file is there once; the last row of a person is filled up with others
    of theirs, and where there are too few, with the same ones. Raises FacecomError for fewer than two identities.
    """
    if table["identity"].nunique() < 2:
        raise FacecomError("training needs photos of at least two people: add identity folders")
    rng = np.random.default_rng(seed)
    groups = []
    for own in table.groupby("identity", sort=True).indices.values():
        order = rng.permutation(own)
        missing = -len(order) % photos
        if missing:
            others = order[: len(order) - len(order) % photos]
            others = others if len(others) >= missing else order
            order = np.concatenate([order, rng.choice(others, missing, replace=len(others) < missing)])
        groups.append(order.reshape(-1, photos))
    return rng.permutation(np.concatenate(groups))


def published_pairs(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The published solution's pairs: neighbours in the sorted files of a person, and an impostor pair for each.

    table: a row a file, columns identity and file; the files of a person are sorted by name, `distortion/` folders
    flattened. For files i and i + 1 of a person: a genuine pair, then file i with file i (counted round) of one other
    person drawn at random. Returns a, b (positions of rows) and same (1 or 0). Most genuine pairs are two copies of
    one photo. Raises FacecomError for fewer than two identities.
    """
    names = table["file"].str.rsplit("/", n=1).str[-1]
    order = np.lexsort([names, table["identity"]])
    first, _ = _blocks(table["identity"].to_numpy()[order])
    people = np.split(order, np.unique(first)[1:])
    if len(people) < 2:
        raise FacecomError("pairs need photos of at least two people: add identity folders")
    rng = np.random.default_rng(seed)
    rows = []
    for index, files in enumerate(people):
        for i in range(len(files) - 1):
            other = rng.integers(len(people) - 1)
            strangers = people[other + (other >= index)]
            rows.append((files[i], files[i + 1], 1))
            rows.append((files[i], strangers[i % len(strangers)], 0))
    return pd.DataFrame(rows, columns=["a", "b", "same"]).astype(np.int64)


def _blocks(sorted_keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each of the sorted keys: where the run of equal keys begins, and its length. int64 [N] each."""
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    sizes = np.diff(np.r_[starts, len(sorted_keys)])
    return np.repeat(starts, sizes), np.repeat(sizes, sizes)


def _pick(chance, first, size, gap_first, gap_size):
    """Positions drawn evenly from blocks [first, first + size) that each have a gap. chance: [N] in [0, 1)."""
    position = first + np.floor(chance * (size - gap_size)).astype(np.int64)
    return position + np.where(position >= gap_first, gap_size, 0)


#: What spreadsheets put between columns, and what people write for one person and for two (Excel's words are those of
#: its language).
SEPARATORS = (",", ";", "\t")
SAME_WORDS = {word: 1 for word in ("1", "1.0", "true", "yes", "y", "wahr", "ja", "j")} | {
    word: 0 for word in ("0", "0.0", "false", "no", "n", "falsch", "nein")
}

#: Before the names: rows of separators alone, and Excel's line `sep=;`, in quotes or not.
BEFORE_NAMES = re.compile(r'(?:(?:""|[,;\t ])*(?:"?sep=[,;\t]?"?[,;\t ]*)?(?:\r\n|\r|\n|\Z))*', re.IGNORECASE)


def read_table(path: str | os.PathLike) -> pd.DataFrame:
    """A CSV file as spreadsheets write it: separated by commas, semicolons or tabs, in UTF-8, UTF-16 or Windows-1252,
    with spaces round the values, and with empty rows and Excel's line `sep=;` before the names or not; all text, the
    column names in small letters. Raises FacecomError for what is no text, such as a workbook of Excel; OSError and
    ValueError, this also where two columns bear one name or a row is longer than theirs."""
    text = _text_of(path)
    before = BEFORE_NAMES.match(text).group()
    text = "\n" * len(before.splitlines()) + text[len(before) :]  # lines keep their numbers, for errors
    header = text.lstrip("\n").partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    # The names as a row: pandas would number those that come twice, and take what is too long a row for an index.
    rows = pd.read_csv(
        io.StringIO(text), sep=separator, header=None, dtype=str, keep_default_na=False, skipinitialspace=True
    )
    rows = rows.fillna("").apply(lambda column: column.str.strip())
    rows = rows[(rows != "").any(axis=1)]  # of a spreadsheet's empty lines the separators are left
    if rows.empty:
        raise ValueError("only empty rows")
    names = rows.iloc[0].str.lower().tolist()
    table = rows.iloc[1:].reset_index(drop=True).set_axis(names, axis=1)
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise ValueError(f"the column {twice[0]} is there twice")
    return table


def _text_of(path: str | os.PathLike) -> str:
    """A file's text. Raises OSError, and FacecomError for what is none."""
    raw = Path(path).read_bytes()
    if raw.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):  # .xlsx is a zip archive, .xls has its own beginning
        workbook = b"xl/" in raw or not raw.startswith(b"PK")
        raise FacecomError(f"{path}: {'an Excel workbook' if workbook else 'a zip archive, not text'}: save it as CSV")
    encodings = ["utf-8-sig", "cp1252"]
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif b"\0" in raw[:2]:  # no mark of its order, but names of columns begin with a letter of ASCII
        encodings = ["utf-16-be" if raw[0] == 0 else "utf-16-le"]
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise FacecomError(f"{path}: not text: save it as CSV, in UTF-8")


def read_pairs(path: str | os.PathLike) -> pd.DataFrame:
    """DataFrame[image1, image2(, same)] of a pairs file (`read_table`); `same` int; `\\` in paths is `/`, but on
    Windows. Raises FacecomError for any other file."""
    try:
        pairs = read_table(path)
    except FileNotFoundError:
        raise FacecomError(f"{path}: no such pairs file: check the path") from None
    except OSError as error:
        raise FacecomError(f"{path}: cannot be read ({error.strerror}): check the path") from error
    except ValueError as error:
        known = "twice" in str(error) or isinstance(error, pd.errors.ParserError)
        reason = f" ({' '.join(str(error).split()).removeprefix('Error tokenizing data. C error: ')})" if known else ""
        raise FacecomError(
            f"{path}: cannot be read as CSV{reason}: it needs the columns image1,image2 and may have same"
        ) from error
    if not {"image1", "image2"} <= set(pairs.columns):
        raise FacecomError(
            f"{path}: has the columns {','.join(pairs.columns)}: it needs image1,image2 and may have same"
        )
    if pairs.empty:
        raise FacecomError(f"{path}: holds no pairs")
    empty = (pairs.image1 == "") | (pairs.image2 == "")
    if empty.any():
        raise FacecomError(f"{path}: pair {int(np.flatnonzero(empty)[0]) + 1} names only one photo or none")
    if os.sep == "/":
        for side in ("image1", "image2"):
            pairs[side] = pairs[side].str.replace("\\", "/")
    if "same" in pairs:
        same = pairs["same"].str.lower().map(SAME_WORDS)
        if same.isna().any():
            raise FacecomError(f"{path}: the column same must be 1 (one person) or 0 (two people) in every row")
        pairs["same"] = same.astype(int)
    return pairs
