"""What is wrong with a data set: people or photos on both sides, labels that contradict each other."""

import os
import stat
from collections import defaultdict

import numpy as np
import pandas as pd

from facecom.files import sha256_of

COLUMNS = ["kind", "train", "val", "detail"]

#: Of a table with two versions of each photo's gender.
LABEL_COLUMNS = ["split", "file", "gender", "second_opinion"]

#: Two photos of one person count as unlike when fewer than this share of strangers' pairs is as unlike as they are.
UNLIKE_FAR = 1e-3

#: Photos in two splits count as of one person when fewer than this share of strangers' pairs is as alike.
LOOK_ALIKE_FAR = 1e-6

#: Photos among whom strangers' pairs are looked at: two million pairs.
SAMPLE = 2000

BLOCK = 4096


def audit(
    train: pd.DataFrame,
    val: pd.DataFrame,
    embeddings: tuple[np.ndarray, np.ndarray] | None = None,
    labels: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """What two splits of Task A or B share and should not, and which labels are doubtful: [kind, train, val, detail].

    train, val: tables of `folders.py`. embeddings: of their rows, float32 [len, D], unit length, NaN where unreadable.
    labels: [split, file, gender, second_opinion], two versions of each photo's gender. Kinds, in this order:
      `identity in both splits`: train and val name it
      `identical file`: train and val name the files, which have the same content
      `near-duplicate` (with embeddings): clean photos on either side that are more alike than half of the pairs of
        photos of one person are
      `look-alike` (with embeddings): the others on either side that are more alike than all but one in a million pairs
        of strangers within a split: most likely one person under two names. Looked for where there are so many pairs
      `unlike the person's other photos` (with embeddings): a clean photo less like any of them than one in a thousand
        pairs of strangers are like each other
      `gender labels differ` (with labels): detail says both
    """
    rows = _shared_identities(train, val)
    rows += [("identical file", a, b, f"{size} bytes") for a, b, size in _identical(train, val)]
    if embeddings is not None:
        ours, theirs = _clean(train, embeddings[0]), _clean(val, embeddings[1])
        strangers = np.concatenate([_strangers(*ours), _strangers(*theirs)])
        rows += _near_duplicates(ours, theirs)
        rows += _look_alikes(ours, theirs, strangers)
        rows += _unlike(ours, theirs, strangers)
    if labels is not None:
        rows += _label_disagreements(labels)
    return pd.DataFrame(rows, columns=COLUMNS)


def _shared_identities(train: pd.DataFrame, val: pd.DataFrame) -> list[tuple]:
    mine, other = (table["identity"].value_counts() for table in (train, val))
    shared = sorted(set(mine.index) & set(other.index))
    return [("identity in both splits", name, name, f"{mine[name]} and {other[name]} files") for name in shared]


def _identical(train: pd.DataFrame, val: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Pairs of files with the same content, and its bytes. Only files of a size that both splits have are read."""
    sizes = [[_size(path) for path in table["path"]] for table in (train, val)]
    common = set(sizes[0]) & set(sizes[1]) - {0}
    found = defaultdict(list)
    for path, file, size in zip(train["path"], train["file"], sizes[0], strict=True):
        if size in common and (digest := _digest(path)):
            found[digest].append(file)
    pairs = []
    for path, file, size in zip(val["path"], val["file"], sizes[1], strict=True):
        if size in common and (digest := _digest(path)):
            pairs += [(other, file, size) for other in found.get(digest, ())]
    return pairs


def contradictions(table: pd.DataFrame, label: str) -> list[tuple[str, str]]:
    """Pairs of files with the same content and two labels, the first of each content. label: the column."""
    known: dict[str, tuple] = {}
    found = []
    sizes = table["path"].map(_size)
    several = table[(sizes > 0) & (table.groupby(sizes)[label].transform("nunique") > 1)]
    for path, file, said in several[["path", "file", label]].itertuples(index=False):
        digest = _digest(path)
        other, before = known.setdefault(digest, (file, said)) if digest else (file, said)
        if before != said:
            found.append((other, file))
    return found


def _size(path: str) -> int:
    """Bytes of a file that can be read, else 0: pipes and links that lead nowhere bear photos' names, too."""
    try:
        found = os.stat(path)
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK) else 0


def _digest(path: str) -> str | None:
    """SHA-256 of a file, None of one that went meanwhile: whoever reads it as a photo says so."""
    try:
        return sha256_of(path)
    except OSError:
        return None


def _clean(table: pd.DataFrame, embeddings: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
    """The clean, readable photos and their embeddings."""
    keep = (table["condition"] == "clean").to_numpy() & ~np.isnan(embeddings).any(1)
    return table[keep].reset_index(drop=True), embeddings[keep]


def _near_duplicates(train: tuple[pd.DataFrame, np.ndarray], val: tuple[pd.DataFrame, np.ndarray]) -> list[tuple]:
    median = _genuine_median(train, val)
    detail = f"similarity {{:.3f}}, pairs of one person have a median of {median:.3f}"
    return [("near-duplicate", *names, detail.format(s)) for *names, s in _across(train, val, median)]


def _look_alikes(
    train: tuple[pd.DataFrame, np.ndarray], val: tuple[pd.DataFrame, np.ndarray], strangers: np.ndarray
) -> list[tuple]:
    if len(strangers) * LOOK_ALIKE_FAR < 1:
        return []
    limit, median = float(np.quantile(strangers, 1 - LOOK_ALIKE_FAR)), _genuine_median(train, val)
    detail = f"similarity {{:.3f}}, 1 in a million pairs of strangers has more than {limit:.3f}"
    return [("look-alike", *names, detail.format(s)) for *names, s in _across(train, val, limit) if not s > median]


def _genuine_median(*splits: tuple[pd.DataFrame, np.ndarray]) -> float:
    """Of the similarities of two photos of one person; infinite where there are none."""
    genuine = [alike[alike > -np.inf] for split in splits for _, alike in _within_people(split)]
    return float(np.median(np.concatenate(genuine))) if genuine else np.inf


def _across(train: tuple[pd.DataFrame, np.ndarray], val: tuple[pd.DataFrame, np.ndarray], limit: float) -> list[tuple]:
    """(file of train, file of val, similarity) of the pairs above the limit."""
    rows = []
    for start in range(0, len(train[1]), BLOCK):
        alike = train[1][start : start + BLOCK] @ val[1].T
        for a, b in np.argwhere(alike > limit):
            rows.append((train[0]["file"][start + a], val[0]["file"][b], alike[a, b]))
    return rows


def _unlike(
    train: tuple[pd.DataFrame, np.ndarray], val: tuple[pd.DataFrame, np.ndarray], strangers: np.ndarray
) -> list[tuple]:
    if not len(strangers):
        return []
    limit = float(np.quantile(strangers, 1 - UNLIKE_FAR))
    rows = []
    for column, split in enumerate((train, val)):
        for indexes, alike in _within_people(split):
            for index, best in zip(indexes, alike.max(1), strict=True):
                if best < limit:
                    names = ["", ""]
                    names[column] = split[0]["file"][index]
                    detail = f"best similarity {best:.3f}, 1 in 1,000 pairs of strangers has more than {limit:.3f}"
                    rows.append(("unlike the person's other photos", *names, detail))
    return rows


def _within_people(split: tuple[pd.DataFrame, np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each person with two photos or more: rows int [n] and similarities [n, n], -inf with itself."""
    table, embeddings = split
    people = []
    for indexes in table.groupby("identity", sort=True).indices.values():
        if len(indexes) > 1:
            alike = embeddings[indexes] @ embeddings[indexes].T
            np.fill_diagonal(alike, -np.inf)
            people.append((indexes, alike))
    return people


def _strangers(table: pd.DataFrame, embeddings: np.ndarray) -> np.ndarray:
    """Similarities of pairs of photos of two people, among a sample of the photos."""
    chosen = np.random.default_rng(0).permutation(len(table))[:SAMPLE]
    identity = pd.factorize(table["identity"])[0][chosen]
    first, second = np.triu_indices(len(chosen), 1)
    alike = (embeddings[chosen] @ embeddings[chosen].T)[first, second]
    return alike[identity[first] != identity[second]]


def _label_disagreements(labels: pd.DataFrame) -> list[tuple]:
    rows = []
    for split, file, gender, second in labels[LABEL_COLUMNS].itertuples(index=False):
        if gender != second:
            rows.append(
                ("gender labels differ", *((file, "") if split == "train" else ("", file)), f"{gender} or {second}")
            )
    return rows
