"""A gallery that stays: the people somebody has enrolled, in a folder of their own, a row a face."""

from facecom.inference.gallery.people import Added, Gallery
from facecom.inference.gallery.store import is_gallery

__all__ = ["Added", "Gallery", "is_gallery"]
