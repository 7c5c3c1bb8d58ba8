"""How many passes of the finder a photo needs: landmark errors, failures and passes of several ways to look.

    python benchmarks/looks.py --data_dir data/Task_B --detector_model yunet.onnx      # -> results/looks.csv

Rows `way,split,condition,metric,value,low,high,count`. Split `held back`: every tenth identity of train/, on which the
way is chosen; `val`: what the choice is worth. `error`: mean distance of the landmarks from YuNet's steady ones on the
clean photo as a share of the distance between the eyes, `failed`: share of photos above .1, with 95 % intervals over
identities; `failed more`: the share less that of the first way, over the same resamples. `passes`: of the network a
photo; `confidence`: its mean. On val also what recognition makes of it: `tar@far=...`, and `stored far`, `stored tar`,
`answered` at the weights' first operating point and their limit of the face confidence, which were fixed with the first
way (cross-photo protocol; rates count those photos alone that are answered).
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from facecom import cli  # noqa: E402
from facecom.conditions.impulses import without_impulses  # noqa: E402
from facecom.data.folders import split_folders, task_b_table  # noqa: E402
from facecom.data.images import read_photo  # noqa: E402
from facecom.evaluation import metrics, protocols, results  # noqa: E402
from facecom.evaluation.comparisons import comparisons, identity_keys, present_conditions  # noqa: E402
from facecom.faces.alignment import align, landmark_errors, template_of  # noqa: E402
from facecom.faces.finder import Seen, close_up, from_afar, made_fast, together, unsure  # noqa: E402
from facecom.faces.yunet import open_detector, steady_landmarks  # noqa: E402
from facecom.models import checkpoint, loading  # noqa: E402

FAILED, BATCH = 0.1, 64

#: Figures of the cross-photo protocol that are kept, and ways that they are measured of.
RECOGNITION = ("tar@far=1e-3", "tar@far=1e-4")
RECOGNISED = (
    "four passes",
    "afar, then close",
    "afar, then close in the mirror",
    "mirror images where confidence < .8",
    "close in the mirror where confidence < .8",
    "close in the mirror where unsure",
)


def mean_of(*looks: Seen) -> Seen:
    """Looks at the same pictures as one: what they say on average."""
    averages = (np.mean([getattr(one, name) for one in looks], 0) for name in ("landmarks", "errors", "confidence"))
    return Seen(*averages, np.any([one.nothing for one in looks], 0), looks[0].scale)


def where(mask: np.ndarray, one: tuple, other: tuple) -> tuple:
    """(landmarks, confidence, passes) of one way where the mask says so, of another elsewhere."""
    return tuple(np.where(mask.reshape(-1, *[1] * (np.ndim(a) - 1)), a, b) for a, b in zip(one, other, strict=True))


def ways(model, photos: list[np.ndarray], amp) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """{way: (landmarks [B, 5, 2], confidence [B], passes [B])} of a batch; the first is how it was up to 0.1.0."""
    filtered, count = [without_impulses(photo) for photo in photos], len(photos)
    found: dict[str, tuple] = {}

    def keep(name, passes, landmarks, confidence):
        found[name] = landmarks, confidence, np.full(count, float(passes))

    for name, images in (
        ("four passes, filtered twice", [without_impulses(photo) for photo in filtered]),
        ("four passes", filtered),
    ):
        first = mean_of(*(from_afar(model, images, amp=amp, mirrored=m) for m in (False, True)))
        second = mean_of(*(close_up(model, images, first.landmarks, amp=amp, mirrored=m) for m in (False, True)))
        keep(name, 4, *together(first, second))
    first, turned = (from_afar(model, filtered, amp=amp, mirrored=m) for m in (False, True))
    close, close_turned = (close_up(model, filtered, first.landmarks, amp=amp, mirrored=m) for m in (False, True))
    keep("afar and mirror image, then close", 3, *together(mean_of(first, turned), close))
    keep("afar, then close and mirror image", 3, *together(first, mean_of(close, close_turned)))
    keep("afar, then close", 2, *together(first, close))
    keep("afar, then close in the mirror", 2, *together(first, close_turned))
    keep("afar", 1, first.landmarks, np.where(first.nothing, 0, first.confidence))
    all_four = *together(mean_of(first, turned), mean_of(close, close_turned)), np.full(count, 4.0)
    two, one = found["afar, then close in the mirror"], found["afar"]
    found["mirror images where confidence < .5"] = where(two[1] < 0.5, all_four, two)
    found["mirror images where confidence < .8"] = where(two[1] < 0.8, all_four, two)
    found["close in the mirror where confidence < .8"] = where(one[1] < 0.8, two, one)
    found["close in the mirror where confidence < .9"] = where(one[1] < 0.9, two, one)
    found["close in the mirror where unsure"] = where(unsure(first, model.img_size), two, one)
    return found


def landmark_rows(table, truth, found, before, resamples: int, seed: int) -> list[dict]:
    """Rows of one way. truth: [N, 5, 2]; found, before: (landmarks, confidence, passes) of it and of the first way."""
    people, rows = identity_keys(table), []
    error, earlier = landmark_errors(found[0], truth), landmark_errors(before[0], truth)
    columns = np.stack([error, error > FAILED, (error > FAILED) * 1.0 - (earlier > FAILED), found[2], found[1]])
    names = ("error", "failed", "failed more", "passes", "confidence")
    for condition in present_conditions(table):
        part = np.ones(len(table), bool) if condition == "all" else (table["condition"] == condition).to_numpy()
        total = np.stack([np.bincount(people[part], column[part], people.max() + 1) for column in columns], 1)
        count = np.bincount(people[part], minlength=people.max() + 1)

        def statistic(weights, total=total, count=count):
            share = weights @ total / np.maximum(weights @ count, 1)[:, None]
            return {name: share[:, column] for column, name in enumerate(names)}

        figures = metrics.bootstrap(people.max() + 1, statistic, resamples, seed)
        rows += results.rows_of("landmarks", condition, figures, dict.fromkeys(figures, int(part.sum())))
    return rows


def recognition_rows(table, photos, landmarks, confidence, member, resamples: int, seed: int) -> list[dict]:
    """Rows of what the encoder makes of these landmarks."""
    size, template = member.preprocessing["size"], template_of(member.preprocessing.get("frame", "face"))
    crops = (align(without_impulses(photo), p, size, template) for photo, p in zip(photos, landmarks, strict=True))
    crops, said = list(crops), []
    for start in range(0, len(crops), BATCH):
        said.append(member.forward(np.stack(crops[start : start + BATCH]))[:2])
    embeddings, quality = (np.concatenate(part) for part in zip(*said, strict=True))
    rows = protocols.cross_photo(table, embeddings, conditions=["all"], resamples=resamples, seed=seed)
    rows = [row for row in rows if row["metric"] in RECOGNITION]
    told = (confidence >= member.limits.get("face_confidence", 0)) & (quality >= member.limits.get("quality", 0))
    point, counts = member.operating_points[0], np.zeros((2, 2))
    for probes, gallery, scores, same, own in comparisons(table, embeddings, "all"):
        answered = told[probes][:, None] & told[gallery] & ~own
        for label in (0, 1):
            chosen = answered & (same == bool(label))
            counts[label] += (scores[chosen] >= -point["threshold"]).sum(), chosen.sum()
    figures = {"stored far": counts[0, 0] / counts[0, 1], "stored tar": counts[1, 0] / counts[1, 1]}
    figures = {name: (float(value), np.nan, np.nan) for name, value in figures.items()}
    figures["answered"] = float(told.mean()), np.nan, np.nan
    sizes = {"stored far": int(counts[0, 1]), "stored tar": int(counts[1, 1]), "answered": len(told)}
    return rows + results.rows_of("recognition", "all", figures, sizes)


def with_truth(table: pd.DataFrame, detector) -> tuple[pd.DataFrame, list[np.ndarray], np.ndarray]:
    """The photos whose clean one shows a face to YuNet: (rows, photos, steady landmarks [N, 5, 2])."""
    photos = [read_photo(path) for path in table["path"]]
    known = {
        name: steady_landmarks(photo, detector)
        for photo, name, condition in zip(photos, table["photo"], table["condition"], strict=True)
        if condition == "clean"
    }
    kept = [i for i, name in enumerate(table["photo"]) if known.get(name) is not None]
    truth = np.stack([known[table["photo"].iloc[i]] for i in kept])
    return table.iloc[kept].reset_index(drop=True), [photos[i] for i in kept], truth


def measure(split: str, table, args, model, amp, rows_after: Callable) -> list[dict]:
    """All rows of a split; rows_after: more of them, from (table, photos, landmarks, confidence) of a way."""
    table, photos, truth = with_truth(table, open_detector(args.detector_model))
    parts = [ways(model, photos[start : start + BATCH], amp) for start in range(0, len(photos), BATCH)]
    found = {way: tuple(np.concatenate(x) for x in zip(*(p[way] for p in parts), strict=True)) for way in parts[0]}
    rows, before = [], next(iter(found.values()))
    for way, said in found.items():
        own = landmark_rows(table, truth, said, before, args.resamples, args.seed)
        own += rows_after(table, photos, *said[:2]) if way in RECOGNISED else []
        rows += [{"way": way, "split": split} | {k: v for k, v in row.items() if k != "protocol"} for row in own]
        figures = {row["metric"]: row["value"] for row in own if row["condition"] == "all"}
        print(f"{split:10} {way:45}", " ".join(f"{k}={v:.5f}" for k, v in figures.items()), flush=True)
    return rows


def main(args: argparse.Namespace) -> None:
    amp = cli.pick_amp(args.amp, cli.pick_device("cpu"))
    model = made_fast(checkpoint.load(args.weights, "landmarks").model)
    member = loading.load(None, "siamese", "cpu", amp)
    train, val = (task_b_table(folder) for folder in split_folders(args.data_dir, "B"))
    held = train[train["identity"].isin(sorted(train["identity"].unique())[::10])].reset_index(drop=True)

    def recognised(*what):
        return recognition_rows(*what, member, args.resamples, args.seed)

    rows = measure("held back", held, args, model, amp, lambda *_: [])
    results.write_rows(args.output, rows + measure("val", val, args, model, amp, recognised))


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="Task B: the folder with train/ and val/")
    parser.add_argument("--detector_model", required=True, help="YuNet ONNX file: gives the true landmarks")
    parser.add_argument("--weights", help="landmark weights (default: shipped)")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="half precision where fast")
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap over identities")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--output", type=Path, default=Path("results/looks.csv"), help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
