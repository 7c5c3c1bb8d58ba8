"""How well face finders find the face: landmark errors by condition against YuNet on the clean photo.

    python benchmarks/landmarks.py --data_dir data/Task_B --detector_model yunet.onnx           # results/landmarks.csv
    python benchmarks/landmarks.py ... --weights a.pt b.pt --output results/landmark_sizes.csv  # side by side
    python benchmarks/landmarks.py ... --picture found.png                                      # sunny and noisy ones

A row a figure: `finder,protocol,condition,metric,value,low,high,count`. `error`: mean distance of the five landmarks as
a share of the distance between the eyes; `failed`: share of photos above .1; `failed_kept`: the same without the 5 %
of least confidence; `caught`: share of the failures that are among those 5 %; `confidence`: its mean. `yunet` is the
detector on the distorted photo itself, `seen` the share of photos in which it sees a face. What aligned crops are then
worth to an embedder: `benchmarks/accuracy.py --onnx FILE --align finder yunet fixed`.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import checkpoint, cli, metrics, results, synthetic  # noqa: E402
from facecom.comparisons import identity_keys, present_conditions  # noqa: E402
from facecom.faces import detect, find, landmark_errors, open_detector  # noqa: E402
from facecom.photos import read_photo, split_folders, task_b_table  # noqa: E402

FAILED, DROPPED = 0.1, 0.05


def targets(table: pd.DataFrame, photos: list[np.ndarray], detector) -> np.ndarray:
    """float32 [N, 5, 2]: YuNet's landmarks on each row's clean photo; NaN where it sees no face in it."""
    clean = {}
    for photo, name, condition in zip(photos, table["photo"], table["condition"], strict=True):
        if condition == "clean":
            clean[name] = detect(photo, detector)[0]
    unseen = np.full((5, 2), np.nan, np.float32)
    return np.stack([unseen if clean.get(name) is None else clean[name] for name in table["photo"]])


def by_condition(table, errors: np.ndarray, confidence: np.ndarray, resamples: int, seed: int) -> list[dict]:
    """Rows of protocol `landmarks`; errors, confidence: [N] in the table's order, error NaN where nothing was seen."""
    people = identity_keys(table)
    rows = []
    for condition in present_conditions(table):
        part = np.ones(len(table), bool) if condition == "all" else (table["condition"] == condition).to_numpy()
        owner, error, sure = people[part], errors[part], confidence[part]
        seen, failed = np.isfinite(error), ~(error <= FAILED)
        kept = np.ones(len(error), bool)
        kept[np.argsort(sure, kind="stable")[: round(DROPPED * len(error))]] = False

        def mean(weights, values, where, owner=owner):
            total, count = (np.bincount(owner, x, people.max() + 1) for x in (np.where(where, values, 0), where))
            return metrics.share(weights @ total, weights @ count)

        def statistic(weights, error=error, sure=sure, seen=seen, failed=failed, kept=kept, mean=mean):
            return {
                "error": mean(weights, error, seen),
                "failed": mean(weights, failed, seen | True),
                "failed_kept": mean(weights, failed, kept),
                "caught": mean(weights, ~kept, failed),
                "confidence": mean(weights, sure, seen | True),
                "seen": mean(weights, seen, seen | True),
            }

        figures = metrics.bootstrap(people.max() + 1, statistic, resamples, seed)
        rows += results.rows_of("landmarks", condition, figures, dict.fromkeys(figures, len(error)))
    return rows


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
    """Rows of protocol `size`: parameters, megabytes on disk, and milliseconds a decoded photo (best of three)."""
    seconds = []
    for _ in range(4):  # the first warms up
        start = time.perf_counter()
        find(photos, amp=amp, model=model)
        seconds.append(time.perf_counter() - start)
    figures = {
        "parameters": float(sum(p.numel() for p in model.parameters())),
        "megabytes": path.stat().st_size / 1e6,
        "milliseconds": 1000 * min(seconds[1:]) / len(photos),
    }
    figures = {name: (value, np.nan, np.nan) for name, value in figures.items()}
    return results.rows_of("size", "all", figures, dict.fromkeys(figures, len(photos)))


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
    truth = targets(table, photos, detector)
    known = np.isfinite(truth).all((1, 2))
    table, truth = table[known].reset_index(drop=True), truth[known]
    photos = [photo for photo, is_known in zip(photos, known, strict=True) if is_known]
    rows = []
    for path in args.weights:
        loaded = checkpoint.load(None if path == "shipped" else path, "landmarks")
        model = loaded.model.to(memory_format=torch.channels_last)
        found, confidence = find(photos, amp=amp, model=model)
        errors = landmark_errors(found, truth)
        own = by_condition(table, errors, confidence, args.resamples, args.seed)
        own += without_faces(model, args.scenes, amp) + size_and_speed(model, loaded.path, photos[:512], amp)
        print(f"\n=== {path}")
        results.print_table(own)
        rows += [{"finder": path if path == "shipped" else Path(path).stem} | row for row in own]
        if args.picture:
            draw(args.picture, table, photos, truth, found, errors, confidence)
    if args.yunet:
        seen = [detect(photo, detector) for photo in photos]
        found = np.stack([np.full((5, 2), np.nan) if points is None else points for points, _, _ in seen])
        sure = np.array([score for _, score, _ in seen])
        own = by_condition(table, landmark_errors(found, truth), sure, args.resamples, args.seed)
        rows += [{"finder": "yunet"} | row for row in own]
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
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", default="results/landmarks.csv")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
