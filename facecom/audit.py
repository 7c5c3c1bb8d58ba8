"""What is wrong with a data set: people or photos on both sides, before anything is trained."""

import hashlib
from collections import defaultdict
from pathlib import Path

import pandas as pd

COLUMNS = ["kind", "train", "val", "detail"]


def audit(train: pd.DataFrame, val: pd.DataFrame) -> pd.DataFrame:
    """Identities and file contents that both splits share: a row each, [kind, train, val, detail].

    train, val: tables of `photos.py`. kind: `identity in both splits` (train and val name it; detail counts its files)
    or `identical file` (train and val name the files; detail says the size).
    """
    rows = []
    for identity in sorted(set(train["identity"]) & set(val["identity"])):
        counts = [int((table["identity"] == identity).sum()) for table in (train, val)]
        rows.append(("identity in both splits", identity, identity, f"{counts[0]} and {counts[1]} files"))
    rows += [("identical file", a, b, f"{size} bytes") for a, b, size in _identical(train, val)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _identical(train: pd.DataFrame, val: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Pairs of files with the same content. Only files of a size that both splits have are read."""
    sizes = [[Path(path).stat().st_size for path in table["path"]] for table in (train, val)]
    common = set(sizes[0]) & set(sizes[1])
    found = defaultdict(list)
    for path, file, size in zip(train["path"], train["file"], sizes[0], strict=True):
        if size in common:
            found[_digest(path)].append(file)
    pairs = []
    for path, file, size in zip(val["path"], val["file"], sizes[1], strict=True):
        if size in common:
            pairs += [(other, file, size) for other in found.get(_digest(path), ())]
    return pairs


def _digest(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
