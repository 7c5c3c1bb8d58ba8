"""Fit the descriptor of photographs: what a photo's copies share and other photos do not.

    python -m pretraining.same_photo --data_dir data/Task_B/train --heads heads.parquet

Linear discriminant analysis (Fisher, 1936): a class is a photo, its members are its copies: FACECOM's own, and
simulated ones of some heads, many a little shifted or packed as JPEG. The directions between photos, whitened by what
differs within a photo. Held-back people fix the likeness that counts as one photograph; val is not looked at. The table
of heads does not say who they are: men against women are certainly two people.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from sklearn.covariance import shrunk_covariance
from sklearn.decomposition import PCA

from facecom import cli
from facecom.conditions import DISTORTIONS, distort
from facecom.conditions.jpeg import through_jpeg
from facecom.data.folders import task_b_table
from facecom.data.holdback import hold_back
from facecom.data.images import read_photo
from facecom.errors import FacecomError
from facecom.evaluation import metrics
from facecom.inference.same_photo import SIDE, gradients
from facecom.models import checkpoint
from facecom.models.networks import build_model
from pretraining.photos import head_photos
from pretraining.provenance import write_provenance

CONFIG = {"side": SIDE, "size": 128}
PREPROCESSING = {"size": SIDE, "mean": [0.0] * 3, "std": [1.0] * 3, "align": "off", "colour": "RGB"}

#: Of a million pairs of photos of different people one may pass.
FAR = 1e-6


def disturb(photo: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What happens to a copy on its way: scaled or shifted by up to 2 % (half of them), packed as JPEG (half)."""
    height, width = photo.shape[:2]
    if rng.random() < 0.5:
        scale, shift = 1 + rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02, 2) * (width, height)
        centre = np.array([width, height]) / 2
        matrix = np.hstack([scale * np.eye(2), (centre * (1 - scale) + shift)[:, None]])
        photo = cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.5:
        photo = through_jpeg(photo, int(rng.integers(25, 90)))
    return photo


def facecom_copies(table, disturbed: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(gradients float32 [N, 2048], photo int [N], identity int [N]) of every file, and of `disturbed` more of it."""
    rng = np.random.default_rng(seed)
    found, photo, identity = [], [], []
    keys = table.groupby(["identity", "photo"], sort=True).ngroup().to_numpy()
    people = table.groupby("identity", sort=True).ngroup().to_numpy()
    for path, key, person in zip(table["path"], keys, people, strict=True):
        image = read_photo(path)
        views = [image, *(disturb(image, rng) for _ in range(disturbed))]
        found += [gradients(view) for view in views]
        photo += [key] * len(views)
        identity += [person] * len(views)
    return np.stack(found), np.array(photo), np.array(identity)


def head_copies(images: list[np.ndarray], copies: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(gradients float32 [N, 2048], photo int [N]) of each head and of `copies` simulated ones."""
    rng = np.random.default_rng(seed)
    found, photo = [], []
    for number, image in enumerate(images):
        conditions = rng.choice(DISTORTIONS, copies, replace=False)
        views = [distort(image, str(condition), int(rng.integers(1, 5)), rng) for condition in conditions]
        found += [gradients(view) for view in (image, *(disturb(view, rng) for view in views))]
        photo += [number] * (1 + copies)
    return np.stack(found), np.array(photo)


def split_heads(table: Path, used: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """(`used` heads to learn from, held-back heads, their genders). Neighbours in the table may be one person, so every
    twentieth ten are held back."""
    heads = [photo.image for photo in head_photos(table)]
    genders = pd.read_parquet(table, columns=["gender"])["gender"].to_numpy()
    held = np.arange(len(heads)) // 10 % 20 == 0
    others = np.flatnonzero(~held)
    others = others[:: max(1, len(others) // used)]
    return [heads[i] for i in others], [heads[i] for i in np.flatnonzero(held)], genders[held]


def discriminant(x: np.ndarray, photo: np.ndarray, components: int, size: int, shrinkage: float) -> tuple:
    """(matrix [D, size], offset [size]): x @ matrix + offset is the discriminant space. x: [N, D]; photo: int [N].

    Raises FacecomError for too few photos: `size` directions between photos need more than `size` of them.
    """
    if len(np.unique(photo)) <= size:
        raise FacecomError(f"{len(np.unique(photo))} photos are too few: a descriptor of {size} numbers needs more")
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(x)
    points = pca.transform(x)
    count = np.bincount(photo)[:, None]
    means = np.stack([np.bincount(photo, column) for column in points.T], 1) / np.maximum(count, 1)
    within = shrunk_covariance(np.cov((points - means[photo]).T), shrinkage)
    whitening = np.linalg.cholesky(np.linalg.inv(within))
    means = means[count[:, 0] > 0] @ whitening
    variance, directions = np.linalg.eigh(np.cov(means.T))
    chosen = directions[:, ::-1][:, :size] / np.sqrt(variance[::-1][:size])
    matrix = pca.components_.T @ whitening @ chosen
    return matrix, -(pca.mean_ @ matrix + means.mean(0) @ chosen)


def fix_threshold(descriptors: np.ndarray, photo: np.ndarray, identity: np.ndarray) -> dict:
    """The operating point of all pairs of held-back files: one photo against photos of different people."""
    likeness = descriptors @ descriptors.T
    above = np.triu(np.ones_like(likeness, bool), 1)
    genuine = likeness[above & (photo[:, None] == photo)]
    impostor = likeness[above & (identity[:, None] != identity)]
    tar, least = metrics.tar_at_far(genuine, impostor, FAR)
    point = {"threshold": float(np.sqrt(2 - 2 * least)), "far": FAR, "tar": tar, "genuine": len(genuine)}
    return point | {"impostor": len(impostor), "photos": len(np.unique(photo))}


def main(args):
    cv2.setNumThreads(1)
    torch.set_num_threads(args.threads or torch.get_num_threads())
    training, held = hold_back(task_b_table(args.data_dir), seed=0)
    heads, held_heads, held_genders = split_heads(args.heads, args.used)
    x, photo, _ = facecom_copies(training, 1, seed=0)
    print(f"{len(x)} files of {photo.max() + 1} photos of FACECOM", flush=True)
    more, number = head_copies(heads, args.copies, seed=1)
    print(f"{len(more)} of {len(heads)} heads", flush=True)
    photo = np.concatenate([photo, number + photo.max() + 1])
    matrix, offset = discriminant(np.concatenate([x, more]), photo, args.components, CONFIG["size"], args.shrinkage)
    model = build_model({"task": "same_photo", **CONFIG})
    model.discriminant.weight.data, model.discriminant.bias.data = torch.tensor(matrix.T), torch.tensor(offset)
    model.half().float()  # what is judged is what will be stored

    def described(files):
        return model(torch.from_numpy(files)).detach().numpy()

    x, photo, identity = facecom_copies(held, 0, seed=2)
    points = [fix_threshold(described(x), photo, identity)]
    more, number = head_copies(held_heads, args.copies, seed=3)
    points.append(fix_threshold(described(more), number, held_genders[number]))
    for name, point in zip(("FACECOM", "heads"), points, strict=True):
        print(name, point)
    strictest = min(points, key=lambda point: point["threshold"])
    arguments = {name: getattr(args, name) for name in ("components", "shrinkage", "copies", "used")}
    data = {"facecom": int(training["photo"].nunique()), "heads": len(heads), "held": int(held["photo"].nunique())}
    checkpoint.save(
        args.output, task="same_photo", model=model, config=CONFIG, preprocessing=PREPROCESSING,
        operating_points=[strictest], args=arguments, data=data | {"held_heads": len(held_heads)}, half=True,
    )  # fmt: skip
    write_provenance(Path(args.output), ("facecom", "heads"), "python -m pretraining.same_photo")


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data_dir", required=True, type=Path, help="FACECOM Task B, train/")
    parser.add_argument("--heads", required=True, type=Path, help="table of head photos (Parquet)")
    parser.add_argument("--components", type=int, default=600, help="principal components before the discriminant")
    parser.add_argument("--shrinkage", type=float, default=0.1, help="of the covariance within photos")
    parser.add_argument("--copies", type=int, default=2, help="simulated copies of each head")
    parser.add_argument(
        "--used", type=int, default=1500, help="heads to learn from; FACECOM's filters must outweigh them"
    )
    parser.add_argument("--output", default=str(checkpoint.SHIPPED / "same_photo.pt"))
    parser.add_argument("--threads", type=int, default=0)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
