"""Two ways to say how far an embedding can be trusted: the trained quality head, and how far it is from nobody's.

    python -m pretraining.choosing.recognisability --crops crops facecom/weights/siamese.pt

Faces that cannot be recognised gather in one place of the embedding, so the distance from there needs no training (Deng
et al., "Harnessing Unrecognizable Faces for Improving Face Recognition", arXiv 2106.04112). Its centre is the mean
embedding of training crops under the hardest glare, and of others under the hardest blur and noise. A row a way and
condition in results/quality.csv: `way,condition,auc,photos`; auc: how well the figure parts the photos of held-back
people whose genuine comparisons mostly succeed (at FAR 1e-3 over all conditions) from those whose mostly fail.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from facecom import cli
from facecom.cli import pick_amp
from facecom.conditions import distort
from facecom.evaluation import metrics, results
from pretraining.choosing.candidates import variants
from pretraining.targets.people import People
from pretraining.validation import CONDITIONS, copies, embed_with_quality, framed, judged, threshold_at

#: How crops become unrecognisable: distortions at severity 5, one after the other.
BEYOND = (("sunny",), ("blurred", "noisy"))

#: Training crops that the centre is taken of, for each of them.
CROPS = 400


def unrecognisable(people: People, seed: int = 0) -> np.ndarray:
    """Training crops of which nothing is left, RGB uint8 [2 * CROPS, 112, 112, 3]."""
    rng = np.random.default_rng(seed)
    made = []
    for names in BEYOND:
        for index in rng.choice(people.training, min(CROPS, len(people.training)), replace=False):
            crop = people.crops[index]
            for name in names:
                crop = distort(crop, name, 5, rng, scale=1.0)
            made.append(crop)
    return np.stack(made)


def centre_of(embeddings: np.ndarray) -> np.ndarray:
    """Their mean, of unit length: float32 [D] from float32 [N, D]."""
    mean = embeddings.mean(0)
    return mean / np.linalg.norm(mean)


def succeeded(probes: np.ndarray, gallery: np.ndarray, identity: np.ndarray, threshold: float) -> np.ndarray:
    """Share of each probe's genuine comparisons, its own photo left out, above the threshold; NaN without any.

    probes, gallery: float32 [N, D], unit, of the same photos; identity: str [N]. Returns float [N].
    """
    genuine = (identity[:, None] == identity[None]) & ~np.eye(len(identity), dtype=bool)
    with np.errstate(invalid="ignore"):
        return ((probes @ gallery.T > threshold) & genuine).sum(1) / genuine.sum(1)


def main(args):
    torch.set_num_threads(args.threads or torch.get_num_threads())
    amp = pick_amp(args.amp, torch.device("cpu")) is not None
    people, candidate = People(args.crops), next(variants(Path(args.weights), None))
    chosen = judged(people, args.limit)
    crops, identity = np.stack([people.crops[i] for i in chosen]), people.identity[chosen]

    def look(found):
        return embed_with_quality(
            candidate.model, framed(found, candidate.config["img_size"], candidate.frame), "cpu", amp
        )

    centre = centre_of(look(unrecognisable(people))[0])
    found = {condition: look(copies(crops, chosen, condition)) for condition in CONDITIONS}
    gallery = found["clean"][0]
    strangers = identity[:, None] != identity[None]
    threshold = threshold_at(np.concatenate([(e @ gallery.T)[strangers] for e, _ in found.values()]))
    good = {c: succeeded(e, gallery, identity, threshold) for c, (e, _) in found.items()}
    ways = {
        "trained head": {c: quality for c, (_, quality) in found.items()},
        "distance from nobody": {c: 1 - e @ centre for c, (e, _) in found.items()},
    }
    rows = []
    for way, figures in ways.items():
        for name in (*CONDITIONS, "all"):
            parts = CONDITIONS if name == "all" else (name,)
            figure, share = (np.concatenate([one[c] for c in parts]) for one in (figures, good))
            auc = metrics.auc(figure[share > 0.5], figure[share <= 0.5])
            rows.append({"way": way, "condition": name, "auc": auc, "photos": int(np.isfinite(share).sum())})
        print(rows[-1])
    results.write_rows(args.output, rows)


def get_args_parser():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("weights", help="ema.pt of pretraining.encoder.train, or a Siamese checkpoint")
    parser.add_argument("--crops", required=True, help="folder that pretraining.targets.crops wrote")
    parser.add_argument("--limit", type=int, default=1500, help="held-back photos")
    parser.add_argument("--output", default="results/quality.csv")
    parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True, help="bfloat16 where it is fast")
    parser.add_argument("--threads", type=int, default=0)
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
