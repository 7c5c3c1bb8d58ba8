"""How well face finders find the face: landmark errors by condition against YuNet on the clean photo.

    python benchmarks/landmarks.py --data_dir data/Task_B --detector_model yunet.onnx           # results/landmarks.csv
    python benchmarks/landmarks.py ... --weights a.pt b.pt --output results/landmark_sizes.csv  # side by side
    python benchmarks/landmarks.py ... --picture found.png                                      # sunny and noisy ones

A row a figure: `finder,protocol,condition,metric,value,low,high,count`. `error`: mean distance of the five landmarks
from YuNet's as a share of the distance between the eyes; `failed`: share of photos above .1; `steady_error`,
`steady_failed`: the same against YuNet's mean over sizes and mirror images, since one look of it is noisy; of its
failures `caught` is the share among the 5 % of least confidence, `failed_kept` the share of photos without those 5 %.
`confidence`: its mean; `seen`: share of photos in which a face was seen. Finder `yunet` is the detector on the
distorted photo itself, `yunet mirrored` on the mirrored clean one: what one look is worth as a target. What
aligned crops are worth to an embedder: `benchmarks/accuracy.py --onnx FILE --align finder yunet fixed`.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli, synthetic  # noqa: E402
from facecom.conditions.impulses import without_impulses  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.images import read_photo  # noqa: E402
from facecom.evaluation import metrics, results  # noqa: E402
from facecom.evaluation.comparisons import identity_keys, present_conditions  # noqa: E402
from facecom.faces.alignment import landmark_errors  # noqa: E402
from facecom.faces.finder import find, made_fast  # noqa: E402
from facecom.faces.yunet import detect, mirror, open_detector, steady_landmarks  # noqa: E402
from facecom.models import checkpoint  # noqa: E402

FAILED, DROPPED = 0.1, 0.05


def targets(table: pd.DataFrame, photos: list[np.ndarray], detector) -> tuple[np.ndarray, np.ndarray]:
    """Two of float32 [N, 5, 2]: landmarks on each row's clean photo, YuNet's one look and its steady mean; NaN where it
    sees no face there."""
    nothing = np.full((2, 5, 2), np.nan, np.float32)
    clean = dict.fromkeys(table["photo"], nothing)
    for photo, name, condition in zip(photos, table["photo"], table["condition"], strict=True):
        if condition == "clean":
            steady = steady_landmarks(photo, detector)
            clean[name] = nothing if steady is None else np.stack([detect(photo, detector)[0], steady])
    return tuple(np.stack([clean[name] for name in table["photo"]], 1))


def by_condition(table, errors, steady, confidence, resamples: int, seed: int) -> list[dict]:
    """Rows of protocol `landmarks`; errors, steady (errors from the steady landmarks), confidence: float [N] in the
    table's order, errors NaN where nothing was seen."""
    people = identity_keys(table)
    rows = []
    for condition in present_conditions(table):
        part = np.ones(len(table), bool) if condition == "all" else (table["condition"] == condition).to_numpy()
        owner, error, calm, sure = people[part], errors[part], steady[part], confidence[part]
        seen, failed, calm_failed = np.isfinite(error), ~(error <= FAILED), ~(calm <= FAILED)
        kept = np.ones(len(error), bool)
        kept[np.argsort(sure, kind="stable")[: round(DROPPED * len(error))]] = False
        every = np.ones(len(error), bool)
        parts = {
            "error": mean_of(owner, error, seen),
            "failed": mean_of(owner, failed, every),
            "steady_error": mean_of(owner, calm, seen),
            "steady_failed": mean_of(owner, calm_failed, every),
            "failed_kept": mean_of(owner, calm_failed, kept),
            "caught": mean_of(owner, ~kept, calm_failed),
            "confidence": mean_of(owner, sure, every),
            "seen": mean_of(owner, seen, every),
        }
        statistic = lambda weights, parts=parts: {name: mean(weights) for name, mean in parts.items()}  # noqa: E731
        figures = metrics.bootstrap(people.max() + 1, statistic, resamples, seed)
        rows += results.rows_of("landmarks", condition, figures, dict.fromkeys(figures, len(error)))
    return rows


def mean_of(owner: np.ndarray, values: np.ndarray, where: np.ndarray):
    """The mean of some values, as a function of the weights [B, identities] of their owners."""
    total, count = (np.bincount(owner, part, owner.max() + 1) for part in (np.where(where, values, 0), where))
    return lambda weights: metrics.share(weights[:, : len(total)] @ total, weights[:, : len(total)] @ count)


def without_faces(model, count: int, amp) -> list[dict]:
    """Rows of protocol `no face`: confidence in drawn scenes that training did not see."""
    rows = []
    for kind in synthetic.SCENES:
        scenes = [synthetic.draw_scene(kind, seed, 224) for seed in range(count)]
        _, sure = find(scenes, amp=amp, model=model)
        figures = {"confidence": sure.mean(), "above=.5": (sure > 0.5).mean(), "highest": sure.max()}
        figures = {name: (float(value), np.nan, np.nan) for name, value in figures.items()}
        rows += results.rows_of("no face", kind, figures, dict.fromkeys(figures, count))
    return rows


def size_and_speed(model, path: Path, photos: list[np.ndarray], amp) -> list[dict]:
    """Rows of protocol `size`: parameters, megabytes on disk, and for a decoded photo the milliseconds that pass and
    those that a core works (best of three)."""
    passed, worked = [], []
    for _ in range(4):  # the first warms up
        start, start_of_work = time.perf_counter(), time.process_time()
        find(photos, amp=amp, model=model)
        passed.append(time.perf_counter() - start)
        worked.append(time.process_time() - start_of_work)
    figures = {
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "megabytes": path.stat().st_size / 1e6,
        "milliseconds": 1000 * min(passed[1:]) / len(photos),
        "core_milliseconds": 1000 * min(worked[1:]) / len(photos),
    }
    figures = {name: (value, np.nan, np.nan) for name, value in figures.items()}
    return results.rows_of("size", "all", figures, dict.fromkeys(figures, len(photos)))


def seen_by_yunet(photos: list[np.ndarray], detector, mirrored: bool) -> tuple[np.ndarray, np.ndarray]:
    """(landmarks [N, 5, 2], NaN where it sees no face; score [N]) of the detector on each photo or its mirror image."""
    found, sure = np.full((len(photos), 5, 2), np.nan), np.zeros(len(photos))
    for i, photo in enumerate(photos):
        points, sure[i], _ = detect(np.ascontiguousarray(photo[:, ::-1]) if mirrored else photo, detector)
        if points is not None:
            found[i] = mirror(points, photo.shape[1]) if mirrored else points
    return found, sure


def draw(path: str, table, photos, truth, found, errors, confidence) -> None:
    """Twelve photos, sunny above and noisy below: three at the median error, three with the largest.

    Circles: the clean photo's landmarks; crosses: the found ones; below: error and confidence.
    """
    lines = []
    for condition in ("sunny", "noisy"):
        own = np.flatnonzero((table["condition"] == condition) & np.isfinite(errors))
        own = own[np.argsort(errors[own])]
        middle = len(own) // 2
        tiles = []
        for i in (*own[middle - 1 : middle + 2], *own[-3:]):
            tile = cv2.resize(photos[i], None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
            for x, y in np.round(truth[i] * 2 + 0.5).astype(int).tolist():
                cv2.circle(tile, (x, y), 6, (0, 0, 255), 1, cv2.LINE_AA)
            for x, y in np.round(found[i] * 2 + 0.5).astype(int).tolist():
                cv2.drawMarker(tile, (x, y), (255, 0, 0), cv2.MARKER_CROSS, 10, 2)
            text = f"error {errors[i]:.3f} confidence {confidence[i]:.2f}"
            cv2.putText(tile, text, (8, tile.shape[0] - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 0, 255), 2)
            tiles.append(tile)
        lines.append(np.hstack(tiles))
    cv2.imwrite(path, np.ascontiguousarray(np.vstack(lines)[:, :, ::-1]))


def main(args) -> None:
    import torch

    if args.threads:
        torch.set_num_threads(args.threads)
        cv2.setNumThreads(args.threads)
    amp = cli.pick_amp(args.amp, torch.device("cpu"))
    train, val = split_folders(args.data_dir, "B")
    table = task_b_table(val or train)
    photos = [read_photo(path) for path in table["path"]]
    detector = open_detector(args.detector_model)
    truth, steady = targets(table, photos, detector)
    known = np.isfinite(truth).all((1, 2))
    table, truth, steady = table[known].reset_index(drop=True), truth[known], steady[known]
    photos = [photo for photo, is_known in zip(photos, known, strict=True) if is_known]
    filtered = [without_impulses(photo) for photo in photos]
    options = {"resamples": args.resamples, "seed": args.seed}

    def judged(found, confidence, part=slice(None)):
        errors = landmark_errors(found, truth[part]), landmark_errors(found, steady[part])
        return errors[0], by_condition(table.iloc[part], *errors, confidence, **options)

    rows = []
    for path in args.weights:
        loaded = checkpoint.load(None if path == "shipped" else path, "landmarks")
        model = made_fast(loaded.model)
        found, confidence = find(filtered, amp=amp, model=model)
        errors, own = judged(found, confidence)
        own += without_faces(model, args.scenes, amp) + size_and_speed(model, loaded.path, filtered[:512], amp)
        print(f"\n=== {path}")
        results.print_table(own)
        rows += [{"finder": path if path == "shipped" else Path(path).stem} | row for row in own]
        if args.picture:
            draw(args.picture, table, photos, truth, found, errors, confidence)
    if args.yunet:
        rows += [{"finder": "yunet"} | row for row in judged(*seen_by_yunet(photos, detector, mirrored=False))[1]]
        clean = np.flatnonzero(table["condition"] == "clean")
        found, sure = seen_by_yunet([photos[i] for i in clean], detector, mirrored=True)
        rows += [{"finder": "yunet mirrored"} | row for row in judged(found, sure, clean)[1]]
    results.write_rows(args.output, rows)


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="Task B: the folder with val/, or a split itself")
    parser.add_argument("--detector_model", required=True, help="YuNet ONNX file: what the errors are measured against")
    parser.add_argument("--weights", nargs="+", default=["shipped"], help="finders' weight files, or `shipped`")
    parser.add_argument("--yunet", action="store_true", help="the detector on the distorted photos too")
    parser.add_argument("--picture", help="draw sunny and noisy photos of the last finder into this file")
    parser.add_argument("--scenes", type=int, default=200, help="drawn pictures without a face, of each kind")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over identities")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bf16 where it is fast")
    parser.add_argument("--threads", type=int, help="of the network (default: all cores)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", default="results/landmarks.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
