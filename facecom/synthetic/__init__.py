"""Drawn people and places, for samples and tests: no photo of a real person lies in this project."""

from facecom.synthetic.people import NAME, draw_person, write_sample
from facecom.synthetic.scenes import SCENES, draw_scene

__all__ = ["NAME", "SCENES", "draw_person", "draw_scene", "write_sample"]
