"""Exact nearest-neighbour search among templates, in blocks."""

import numpy as np

from facecom.inference.templates import Templates, as_templates, distances, likeness

#: Products held at once: 2 million float32 are 8 MB.
BLOCK = 1 << 21

#: Rows of a block of the gallery at most.
ROWS = 1 << 15

#: Probes that a block of the gallery is multiplied by at once: fewer, and memory is waited for; more, and the cache
#: is too small.
PROBES = 512


def nearest(
    probes: Templates | np.ndarray, gallery: Templates | np.ndarray, k: int = 1, first_row: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest gallery rows of each probe, nearest first.

    probes: [P], gallery: [G], templates or embeddings; unreadable rows of the gallery are never found. first_row: where
    the probes lie in the gallery, when they are rows of it: a row is then not its own neighbour.
    Returns (rows int [P, k], distances float32 [P, k], 0 to 2); k is cut to the number of rows that can be found.
    What is held besides does not grow with P.
    """
    probes, gallery = as_templates(probes), as_templates(gallery)
    usable = np.flatnonzero(np.isfinite(gallery.faces[:, 0]))  # an unreadable row is NaN from the first number on
    if len(usable) < len(gallery):  # millions are not copied for nothing
        gallery = gallery[usable]
    k = min(k, len(usable) - (first_row is not None))
    rows = np.zeros((len(probes), max(k, 0)), int)
    found = np.zeros(rows.shape, np.float32)
    for start in range(0, len(probes) if k > 0 else 0, PROBES):
        some = probes[start : start + PROBES]
        best = _best(some, gallery, k, None if first_row is None else first_row + start, usable)
        rows[start : start + PROBES] = usable[best]
        # From the difference, not from the product, whose rounding would leave 0.0005 between equal embeddings.
        found[start : start + PROBES] = distances(some[:, None], gallery[best])
    return rows, found


def nearest_people(
    probes: Templates | np.ndarray, gallery: Templates | np.ndarray, people: np.ndarray, k: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """As `nearest`, with one answer a person: the nearest of their photos.

    people: int [G], whose photo each row of the gallery is. k is cut to the number of people that can be found.
    """
    probes, gallery = as_templates(probes), as_templates(gallery)
    usable = np.flatnonzero(gallery.readable)
    order = usable[np.argsort(people[usable], kind="stable")]
    starts = np.flatnonzero(np.diff(people[order], prepend=-1))
    if not np.array_equal(order, np.arange(len(gallery))):  # millions are not copied for nothing
        gallery = gallery[order]
    k = min(k, len(starts))
    rows = np.zeros((len(probes), max(k, 0)), int)
    found = np.zeros(rows.shape, np.float32)
    ends = np.append(starts[1:], len(order))
    step = max(1, BLOCK // max(len(order), 1))
    for start in range(0, len(probes) if k > 0 else 0, step):
        alike = likeness(probes[start : start + step], gallery)
        best = _largest(np.maximum.reduceat(alike, starts, axis=1), k)
        for row, chosen in enumerate(best):
            photos = [starts[one] + alike[row, starts[one] : ends[one]].argmax() for one in chosen]
            rows[start + row] = order[photos]
            found[start + row] = distances(probes[start + row : start + row + 1], gallery[photos])
    return rows, found


def _best(probes: Templates, gallery: Templates, k: int, first_row: int | None, usable: np.ndarray) -> np.ndarray:
    """The k most alike of the gallery for each probe, int [P, k], most alike first; of equals the first.

    The gallery is gone through in blocks; behind the first ones few of a block are better than the k best so far, and
    only those are looked at. first_row, usable: see `nearest`, and which rows the gallery's are.
    """
    count, step = len(probes), max(k + 1, min(ROWS, BLOCK // len(probes)))
    best = np.zeros((count, 0), int)
    scores = np.zeros((count, 0), np.float32)
    for start in range(0, len(gallery), step):
        alike = likeness(probes, gallery[start : start + step])
        if first_row is not None:
            own = usable[None, start : start + step] == first_row + np.arange(count)[:, None]
            alike[own] = -np.inf
        if best.shape[1] < k:
            columns = _largest(alike, min(k, alike.shape[1]))
            best, scores = _merged(best, scores, columns + start, np.take_along_axis(alike, columns, 1), k)
            continue
        better = np.flatnonzero(alike > scores[:, -1:])  # of a flat array three times as fast as `nonzero`
        if len(better):
            row, column = np.divmod(better, alike.shape[1])
            hit, counts = np.unique(row, return_counts=True)
            place = (
                np.repeat(np.arange(len(hit)), counts),
                np.arange(len(row)) - np.repeat(counts.cumsum() - counts, counts),
            )
            more = np.zeros((len(hit), counts.max()), int)
            theirs = np.full(more.shape, -np.inf, np.float32)
            more[place], theirs[place] = column + start, alike[row, column]
            best[hit], scores[hit] = _merged(best[hit], scores[hit], more, theirs, k)
    return best


def _merged(best, scores, more, their_scores, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best of both, row by row."""
    best, scores = np.concatenate([best, more], 1), np.concatenate([scores, their_scores], 1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(best, order, 1), np.take_along_axis(scores, order, 1)


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest values of each row, largest first."""
    if k == 1:
        return values.argmax(1)[:, None]
    candidates = np.sort(np.argpartition(-values, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(values, candidates, 1), axis=1, kind="stable")
    return np.take_along_axis(candidates, order, 1)
