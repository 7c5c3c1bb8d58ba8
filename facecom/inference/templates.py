"""What is compared, a template a photo, and how far apart two templates are: 0 to 2.

A template is the embedding of the face and, unless faces alone are to count, the descriptor of the whole photograph.
Two files of one photograph are at distance 0, however little glare leaves of the face. Where both faces can be read and
are of two people, that overrules it: somebody put another face into the picture.

Wherever templates are compared, a plain array of embeddings, float32 [N, D], will do: faces alone.
"""

from dataclasses import dataclass

import numpy as np

from facecom.inference.same_photo import least_likeness

#: Cosines are rounded to this many decimals, so that equal photos tie whatever the order of summation.
_COSINE_DECIMALS = 6


@dataclass(frozen=True)
class Templates:
    """Templates of N photos, to be indexed and measured like an array of them.

    faces: float32 [N, D], unit length, NaN for an unreadable photo; photos: float32 [N, 128] as `same_photo.describe`
    gives them, zeros where nothing is to be said, or None: faces alone; told: bool [N], whether the face can be read
    (None: all); threshold: the distance up to which two such faces are one person, and beyond which their photos are
    not one photograph, whatever the pictures look like.
    """

    faces: np.ndarray
    photos: np.ndarray | None = None
    told: np.ndarray | None = None
    threshold: float = np.inf

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, rows) -> "Templates":
        photos, told = (None if part is None else part[rows] for part in (self.photos, self.told))
        return Templates(self.faces[rows], photos, told, self.threshold)

    @property
    def readable(self) -> np.ndarray:
        """bool [N]: False for the photos that could not be read."""
        return np.isfinite(self.faces).all(-1)

    def tell(self, found: np.ndarray) -> np.ndarray:
        """Whether something can be said about these photos at these distances: the face can be read, or it is one
        photograph. bool of the shape of `found`."""
        told = True if self.told is None else self.told
        return (found == 0) & (self.photos is not None) | told


def as_templates(templates: Templates | np.ndarray) -> Templates:
    """The templates themselves, or those of an array of embeddings."""
    return templates if isinstance(templates, Templates) else Templates(templates)


def distances(a: Templates | np.ndarray, b: Templates | np.ndarray) -> np.ndarray:
    """Euclidean distances of the faces, row by row, 0 for one photograph: float32 [...]."""
    a, b = as_templates(a), as_templates(b)
    found = np.linalg.norm(a.faces - b.faces, axis=-1)
    if a.photos is None or b.photos is None:
        return found
    alike = (a.photos * b.photos).sum(-1) >= least_likeness()
    return np.where(alike & ~_contradicted(a, b, a.told, b.told, found), np.float32(0), found)


def likeness(a: Templates | np.ndarray, b: Templates | np.ndarray) -> np.ndarray:
    """Cosine of every face of a [N] with every face of b [M], -1 to 1; for one photograph 2 more, so that between
    several such the faces decide: float32 [N, M]."""
    a, b = as_templates(a), as_templates(b)
    found = a.faces @ b.faces.T
    if a.photos is None or b.photos is None:
        return found
    row, column = np.nonzero(a.photos @ b.photos.T >= least_likeness())  # of millions of pairs a handful
    told = (None if a.told is None else a.told[row], None if b.told is None else b.told[column])
    apart = np.sqrt(np.maximum(2 - 2 * found[row, column], 0))
    agree = ~_contradicted(a, b, *told, apart)
    found[row[agree], column[agree]] += 2
    return found


def distance_matrix(a: Templates | np.ndarray, b: Templates | np.ndarray) -> np.ndarray:
    """Distance of every template of a [N] to every one of b [M]: float32 [N, M]."""
    found = likeness(a, b)
    np.round(found, _COSINE_DECIMALS, out=found)
    found *= -2  # 2 - 2 cos, in place: there may be millions
    found += 2
    return np.sqrt(np.maximum(found, 0, out=found), out=found)


def _contradicted(a: Templates, b: Templates, told_a, told_b, apart: np.ndarray) -> np.ndarray:
    """Whether two readable faces say that it is not one photograph, bool of the shape of their distances `apart`."""
    far = apart > min(a.threshold, b.threshold)
    for told in (told_a, told_b):
        far = far if told is None else far & told
    return far
