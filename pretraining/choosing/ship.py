"""From trained weights to the shipped Siamese network: the best candidate on held-back people, with its thresholds.

    python -m pretraining.choosing.ship --data_dir data/Task_B --crops crops runs/encoder/ema.pt
    weights/best_siamese_convnext.pt

Candidates are compared on FACECOM's held-back training people (val is not looked at), photos through the face finder,
all conditions pooled, and on those of the packed crops' other sources among themselves, who are many more: the mean TAR
of both, at FAR 1e-3 and 1e-4. The best gets its operating points on the former,
impostors also from the latter, on whom its quality head is brought to scale
(`pretraining/choosing/quality.py`), and the limits below which the answer is "cannot tell"
(`pretraining/choosing/limits.py`); it goes to
`--output` as fp16 with a JSON of provenance.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch

from facecom import cli
from facecom.cli import pick_amp
from facecom.data.folders import split_folders, task_b_table
from facecom.data.holdback import hold_back
from facecom.evaluation import metrics, protocols
from facecom.evaluation.comparisons import strictest_scores
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import FRAMES
from facecom.faces.crops import Crops, load_crops
from facecom.models import checkpoint
from pretraining.choosing.candidates import Candidate, variants
from pretraining.choosing.limits import accepted_share, limits_of, nothing_found
from pretraining.choosing.quality import bring_to_scale
from pretraining.encoder.batches import Augmentation, augment
from pretraining.provenance import write_provenance
from pretraining.targets.people import People
from pretraining.validation import embed, embed_with_quality, framed

PREPROCESSING = {"mean": [0.5] * 3, "std": [0.5] * 3, "align": "finder", "colour": "RGB"}


class HeldBack:
    """Who judges: FACECOM's held-back people as the finder sees them, and the strangers of the crops.

    table: a row a photo; landmarks, confidence: the finder's; outsiders: int [M], held-back crops of other sources;
    mirror: whether the mirror image of each is looked at too.
    """

    def __init__(self, data_dir: Path, people: People, mirror: bool = False):
        self.mirror = mirror
        train, _ = split_folders(data_dir, "B")
        aligner = Remembering("finder", 32)
        self.table, crops = load_crops(hold_back(task_b_table(train), seed=0)[1], aligner, quiet=True, name="photos")
        self.photos, self.landmarks, self.people = crops.photos, crops.landmarks, people
        self.confidence = np.concatenate([found.confidence for found in aligner.found])
        sources = people.table["source"].to_numpy()[people.held_back]
        self.outsiders = people.held_back[sources != Path(train).name]
        self.cut = {}

    def crops(self, size: int, frame: str) -> tuple[np.ndarray, np.ndarray]:
        """(photos, strangers) in crops of this size and frame, RGB uint8 [N, size, size, 3] each."""
        if (size, frame) not in self.cut:
            own = Crops(self.photos, self.landmarks, Aligner("fixed", size, frame=frame))
            strangers = np.stack([self.people.crops[i] for i in self.outsiders])
            self.cut[size, frame] = np.stack(list(own)), framed(strangers, size, frame)
        return self.cut[size, frame]


class Remembering(Aligner):
    """An aligner that keeps what it found, in order."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.found = []

    def __call__(self, images):
        self.found.append(super().__call__(images))
        return self.found[-1]


def worth_of(points: list[dict], elsewhere: list[float]) -> float:
    """How good a candidate is: the mean TAR of its operating points, and of other people at the same rates. The strict
    rate alone stands on few errors, the loose one alone says little about large galleries."""
    return float(np.mean([point["tar"] for point in points] + elsewhere))


def tar_among(embeddings: np.ndarray, identity: np.ndarray, fars: list[float]) -> list[float]:
    """TAR at each rate of all pairs of these photos. embeddings: float32 [N, D], unit; identity: [N]."""
    scores, upper = embeddings @ embeddings.T, np.triu(np.ones((len(identity),) * 2, bool), 1)
    same = identity[:, None] == identity[None]
    return [metrics.tar_at_far(scores[upper & same], scores[upper & ~same], far)[0] for far in fars]


def judge(candidate: Candidate, held: HeldBack, amp: bool) -> float:
    """The candidate's worth; its `points`, `embeddings` and `quality` on the held-back photos go to `found`."""
    own, strangers = held.crops(candidate.config["img_size"], candidate.frame)
    embeddings, quality = embed_with_quality(candidate.model, own, "cpu", amp, mirrored=held.mirror)
    outside = embed_with_quality(candidate.model, strangers, "cpu", amp, mirrored=held.mirror)[0]
    points = protocols.fit_operating_points(held.table, embeddings, outside)
    candidate.found = {"points": points, "embeddings": embeddings, "quality": quality}
    told = [(point["far"], round(point["threshold"], 4), round(point["tar"], 4)) for point in points]
    elsewhere = tar_among(outside, held.people.identity[held.outsiders], [point["far"] for point in points])
    print(candidate.name, told, "elsewhere", [round(tar, 4) for tar in elsewhere], flush=True)
    return worth_of(points, elsewhere)


def scale_quality(candidate: Candidate, held: HeldBack, amp: bool) -> None:
    """Brings the quality head to scale on the strangers in all conditions; the held-back photos' figures follow."""
    size, people = candidate.config["img_size"], held.people
    settings = Augmentation(frame=candidate.frame)
    views = [augment(people.crops[i], size, settings, np.random.default_rng(int(i))) for i in held.outsiders]
    look = partial(embed, candidate.model, device="cpu", amp=amp)
    bring_to_scale(candidate.model, np.stack(views), people.targets[held.outsiders], look)
    own, _ = held.crops(size, candidate.frame)
    candidate.found["quality"] = embed_with_quality(candidate.model, own, "cpu", amp, mirrored=held.mirror)[1]


def write(best: Candidate, held: HeldBack, output: str) -> None:
    """The best as a checkpoint with its thresholds, limits and provenance."""
    points, embeddings, quality = (best.found[name] for name in ("points", "embeddings", "quality"))
    accepted = accepted_share(held.table, embeddings, points[0]["threshold"])
    limits = limits_of(held.table, held.landmarks, held.confidence, quality, accepted, nothing_found())
    genuine, _, impostors = strictest_scores(held.table, embeddings, "all", points[0]["far"])
    metrics = {f"held_tar@far={point['far']:g}": point["tar"] for point in points}
    metrics |= {"genuine": len(genuine), "impostor": impostors}
    config = {name: value for name, value in best.config.items() if name not in ("task", "pretrained")}
    checkpoint.save(
        output, task="siamese", model=best.model, config=config, operating_points=points, limits=limits,
        args=best.about["args"],
        preprocessing={"size": best.config["img_size"], "frame": best.frame, **PREPROCESSING, "mirror": held.mirror},
        epoch=best.about["epoch"], metrics=metrics, data=best.about["data"], half=True,
    )  # fmt: skip
    sources = ("facecom", "faces", "heads", "edgeface", "mobilefacenet", "landmarks")
    write_provenance(Path(output), sources, "python -m pretraining.choosing.ship")
    refused = np.mean((held.confidence < limits["face_confidence"]) | (quality < limits["quality"]))
    print(f"{output}: limits {limits}, below which are {refused:.1%} of the held-back photos")


def main(args):
    torch.set_num_threads(args.threads or torch.get_num_threads())
    amp = pick_amp(args.amp, torch.device("cpu")) is not None
    people = People(args.crops)
    held = HeldBack(args.data_dir, people, args.mirror)
    best, most = None, -1.0
    for path in args.candidates:
        for candidate in variants(Path(path), args.frames):
            worth = judge(candidate, held, amp)
            if worth > most:
                best, most = candidate, worth
    print(f"ships {best.name}")
    if best.model.quality is not None:
        scale_quality(best, held, amp)
    write(best, held, args.output)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("candidates", nargs="+", help="ema.pt of pretraining.encoder, best.pt of Task B's train.py")
    parser.add_argument("--data_dir", required=True, type=Path, help="FACECOM Task B: the folder of train/ and val/")
    parser.add_argument("--crops", required=True, help="folder that pretraining.targets.crops wrote")
    parser.add_argument("--frames", nargs="+", choices=FRAMES, help="try these (default: the one it was trained in)")
    parser.add_argument("--mirror", action="store_true", help="two looks a photo, the second at its mirror image")
    parser.add_argument("--output", default=str(checkpoint.SHIPPED / "siamese.pt"))
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 where it is fast")
    parser.add_argument("--threads", type=int, default=0)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
