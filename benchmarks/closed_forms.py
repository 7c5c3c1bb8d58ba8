"""Ways to adapt to one's own people without a gradient, side by side -> results/closed_forms.csv.

    python benchmarks/closed_forms.py --data_dir data/Task_B --faces faces.parquet

The domains and judges are those of `adaptation.py`, with 30 and 60 people to adapt to. Each way turns the shipped
network's outputs, float64 [N, D], into scores of all pairs of the judges' photos:
- `mean off`: less the people's mean (James and Stein, 1961), cosine;
- `mean off, WCCN`: what `train.py` does (`facecom.training.adaptation`);
- `LDA`: that projected to the directions in which people differ most against what photos of one do (Fisher, 1936);
- `PLDA`: log-likelihood ratio of one person against two, people and photos of a person being normal (two-covariance
  model: Bruemmer and de Villiers, Odyssey 2010), on outputs of unit length (Garcia-Romero and Espy-Wilson, 2011);
- `s-norm`, `adaptive s-norm`: scores of what `train.py` does, by mean and deviation of each photo's scores with the
  people adapted to (Matejka et al., Interspeech 2017; adaptive: with the highest of them).

A row a figure: `domain,people,way,metric,value,low,high,count`.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import adaptation as domains  # noqa: E402
from facecom import cli  # noqa: E402
from facecom.data.augmentation import eval_transform  # noqa: E402
from facecom.evaluation import metrics  # noqa: E402
from facecom.evaluation.comparisons import identity_keys, photo_keys  # noqa: E402
from facecom.evaluation.results import write_rows  # noqa: E402
from facecom.faces.aligner import Aligner  # noqa: E402
from facecom.models import checkpoint  # noqa: E402
from facecom.training import adaptation  # noqa: E402
from facecom.training.samples import evaluation_batches  # noqa: E402

#: People to adapt to, and the most photos of each.
PEOPLE, MOST_PHOTOS = (30, 60), 30

#: Directions that LDA keeps; there are never more than people less one.
DIRECTIONS = (16, 32, 59)

#: Share of a person's covariance, and of that of people, that is as even as can be: 128 numbers of few people.
SHRINKAGE = 0.5

#: Scores that adaptive s-norm goes by.
HIGHEST = 50

FARS = (1e-3, 1e-4)


def outputs_of(table: pd.DataFrame) -> np.ndarray:
    """What the shipped network's last layer gives, float64 [N, D], not yet of unit length."""
    loaded = checkpoint.load(None, "siamese")
    size, mean, std, align, frame = (loaded.preprocessing[name] for name in ("size", "mean", "std", "align", "frame"))
    table, crops = domains.crops_once(table, Aligner(align, size, frame=frame), workers=1, quiet=True)
    model, found = loaded.model, []
    with torch.inference_mode():
        for (x,) in evaluation_batches(crops, eval_transform(size, mean, std)):
            found.append(model.projection(model.neck(model.encoder(x))).numpy())
    return np.concatenate(found).astype(np.float64)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


def covariances(outputs: np.ndarray, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(mean of the people [D], covariance of their means [D, D], covariance within a person [D, D]), the two shrunk."""
    names, owner, count = np.unique(people, return_inverse=True, return_counts=True)
    means = np.stack([outputs[owner == i].mean(0) for i in range(len(names))])
    spread = outputs - means[owner]
    within = spread.T @ spread / max(len(outputs) - len(names), 1)
    # Means of few photos differ by what photos of one person do, too.
    between = np.cov(means.T) - within * np.mean(1 / count)
    even = lambda one: (1 - SHRINKAGE) * one + SHRINKAGE * np.trace(one) / len(one) * np.eye(len(one))  # noqa: E731
    return means.mean(0), even(between), even(within)


def lda(outputs: np.ndarray, people: np.ndarray, directions: int) -> np.ndarray:
    """The matrix [directions, D] whose rows separate people best: eigenvectors of between against within."""
    _, between, within = covariances(outputs, people)
    values, vectors = np.linalg.eigh(within)
    whitening = vectors / np.sqrt(values)
    best = np.linalg.eigh(whitening.T @ between @ whitening)[1][:, ::-1][:, :directions]
    return (whitening @ best).T


def plda_scores(rows: np.ndarray, between: np.ndarray, within: np.ndarray) -> np.ndarray:
    """Log-likelihood ratios of all pairs up to a constant, float64 [N, N]: rows float64 [N, D] around 0. With T = B + W
    and S = (T - B T^-1 B)^-1 it is `x' T^-1 B S y + x' (T^-1 - S) x / 2 + y' (T^-1 - S) y / 2`."""
    inverse = np.linalg.inv(between + within)
    schur = np.linalg.inv(between + within - between @ inverse @ between)
    own = 0.5 * np.einsum("nd,de,ne->n", rows, inverse - schur, rows)
    return rows @ (inverse @ between @ schur) @ rows.T + own[:, None] + own[None]


def s_norm(rows: np.ndarray, cohort: np.ndarray, highest: int | None = None) -> np.ndarray:
    """Cosines of all pairs of unit rows [N, D], each less the mean and over the deviation of the scores that either of
    the two has with the cohort's unit rows [M, D], the mean of both ways; highest: with so many of the highest."""
    against = np.sort(rows @ cohort.T, axis=1)[:, -(highest or len(cohort)) :]
    mean, deviation = against.mean(1), np.maximum(against.std(1), 1e-6)
    normed = (rows @ rows.T - mean[:, None]) / deviation[:, None]
    return (normed + normed.T) / 2


def ways(learned: np.ndarray, people: np.ndarray, judged: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(name, scores of all pairs [N, N]) of the judges' outputs, adapted to the learned ones of these people."""
    yield "shipped", unit(judged) @ unit(judged).T
    made = adaptation.adapt(learned[:, None], people)
    if made.nothing:
        return
    centred = unit(judged - made.mean)
    yield "mean off", centred @ centred.T
    rows, cohort = made.embed(judged[:, None]), made.embed(learned[:, None])
    yield "mean off, WCCN", rows @ rows.T
    for directions in DIRECTIONS:
        if directions < len(np.unique(people)):
            best = unit((judged - made.mean) @ lda(learned, people, directions).T)
            yield f"LDA {directions}", best @ best.T
    mean, between, within = covariances(unit(learned), people)
    yield "PLDA", plda_scores(unit(judged) - mean, between, within)
    yield "s-norm", s_norm(rows, cohort)
    yield "adaptive s-norm", s_norm(rows, cohort, HIGHEST)


def figures(scores: np.ndarray, table: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """TAR at `FARS` and AUC of the pairs of two photos, with intervals over the people of the first."""
    owner, photo = identity_keys(table), photo_keys(table)
    same, own = owner[:, None] == owner[None], photo[:, None] == photo[None]
    number, scores = owner.max() + 1, np.round(scores, 6)
    levels = metrics.score_levels(scores[same & ~own])
    counts = []
    for kind in (~same, same & ~own):
        row, column = np.nonzero(kind)
        counts.append(metrics.level_counts(scores[row, column], owner[row], number, levels))

    def statistic(weights):
        far, tar = (metrics.curve(count, weights) for count in counts)
        found = {f"tar@far={limit:.0e}".replace("e-0", "e-"): metrics.tar_on_curve(far, tar, limit) for limit in FARS}
        return found | {"auc": metrics.auc_on_curve(far, tar)}

    return metrics.bootstrap(number, statistic)


def main(args: argparse.Namespace) -> None:
    domains.remember(args.crops)
    found = []
    for domain in args.domains:
        with tempfile.TemporaryDirectory() as place:
            table, people, judges = domains.parted(domain, args, Path(place))
            judged = outputs_of(judges)
            count = int(judges["identity"].map(judges["identity"].value_counts() - 1).sum())
            for number in PEOPLE:
                own = table[table["identity"].isin(people[:number])].groupby("identity").head(MOST_PHOTOS)
                for way, scores in ways(outputs_of(own), own["identity"].to_numpy(), judged):
                    about = {"domain": domain, "people": number, "way": way}
                    for metric, (value, low, high) in figures(scores, judges).items():
                        found.append(about | {"metric": metric, "value": value, "low": low, "high": high})
                        found[-1]["count"] = count
            shown = pd.DataFrame([row for row in found if row["domain"] == domain])
            shown = shown.pivot(index=["people", "way"], columns="metric", values="value")
            print(domain, shown.round(3).to_string(), sep="\n", flush=True)
    domains.keep(args.crops)
    write_rows(args.output, found)
    print(f"wrote {args.output}")


def get_args_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    domains.add_data_flags(parser)
    parser.set_defaults(domains=("infrared", "tight"))
    parser.add_argument("--output", default="results/closed_forms.csv", help="CSV file to write")
    return parser


if __name__ == "__main__":
    cli.run(main, get_args_parser())
