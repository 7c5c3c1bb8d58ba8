"""Below which face confidence or quality the shipped network says "cannot tell", from held-back people."""

import numpy as np
from sklearn.isotonic import IsotonicRegression

from facecom.conditions import CONDITIONS, distort
from facecom.conditions.impulses import without_impulses
from facecom.faces.alignment import landmark_errors
from facecom.faces.finder import find
from facecom.synthetic.scenes import SCENES, draw_scene

#: Photos of a quality at which no more than this share of genuine comparisons succeeds are "cannot tell". With less,
#: one glare copy in twenty of held-back people counts as readable and is then not known as its own photo.
LEAST_ACCEPTED = 0.15

#: Drawn pictures of each kind of scene, in which no face is to be found.
SCENES_EACH = 64

#: Their first seed, far from those of the scenes that the finder was trained on.
FIRST_SCENE = 1_000_000


def limit_of(figure: np.ndarray, good: np.ndarray, share: float) -> float:
    """The figure below which no more than `share` of photos as bad as that are good, midway between the last of them
    and the first of the others; 0 where there is none.

    How good photos of a figure are: isotonic regression (rising; Barlow et al., 1972), so that each photo is refused
    for what photos like it are worth, not for the company of worse ones. figure: float [N], low is bad; good: float
    [N], 0 to 1 (the share of a photo's comparisons that went well).
    """
    fitted = IsotonicRegression().fit(figure, good).predict(figure)
    if fitted.min() > share:
        return 0.0
    first = figure[fitted > share].min(initial=figure.max())
    return float((first + figure[figure < first].max(initial=figure.min())) / 2)


def accepted_share(table, embeddings: np.ndarray, threshold: float) -> np.ndarray:
    """For each photo the share of its genuine cross-photo comparisons that the threshold accepts; NaN without any."""
    people, photos = table["identity"].to_numpy(), table["photo"].to_numpy()
    clean = np.flatnonzero(table["condition"] == "clean")
    distances = np.sqrt(np.maximum(2 - 2 * embeddings @ embeddings[clean].T, 0))
    genuine = (people[:, None] == people[clean]) & (photos[:, None] != photos[clean])
    with np.errstate(invalid="ignore"):
        return ((distances <= threshold) & genuine).sum(1) / genuine.sum(1)


def nothing_found() -> np.ndarray:
    """The face finder's confidence in drawn scenes without a face, in all conditions: float32 [N], 0 to 1."""
    scenes = [draw_scene(kind, FIRST_SCENE + n) for kind in SCENES for n in range(SCENES_EACH)]
    conditions = [CONDITIONS[n % len(CONDITIONS)] for n in range(len(scenes))]
    pictures = (distort(*pair, seed=n) for n, pair in enumerate(zip(scenes, conditions, strict=True)))
    return find([without_impulses(picture) for picture in pictures])[1]


def limits_of(
    table, landmarks: np.ndarray, confidence: np.ndarray, quality, accepted, nothing: np.ndarray
) -> dict[str, float]:
    """Below these a photo is "cannot tell": most of what the finder is as sure of is no face or a misplaced one
    (landmarks a fifth of the eye distance from where it sees them on the clean copy), or hardly any genuine comparison
    of photos like it succeeded (`LEAST_ACCEPTED`). nothing: the confidence in pictures without a face."""
    keys = (table["identity"] + "/" + table["photo"]).to_numpy()
    clean = table["condition"].to_numpy() == "clean"
    place = {key: row for row, key in enumerate(keys) if clean[row]}
    rows = np.flatnonzero(~clean)
    truth = landmarks[[place[keys[row]] for row in rows]]
    found = landmark_errors(landmarks[rows], truth) < 0.2
    known = np.isfinite(accepted)
    sure = np.concatenate([confidence[rows], nothing])
    good = np.concatenate([found, np.zeros(len(nothing))])
    return {
        "face_confidence": limit_of(sure, good, 0.5),
        "quality": limit_of(quality[known], accepted[known], LEAST_ACCEPTED),
    }
