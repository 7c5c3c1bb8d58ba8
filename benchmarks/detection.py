"""How many faces of a scene the detector finds, by condition and size, beside YuNet.

    python benchmarks/detection.py --data_dir data/Task_B --detector_model yunet.onnx      # -> results/detection.csv

Scenes of 1 to 20 faces of 20 to 200 px, 960 x 720 pixels, composed (`pretraining/detector/scenes.py`) of photos that
the detector did not learn from. Smaller faces, and what YuNet takes for a face on the undistorted photo without being
sure, are neither right nor wrong. A row a figure: `finder,split,condition,metric,value,low,high,count`. `recall`: share
of faces found at the detector's lowest score at which .95 of what it finds are faces, `recall 20-40` of those of that
side in pixels; a face is found where boxes share .4 of their union (boxes follow from landmarks, for YuNet too).
`threshold`: that score; `stored recall`, `stored precision`: at the detector's own threshold. Condition `turned`: clean
scenes in which every face lies or stands on its head. 95 % intervals over scenes.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.conditions import distort  # noqa: E402
from facecom.conditions.impulses import without_impulses  # noqa: E402
from facecom.data.folders import split_folders  # noqa: E402
from facecom.evaluation import results  # noqa: E402
from facecom.faces.detect import THRESHOLD, boxes_of, detect, overlaps, sides_of, strongest  # noqa: E402
from facecom.faces.yunet import open_detector  # noqa: E402
from facecom.models import checkpoint  # noqa: E402
from pretraining.detector.scenes import Scene, Source, compose  # noqa: E402
from pretraining.detector.train import all_faces  # noqa: E402
from pretraining.photos import drawn_scenes, facecom_photos  # noqa: E402

CONDITIONS = ("clean", "lowlight", "resized", "foggy", "blurred", "noisy", "rainy", "turned")
SIZE, MOST, SIDES, PRECISION, SHARED = (720, 960), 20, (20.0, 200.0), 0.95, 0.4
BUCKETS = ((20, 40), (40, 80), (80, 200))


def scenes_of(photos: list[Source], count: int, condition: str, seed: int) -> list[Scene]:
    """The same scenes in each condition; those of `turned` are clean."""
    empty, made = drawn_scenes(60, 20_000), []
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        scene = compose(rng, photos, empty, SIZE, MOST, SIDES, turned=1.0 if condition == "turned" else 0.0)
        image = scene.image
        if condition not in ("clean", "turned"):
            image = distort(image, condition, 3, rng, 1.0)
        made.append(scene._replace(image=image))
    return made


def yunet_faces(image: np.ndarray, detector) -> tuple[np.ndarray, np.ndarray]:
    """(landmarks [F, 5, 2], scores [F]) of OpenCV's detector at a low threshold."""
    detector.setScoreThreshold(0.1)
    detector.setInputSize((image.shape[1], image.shape[0]))
    faces = detector.detect(np.ascontiguousarray(image[:, :, ::-1]))[1]
    if faces is None:
        return np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
    found = strongest(faces[:, 4:14].reshape(-1, 5, 2), faces[:, 14])
    return found.landmarks, found.scores


def counted(scene: Scene) -> np.ndarray:
    """Which faces are to be found: bool [F]."""
    return scene.known & (sides_of(scene.landmarks) >= SIDES[0])


def matches(scene: Scene, landmarks: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(score of each counted face as it was found, NaN where not: float [T]; scores of what is no face: float [W])."""
    truth, taken = boxes_of(scene.landmarks), np.full(len(scene.landmarks), np.nan)
    wrong = []
    for box, score in zip(boxes_of(landmarks), scores, strict=True):
        shared = overlaps(box, truth) if len(truth) else np.zeros(0)
        best = int(shared.argmax()) if len(shared) else -1
        if best >= 0 and shared[best] >= SHARED:
            taken[best] = np.nanmax([taken[best], score])
        else:
            wrong.append(score)
    return taken[counted(scene)], np.array(wrong)


def cut(found: np.ndarray, wrong: np.ndarray, precision: float = PRECISION) -> float:
    """The lowest score from which on this share of the detections are faces; infinite where there is none."""
    right = found[np.isfinite(found)]
    scores = np.concatenate([right, wrong])
    order = np.argsort(-scores, kind="stable")
    is_face = np.concatenate([np.ones(len(right)), np.zeros(len(wrong))])[order]
    enough = np.flatnonzero(np.cumsum(is_face) / np.arange(1, len(order) + 1) >= precision)
    return float(scores[order][enough[-1]]) if len(enough) else float("inf")


def figures(scenes: list[Scene], found: list, wrong: list, seed: int) -> dict[str, tuple]:
    """{metric: (value, low, high, count)}."""
    truth = np.concatenate(found)
    sides = np.concatenate([sides_of(scene.landmarks[counted(scene)]) for scene in scenes])
    owner = np.repeat(np.arange(len(scenes)), [len(part) for part in found])
    threshold = cut(truth, np.concatenate(wrong))
    got, stored = np.nan_to_num(truth, nan=-1) >= threshold, np.nan_to_num(truth, nan=-1) >= THRESHOLD
    false = sum(int((part >= THRESHOLD).sum()) for part in wrong)
    rows = {"recall": (*interval(got, owner, seed), len(got))}
    for low, high in BUCKETS:
        part = (sides >= low) & (sides < high)
        rows[f"recall {low}-{high}"] = (*interval(got[part], owner[part], seed), int(part.sum()))
    rows["threshold"] = (threshold, np.nan, np.nan, len(got))
    rows["stored recall"] = (*interval(stored, owner, seed), len(got))
    told = int(stored.sum()) + false
    rows["stored precision"] = (stored.sum() / max(told, 1), np.nan, np.nan, told)
    return rows


def interval(hit: np.ndarray, owner: np.ndarray, seed: int, resamples: int = 1000) -> tuple[float, float, float]:
    """Share, and its 95 % bootstrap interval over scenes."""
    if not len(hit):
        return float("nan"), float("nan"), float("nan")
    hits, counts = (np.bincount(owner, weights) for weights in (hit, np.ones(len(hit))))
    drawn = np.random.default_rng(seed).integers(len(hits), size=(resamples, len(hits)))
    shares = hits[drawn].sum(1) / np.maximum(counts[drawn].sum(1), 1)
    return float(hit.mean()), *(float(value) for value in np.quantile(shares, (0.025, 0.975)))


def photos_of(args, split: str) -> list[Source]:
    """Val's photos, or those of train's held-back tenth of the people."""
    train, val = split_folders(args.data_dir, "B")
    people = facecom_photos(val if split == "val" else train, args.detector_model)
    kept = people if split == "val" else list(people)[::10]
    detector = open_detector(args.detector_model)
    return [all_faces(photo, detector) for name in kept for photo in people[name]]


def main(args) -> None:
    model = checkpoint.load(args.weights, "detector").model.eval()
    yunet = open_detector(args.detector_model)
    finders = {
        "facecom": lambda image: detect(without_impulses(image), 0.05, model=model)[:2],
        "yunet": lambda image: yunet_faces(image, yunet),
    }
    rows = []
    for split in args.splits:
        photos = photos_of(args, split)
        for condition in CONDITIONS:
            scenes = scenes_of(photos, args.scenes, condition, args.seed)
            for name, finder in finders.items():
                start = time.perf_counter()
                pairs = [matches(scene, *finder(scene.image)) for scene in scenes]
                seconds = time.perf_counter() - start
                found = figures(scenes, [pair[0] for pair in pairs], [pair[1] for pair in pairs], args.seed)
                for metric, (value, low, high, count) in found.items():
                    row = {"finder": name, "split": split, "condition": condition, "metric": metric, "value": value}
                    rows.append(row | {"low": low, "high": high, "count": count})
                print(split, condition, name, {key: round(value[0], 3) for key, value in found.items()},
                      f"{len(scenes) / seconds:.1f} scenes/s", flush=True)  # fmt: skip
    results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=cli.HelpFormatter)
    parser.add_argument("--data_dir", required=True, help="FACECOM Task B: train/ and val/")
    parser.add_argument("--detector_model", required=True, help="YuNet's ONNX file")
    parser.add_argument("--weights", help="detector weights (default: the shipped ones)")
    parser.add_argument("--splits", nargs="+", default=["held back", "val"], choices=("held back", "val"),
                        help="whose photos the scenes are made of")  # fmt: skip
    parser.add_argument("--scenes", type=int, default=60, help="scenes a condition")
    parser.add_argument("--seed", type=int, default=1, help="of the scenes and of the intervals")
    parser.add_argument("--output", default="results/detection.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
