"""From trained weights to the shipped Siamese network: the best candidate on held-back people, with its thresholds.

    python -m pretraining.ship --data_dir data/Task_B --crops crops runs/encoder/ema.pt weights/best_siamese_convnext.pt

Candidates are compared on FACECOM's held-back training people (val is not looked at): photos through the face finder,
TAR of all conditions pooled, the mean of those at FAR 1e-3 and 1e-4. The best gets its operating points there,
impostors also from the held-back people of the packed crops, on whom its quality head is brought to scale
(`pretraining/quality.py`), and the limits below which the answer is "cannot tell"; it goes to `--output` as fp16 with
a JSON of provenance.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.isotonic import IsotonicRegression

from facecom import checkpoint, protocols
from facecom.cli import pick_amp
from facecom.comparisons import cross_photo_scores
from facecom.faces import Aligner, landmark_errors
from facecom.models import build_model
from facecom.photos import hold_back, split_folders, task_b_table
from facecom.samples import load_crops
from pretraining.batches import Augmentation, augment
from pretraining.people import People
from pretraining.provenance import write_provenance
from pretraining.quality import bring_to_scale
from pretraining.validation import embed, embed_with_quality, resized

PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "align": "finder", "colour": "RGB", "mirror": True}


def open_candidate(path: Path) -> tuple[torch.nn.Module, dict, dict]:
    """(network, config, what its file says about its training) of an encoder's `ema.pt` or a Siamese checkpoint."""
    content = checkpoint.read(path)
    if "format" in content:
        loaded = checkpoint.load(path, "siamese")
        about = {name: loaded.info.get(name) for name in ("args", "epoch", "data")}
        return loaded.model, loaded.config, about
    model = build_model(content["config"])
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in content["model"].items()})
    about = {
        "args": content.get("args"),
        "epoch": None,
        "data": {"photos_seen": content["photos"], "minutes": content.get("minutes")},
    }
    return model.eval(), content["config"], about


def worth_of(points: list[dict]) -> float:
    """How good a candidate is: the mean TAR of its operating points. The strict rate alone stands on few errors, the
    loose one alone says little about large galleries."""
    return float(np.mean([point["tar"] for point in points]))


def limit_of(figure: np.ndarray, good: np.ndarray, share: float) -> float:
    """The figure below which no more than `share` of photos as bad as that are good; 0 where there is none.

    How good photos of a figure are: isotonic regression (rising; Barlow et al., 1972), so that each photo is refused
    for what photos like it are worth, not for the company of worse ones. figure: float [N], low is bad; good: float
    [N], 0 to 1 (the share of a photo's comparisons that went well).
    """
    fitted = IsotonicRegression().fit(figure, good).predict(figure)
    if fitted.min() > share:
        return 0.0
    return float(figure[fitted > share].min(initial=figure.max()))


def accepted_share(table, embeddings: np.ndarray, threshold: float) -> np.ndarray:
    """For each photo the share of its genuine cross-photo comparisons that the threshold accepts; NaN without any."""
    people, photos = table["identity"].to_numpy(), table["photo"].to_numpy()
    clean = np.flatnonzero(table["condition"] == "clean")
    distances = np.sqrt(np.maximum(2 - 2 * embeddings @ embeddings[clean].T, 0))
    genuine = (people[:, None] == people[clean]) & (photos[:, None] != photos[clean])
    with np.errstate(invalid="ignore"):
        return ((distances <= threshold) & genuine).sum(1) / genuine.sum(1)


def limits_of(table, landmarks: np.ndarray, confidence: np.ndarray, quality, accepted) -> dict[str, float]:
    """Below these a photo is "cannot tell": most such faces were misplaced (landmarks a fifth of the eye distance from
    where the finder sees them on the clean copy), or nine in ten genuine comparisons of photos like it failed."""
    keys = (table["identity"] + "/" + table["photo"]).to_numpy()
    clean = table["condition"].to_numpy() == "clean"
    place = {key: row for row, key in enumerate(keys) if clean[row]}
    rows = np.flatnonzero(~clean)
    truth = landmarks[[place[keys[row]] for row in rows]]
    found = landmark_errors(landmarks[rows], truth) < 0.2
    known = np.isfinite(accepted)
    return {
        "face_confidence": limit_of(confidence[rows], found.astype(float), 0.5),
        "quality": limit_of(quality[known], accepted[known], 0.1),
    }


def main(args):
    torch.set_num_threads(args.threads or torch.get_num_threads())
    args.amp = pick_amp(args.amp, torch.device("cpu")) is not None
    train, _ = split_folders(args.data_dir, "B")
    held = hold_back(task_b_table(train), seed=0)[1]
    candidates = {Path(path): open_candidate(Path(path)) for path in args.candidates}
    sizes = {config["img_size"] for _, config, _ in candidates.values()}
    if len(sizes) > 1:
        raise SystemExit(f"the candidates want crops of different sizes, {sorted(sizes)} px: ship them one by one")
    size = sizes.pop()
    aligner = Remembering("finder", size)
    held, crops = load_crops(held, aligner, quiet=True, name="held-back photos")
    crops = np.stack([crops[i] for i in range(len(crops))])
    people = People(args.crops)
    outsiders = [i for i in people.held_back if people.table["source"][i] != Path(train).name]
    strangers = resized(np.stack([people.crops[i] for i in outsiders]), size)
    best = None
    for path, (model, config, about) in candidates.items():
        embeddings, quality = embed_with_quality(model, crops, "cpu", args.amp, mirrored=True)
        outside = embed_with_quality(model, strangers, "cpu", args.amp, mirrored=True)[0]
        points = protocols.fit_operating_points(held, embeddings, outside)
        print(path.name, [(point["far"], round(point["threshold"], 4), round(point["tar"], 4)) for point in points])
        worth = worth_of(points)
        if best is None or worth > best["worth"]:
            best = {"worth": worth, "path": path, "model": model, "config": config, "about": about}
            best |= {"points": points, "embeddings": embeddings, "quality": quality}
    print(f"ships {best['path'].name}")
    if best["model"].quality is not None:
        views = [augment(people.crops[i], size, Augmentation(), np.random.default_rng(int(i))) for i in outsiders]
        look = partial(embed, best["model"], device="cpu", amp=args.amp)
        bring_to_scale(best["model"], np.stack(views), people.targets[outsiders], look)
        best["quality"] = embed_with_quality(best["model"], crops, "cpu", args.amp, mirrored=True)[1]
    accepted = accepted_share(held, best["embeddings"], best["points"][0]["threshold"])
    landmarks = np.concatenate([found.landmarks for found in aligner.found])
    confidence = np.concatenate([found.confidence for found in aligner.found])
    limits = limits_of(held, landmarks, confidence, best["quality"], accepted)
    genuine, impostor = cross_photo_scores(held, best["embeddings"], "all")
    metrics = {f"held_tar@far={point['far']:g}": point["tar"] for point in best["points"]}
    metrics |= {"genuine": len(genuine), "impostor": len(impostor)}
    config = {name: value for name, value in best["config"].items() if name not in ("task", "pretrained")}
    about = best["about"]
    checkpoint.save(
        args.output, task="siamese", model=best["model"], config=config, preprocessing={"size": size, **PREPROCESSING},
        operating_points=best["points"], limits=limits, args=about["args"], epoch=about["epoch"], metrics=metrics,
        data=about["data"], half=True,
    )  # fmt: skip
    sources = ("facecom", "faces", "heads", "teacher", "landmarks")
    write_provenance(Path(args.output), sources, "python -m pretraining.ship")
    refused = np.mean((confidence < limits["face_confidence"]) | (best["quality"] < limits["quality"]))
    print(f"{args.output}: limits {limits}, below which are {refused:.1%} of the held-back photos")


class Remembering(Aligner):
    """An aligner that keeps what it found, in order."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.found = []

    def __call__(self, images):
        self.found.append(super().__call__(images))
        return self.found[-1]


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("candidates", nargs="+", help="ema.pt of pretraining.encoder, best.pt of Task B's train.py")
    parser.add_argument("--data_dir", required=True, type=Path, help="FACECOM Task B: the folder of train/ and val/")
    parser.add_argument("--crops", required=True, help="folder that pretraining.crops wrote")
    parser.add_argument("--output", default=str(checkpoint.SHIPPED / "siamese.pt"))
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 where it is fast")
    parser.add_argument("--threads", type=int, default=0)
    return parser


if __name__ == "__main__":
    main(get_args_parser().parse_args())
