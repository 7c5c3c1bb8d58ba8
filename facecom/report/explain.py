"""Where a network looked: Grad-CAM (Selvaraju et al., ICCV 2017), by the package grad-cam.

What is warm spoke for the answer: for a gender, for the gender that was said; for a pair, for the two being alike.
"""

import importlib.util
import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from facecom.conditions import condition_of
from facecom.data.images import read_photo
from facecom.errors import FacecomError, FacecomWarning
from facecom.evaluation.comparisons import photo_keys
from facecom.files import write_whole
from facecom.inference.ensemble import Ensemble
from facecom.inference.search import nearest
from facecom.models.loading import Runner

#: Cells that a map must have on a side to point at a part of a face.
LEAST_CELLS = 7

#: Pictures of the most certain answers, and as many of the least certain.
COUNT = 6

#: Side of a picture in pixels.
SHOWN = 224


def explain_gender(gender: Ensemble, photos: Sequence[np.ndarray]) -> list[np.ndarray]:
    """What spoke for the gender that the first network of the ensemble says, as overlays on its crops.

    photos: RGB uint8 [H, W, 3]. Returns RGB uint8 [224, 224, 3] each. Raises FacecomError for ONNX weights, and
    without the package grad-cam.
    """
    member, crops = _crops(gender, photos)
    heat = heatmaps(member, crops, [lambda logit: logit.abs()] * len(crops))
    return [overlay(crop, warm) for crop, warm in zip(crops, heat, strict=True)]


def explain_pair(siamese: Ensemble, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What makes two faces alike to the first network of the ensemble; arguments and errors as `explain_gender`."""
    member, crops = _crops(siamese, [a, b])
    embeddings = torch.from_numpy(member.forward(crops)[0]).to(_device(member))
    towards = [lambda embedding, other=other: embedding @ other for other in embeddings.flip(0)]
    heat = heatmaps(member, crops, towards)
    return overlay(crops[0], heat[0]), overlay(crops[1], heat[1])


def _device(member: Runner) -> torch.device:
    return next(member.network.model.parameters()).device


def heatmaps(member: Runner, crops: np.ndarray, targets: Sequence[Callable]) -> np.ndarray:
    """Grad-CAM of a network's deepest map that is fine enough.

    crops: RGB uint8 [N, size, size, 3]; targets: one a crop, from its output (a logit, or an embedding [128]) to the
    number that is explained. Returns float32 [N, size, size], 0 to 1.
    """
    check_installed()
    from pytorch_grad_cam import GradCAM

    model = member.network.model
    body = model.get_submodule("encoder" if member.task == "siamese" else "backbone")
    x = member.network.prepare(torch.from_numpy(crops).to(_device(member)))
    with torch.enable_grad(), GradCAM(_Output(model), [map_layer(body, crops.shape[1])], _as_map(body)) as cam:
        heat = cam(x, list(targets))
    model.zero_grad(set_to_none=True)
    return heat


def check_installed() -> None:
    """Raises FacecomError without the package grad-cam."""
    if importlib.util.find_spec("pytorch_grad_cam") is None:
        raise FacecomError('explanations need the package grad-cam: pip install -e ".[explain]"')


def map_layer(body: nn.Module, size: int) -> nn.Module:
    """The deepest stage of a timm network whose map still has 7 cells on a side, for photos of `size` pixels."""
    stages: list[dict] = list(body.feature_info)  # type: ignore[arg-type]
    fine = [stage for stage in stages if size / stage["reduction"] >= LEAST_CELLS]
    return body.get_submodule((fine or stages[:1])[-1]["module"])


def overlay(crop: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """The crop, RGB uint8 [S, S, 3], under its heat map, float [S, S] in 0 to 1: RGB uint8 [224, 224, 3]."""
    crop, heat = (cv2.resize(image, (SHOWN, SHOWN), interpolation=cv2.INTER_CUBIC) for image in (crop, heat))
    colours = cv2.applyColorMap((heat.clip(0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[:, :, ::-1]
    return cv2.addWeighted(crop, 0.55, np.ascontiguousarray(colours), 0.45, 0)


def write_genders(folder: str | os.PathLike, gender: Ensemble, table: pd.DataFrame, threshold: float) -> None:
    """Pictures of the most and the least certain answers: the photo, and beside it where the network looked.

    table: [path, file, p_female], NaN left out. Writes `certain_1.png` ..., `uncertain_1.png` ... and `explain.csv`
    (`picture,filename,p_female`).
    """
    table = table.dropna(subset="p_female")
    rows = []
    for name, row in _extremes((table.p_female - threshold).abs().to_numpy(), table.file.to_list()):
        if (photo := _still(table.path.iloc[row])) is None:
            continue
        _save(Path(folder) / name, [_square(photo), *explain_gender(gender, [photo])])
        rows.append((name, table.file.iloc[row], round(float(table.p_female.iloc[row]), 4)))
    _save_list(folder, ["picture", "filename", "p_female"], rows)


def write_pairs(folder: str | os.PathLike, siamese: Ensemble, pairs: pd.DataFrame, threshold: float) -> None:
    """Pictures of the pairs farthest from the threshold and nearest to it: each photo and where the network looked.

    pairs: [image1, image2, distance, path1, path2], NaN left out. Writes `certain_1.png` ..., `uncertain_1.png` ... and
    `explain.csv` (`picture,image1,image2,distance`).
    """
    pairs = pairs.dropna(subset="distance")
    rows = []
    certainty = (pairs.distance - threshold).abs().to_numpy()
    # Copies of the same two photos, either way round, would fill all pictures.
    photos = [[(name.split("/")[0], condition_of(name)[0]) for name in pairs[f"image{n}"]] for n in (1, 2)]
    for name, row in _extremes(certainty, [frozenset(pair) for pair in zip(*photos, strict=True)]):
        pair = pairs.iloc[row]
        a, b = _still(pair.path1), _still(pair.path2)
        if a is None or b is None:
            continue
        warm_a, warm_b = explain_pair(siamese, a, b)
        _save(Path(folder) / name, [_square(a), warm_a, _square(b), warm_b])
        rows.append((name, pair.image1, pair.image2, round(float(pair.distance), 4)))
    _save_list(folder, ["picture", "image1", "image2", "distance"], rows)


def written_pairs(output: str | os.PathLike, folder: str | os.PathLike) -> pd.DataFrame:
    """Pairs for `write_pairs` from a CSV of `image1,image2,distance,...`; relative paths start at `folder`."""
    pairs = pd.read_csv(output, dtype={"image1": str, "image2": str}, keep_default_na=False)
    return pairs.assign(**{f"path{n}": [Path(folder) / name for name in pairs[f"image{n}"]] for n in (1, 2)})


def nearest_others(table: pd.DataFrame, embeddings: np.ndarray) -> pd.DataFrame:
    """Pairs for `write_pairs`: each file and the nearest clean photo of a folder that is not the file's own photo.

    table: [path, file, identity, photo, condition]; embeddings: float32 [N, D], unit length, NaN for the unreadable.
    """
    photo = photo_keys(table)
    gallery = np.flatnonzero((table.condition == "clean").to_numpy())
    rows, found = nearest(embeddings, embeddings[gallery], 2)
    own = (photo[gallery[rows]] == photo[:, None]).argmin(1)[:, None]  # the first that is another photo
    other, distance = (np.take_along_axis(values, own, 1)[:, 0] for values in (gallery[rows], found))
    distance = np.where(photo[other] == photo, np.nan, distance)  # only the own photo is there
    return identified_pairs(table, table, distance, other)


def identified_pairs(table: pd.DataFrame, gallery: pd.DataFrame, distance: np.ndarray, row: np.ndarray) -> pd.DataFrame:
    """Pairs for `write_pairs`: each photo of `table` and the photo of `gallery` (both [path, file]) in its row.

    distance, row: [N]; NaN for photos that are left out.
    """
    other = gallery.iloc[np.nan_to_num(row).astype(int)]
    names = {"image1": table.file, "image2": other.file, "path1": table.path, "path2": other.path}
    return pd.DataFrame({name: column.to_numpy() for name, column in names.items()} | {"distance": distance})


class _Output(nn.Module):
    """The network from prepared photos to what is explained: logits [B], or embeddings [B, 128]."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.out = getattr(model, "embed", model)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(x)


def _as_map(body: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """What turns a stage's output into [B, C, h, w]: Swin has channels last, a ViT a row of tokens."""

    def as_map(x):
        if x.ndim == 3:
            x = x[:, getattr(body, "num_prefix_tokens", 0) :]
            side = int(x.shape[1] ** 0.5)
            return x.transpose(1, 2).unflatten(2, (side, side))
        return x.permute(0, 3, 1, 2) if getattr(body, "output_fmt", "NCHW") == "NHWC" else x

    return as_map


def _crops(chosen: Ensemble, photos: Sequence[np.ndarray]) -> tuple[Runner, np.ndarray]:
    member = chosen.members[0]
    if member.network is None:
        raise FacecomError(f"{member.path}: an ONNX file cannot be explained: give the checkpoint it was made from")
    return member, chosen.aligners[chosen.crops[0]](list(photos)).crops


def _extremes(certainty: np.ndarray, keys: Sequence) -> list[tuple[str, int]]:
    """(picture, row) of the most certain and of the least certain; of rows with the same key only one."""
    order = np.argsort(-certainty, kind="stable").tolist()
    count = min(COUNT, (len(set(keys)) + 1) // 2)
    most = _one_a_key(order, keys)[:count]
    shown = {keys[row] for row in most}
    least = _one_a_key([row for row in order[::-1] if keys[row] not in shown], keys)[:count]
    names = [(f"certain_{i + 1}.png", row) for i, row in enumerate(most)]
    return names + [(f"uncertain_{i + 1}.png", row) for i, row in enumerate(least)]


def _one_a_key(rows: Sequence[int], keys: Sequence) -> list[int]:
    first: dict = {}
    for row in rows:
        first.setdefault(keys[row], int(row))
    return list(first.values())


def _still(path: str | os.PathLike) -> np.ndarray | None:
    """A photo that was read before, or None and a warning where it went or changed meanwhile."""
    try:
        return read_photo(path)
    except FacecomError as error:
        warnings.warn(f"{error}: no picture of it", FacecomWarning, stacklevel=3)
        return None


def _square(photo: np.ndarray) -> np.ndarray:
    side = min(photo.shape[:2])
    top, left = ((length - side) // 2 for length in photo.shape[:2])
    return cv2.resize(photo[top : top + side, left : left + side], (SHOWN, SHOWN), interpolation=cv2.INTER_AREA)


def _save(path: Path, pictures: Sequence[np.ndarray]) -> None:
    with write_whole(path, "wb") as file:
        Image.fromarray(np.hstack(pictures)).save(file, "png")


def _save_list(folder: str | os.PathLike, columns: Sequence[str], rows: Sequence[tuple]) -> None:
    with write_whole(Path(folder) / "explain.csv", newline="") as file:
        pd.DataFrame(rows, columns=columns).to_csv(file, index=False)
