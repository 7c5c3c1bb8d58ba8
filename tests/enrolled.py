"""People in one colour each, a network that knows colours, and a process that enrols them: galleries at no cost."""

import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from facecom.inference.ensemble import Ensemble
from facecom.inference.gallery import Gallery
from facecom.inference.verifier import FaceVerifier
from facecom.models.loading import Runner

THRESHOLD, FAR = 0.5, 1e-3

#: From a colour to an embedding.
WAYS = np.random.default_rng(0).normal(size=(3, 128)).astype(np.float32)


class Colours:
    """Stands in for a network: counts in `seen` the photos that it looked at; wait: seconds a batch."""

    def __init__(self, weights: Path, wait: float = 0.0, size: int = 8):
        self.seen, self.wait = 0, wait
        look = {"align": "off", "size": size}
        points = [{"threshold": THRESHOLD, "far": FAR, "impostor": 1000}]
        self.ensemble = Ensemble([Runner("siamese", weights, self.forward, look, points)])

    def forward(self, crops):
        time.sleep(self.wait)
        self.seen += len(crops)
        colours = crops.mean((1, 2)).astype(np.float32) / 255
        found = (colours - 0.45) @ WAYS
        return found / np.linalg.norm(found, axis=1, keepdims=True), colours[:, 0]

    def verifier(self, batch_size: int = 64) -> FaceVerifier:
        return FaceVerifier.of(self.ensemble, batch_size=batch_size, workers=0)


def paint(path: Path, colour) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), tuple(int(value) for value in colour)).save(path)
    return path


def paint_people(folder: Path, people: int, photos: int, seed: int = 0) -> Path:
    """`<folder>/p<number>/<number>.png`: colours of a person differ a little."""
    rng = np.random.default_rng(seed)
    for person in range(people):
        colour = rng.integers(20, 236, 3)
        for photo in range(photos):
            paint(folder / f"p{person}" / f"{photo}.png", colour + rng.integers(-9, 10, 3))
    return folder


def counts(gallery: Gallery) -> dict[str, int]:
    """How many photos of whom."""
    return dict(gallery.people().itertuples(index=False))


if __name__ == "__main__":  # enrolled.py GALLERY WEIGHTS WAIT FOLDER...
    place, weights, wait, *folders = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    for folder in folders:
        print(Gallery(place, Colours(Path(weights), float(wait)).verifier(batch_size=1)).add(folder), flush=True)
