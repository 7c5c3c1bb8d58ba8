"""Exact nearest-neighbour search among templates, in blocks."""

import numpy as np

from facecom.inference.templates import Templates, as_templates, distances, likeness

#: Products held at once: 4 million float32 are 16 MB.
BLOCK = 1 << 22


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
    usable = np.flatnonzero(gallery.readable)
    gallery = gallery[usable]
    k = min(k, len(usable) - (first_row is not None))
    rows = np.zeros((len(probes), max(k, 0)), int)
    found = np.zeros(rows.shape, np.float32)
    step = max(1, BLOCK // max(len(usable), 1))
    for start in range(0, len(probes) if k > 0 else 0, step):
        alike = likeness(probes[start : start + step], gallery)
        if first_row is not None:
            alike[usable[None] == first_row + start + np.arange(len(alike))[:, None]] = -np.inf
        best = _largest(alike, k)
        rows[start : start + step] = usable[best]
        # From the difference, not from the product, whose rounding would leave 0.0005 between equal embeddings.
        found[start : start + step] = distances(probes[start : start + step, None], gallery[best])
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


def _largest(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the k largest values of each row, largest first."""
    if k == 1:
        return values.argmax(1)[:, None]
    candidates = np.sort(np.argpartition(-values, k - 1, axis=1)[:, :k], axis=1)
    order = np.argsort(-np.take_along_axis(values, candidates, 1), axis=1, kind="stable")
    return np.take_along_axis(candidates, order, 1)
