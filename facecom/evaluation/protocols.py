"""The protocols: what is compared with what, and the figures with their intervals, as flat rows (`results.COLUMNS`).

table: DataFrame with a row a file, columns `file`, `identity`, `photo`, `condition`; with a column `gender` figures for
men and women apart are added. embeddings: float32 [N, 128], unit length, or `Templates`, in the table's order; rows of
NaN (files that could not be read) are left out. Values lie in [0, 1], intervals are 95 % over resampled identities (the
probe's), undefined figures are NaN. Conditions: the table's, and `all`, which pools the scores of all of them under
one threshold.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from facecom.data.folders import GENDERS
from facecom.data.pairs import published_pairs
from facecom.evaluation import metrics
from facecom.evaluation.comparisons import (
    comparisons,
    identity_keys,
    photo_keys,
    present_conditions,
    readable,
    untrained_baseline,
)
from facecom.evaluation.gender import gender
from facecom.evaluation.operating_points import FARS, fit_operating_points
from facecom.evaluation.results import gap, rows_of
from facecom.inference.templates import Templates, as_templates, distances

__all__ = [
    "all_task_b",
    "cross_photo",
    "fit_operating_points",
    "gender",
    "identification",
    "nearest_identities",
    "published",
    "threshold_transfer",
    "untrained_baseline",
]

#: The published solution's hand-set distance.
PUBLISHED_DISTANCE = 0.5


def published(
    table: pd.DataFrame,
    embeddings: Templates | np.ndarray,
    operating_points=(),
    *,
    unsure: np.ndarray | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict]:
    """The published solution's pairs: neighbouring files of a person, and as many pairs of two people.

    Figures at the first operating point's distance (left out without one) and, with `@0.5` behind their names, at the
    published one. unsure: bool [N], photos to answer `cannot tell` for: such a pair is never counted as right. With
    `@rejected` behind their names it is not accepted, which for two people is right: how verification counts a failure
    to acquire (generalized FAR and FRR, ISO/IEC 19795-1).
    `same_photo_share`: the share of the genuine pairs that are one photo twice. Intervals by the first photo's
    identity. No rows for fewer than two people.
    """
    embeddings = as_templates(embeddings)
    keep = embeddings.readable
    unsure = np.zeros(len(keep), bool) if unsure is None else unsure
    table, embeddings, unsure = table[keep].reset_index(drop=True), embeddings[keep], unsure[keep]
    if table["identity"].nunique() < 2:
        return []
    pairs = published_pairs(table, seed)
    a, b, same = pairs["a"].to_numpy(int), pairs["b"].to_numpy(int), pairs["same"].to_numpy(bool)
    owner, people = identity_keys(table)[a], table["identity"].nunique()
    distance = distances(embeddings[a], embeddings[b])
    told = Templates(embeddings.faces, embeddings.photos, ~unsure)
    withheld = ~(told[a].tell(distance) & told[b].tell(distance))
    thresholds = {}
    if operating_points:
        thresholds = dict.fromkeys(("", "@rejected") if unsure.any() else ("",), operating_points[0]["threshold"])
    thresholds["@0.5"] = PUBLISHED_DISTANCE
    counts = {}
    for suffix, threshold in thresholds.items():
        answer = (distance <= threshold).astype(float)
        if suffix != "@0.5":  # the published solution always answers
            answer[withheld] = 0 if suffix == "@rejected" else np.nan
        counts[suffix] = metrics.decision_counts(same, answer, owner, people)
    photo = photo_keys(table)
    genuine = np.bincount(owner[same], minlength=people)
    twice = np.bincount(owner[same], photo[a[same]] == photo[b[same]], people)

    def statistic(weights):
        figures = {"same_photo_share": metrics.share(weights @ twice, weights @ genuine)}
        for suffix, count in counts.items():
            found = metrics.decision_figures(np.tensordot(weights, count, 1))
            figures |= {name + suffix: found[name] for name in ("accuracy", "precision", "recall", "f1", "macro_f1")}
            if suffix == "" and unsure.any():
                figures["answered"] = found["answered"]
        return figures

    figures = metrics.bootstrap(people, statistic, resamples, seed)
    count = dict.fromkeys(figures, len(a)) | {"same_photo_share": int(same.sum())}
    return rows_of("published", "all", figures, count)


def cross_photo(
    table: pd.DataFrame,
    embeddings: Templates | np.ndarray,
    *,
    conditions: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict]:
    """Probes of a condition against the CLEAN photos of the same person except the own photo, and of all others.

    conditions: which (default: all that the table has, and `all`). TAR@FAR, AUC and EER; counts are genuine
    comparisons. With a `gender` column also TAR@FAR=1e-3 of men and women apart at the common threshold, `gap`: men
    less women, and `same gender`: where the false accept rate is that of strangers of the probe's gender.
    """
    table, embeddings = readable(table, embeddings)
    people = identity_keys(table).max(initial=-1) + 1
    groups = _gender_groups(table)
    headline = _tar_name(FARS[0])
    rows = []
    for condition in conditions or present_conditions(table):
        genuine, impostor, alike = _counts_at_levels(table, embeddings, condition, people)

        def statistic(weights, genuine=genuine, impostor=impostor, alike=alike):
            far, tar = metrics.curve(impostor, weights), metrics.curve(genuine, weights)
            figures = {_tar_name(limit): metrics.tar_on_curve(far, tar, limit) for limit in FARS}
            figures |= {"auc": metrics.auc_on_curve(far, tar), "eer": metrics.eer_on_curve(far, tar)}
            point = np.maximum((far <= FARS[0]).sum(1) - 1, 0)[:, None]
            for name, members in groups.items():
                own = metrics.curve(genuine, weights * members)
                figures[f"{headline} {name}"] = np.take_along_axis(own, point, 1)[:, 0]
            if groups:
                among = metrics.curve(alike, weights)
                figures[f"{headline} same gender"] = metrics.tar_on_curve(among, tar, FARS[0])
            return figures | gap(figures, headline)

        figures = metrics.bootstrap(people, statistic, resamples, seed)
        count = dict.fromkeys(figures, int(genuine.sum()))
        count |= {f"{headline} {name}": int(genuine[members].sum()) for name, members in groups.items()}
        rows += rows_of("cross-photo", condition, figures, count)
    return rows


def identification(
    table: pd.DataFrame,
    embeddings: Templates | np.ndarray,
    *,
    own_photo: bool = False,
    conditions: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[dict]:
    """Gallery: all clean photos. Rank-1, rank-5 (among photos, ties against us), macro F1; counts are probes.

    own_photo False: the probe's own photo is left out, and only probes with another photo of their person count.
    True (protocol `identification-own-photo`, the organisers' setting): it stays in.
    """
    table, embeddings = readable(table, embeddings)
    people = identity_keys(table).max(initial=-1) + 1
    groups = _gender_groups(table)
    rows = []
    for condition in conditions or present_conditions(table):
        truth, rank, answer = nearest_identities(table, embeddings, condition, own_photo=own_photo)
        total = np.bincount(truth, minlength=people)
        first, fifth = (np.bincount(truth, rank <= k, people) for k in (1, 5))
        confusion = sparse.csr_array((np.ones(len(truth)), (truth, answer)), (people, people))

        def statistic(weights, first=first, fifth=fifth, total=total, confusion=confusion):
            figures = {
                "rank1": metrics.share(weights @ first, weights @ total),
                "rank5": metrics.share(weights @ fifth, weights @ total),
                "macro_f1": metrics.macro_f1_of_confusion(confusion, weights),
            }
            for name, members in groups.items():
                figures[f"rank1 {name}"] = metrics.share(weights @ (first * members), weights @ (total * members))
            return figures | gap(figures, "rank1")

        figures = metrics.bootstrap(people, statistic, resamples, seed)
        count = dict.fromkeys(figures, int(total.sum()))
        count |= {f"rank1 {name}": int(total[members].sum()) for name, members in groups.items()}
        rows += rows_of("identification-own-photo" if own_photo else "identification", condition, figures, count)
    return rows


def nearest_identities(
    table: pd.DataFrame, embeddings: Templates | np.ndarray, condition: str, *, own_photo: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(true identity int [P], rank of the person's best photo float [P], nearest identity int [P]) of the probes that
    have a photo of their person in the gallery; identities as in `identity_keys`, a tie names the stranger."""
    identity = identity_keys(table)
    found = [np.empty((3, 0))]
    for probes, gallery, scores, same, own in comparisons(table, embeddings, condition):
        if not own_photo:
            scores = np.where(own, -np.inf, scores)
        rank = metrics.ranks(scores, same)
        stranger = identity[gallery[np.where(same, -np.inf, scores).argmax(1)]]
        truth = identity[probes]
        found.append(np.stack([truth, rank, np.where(rank == 1, truth, stranger)])[:, ~np.isnan(rank)])
    truth, rank, answer = np.concatenate(found, 1)
    return truth.astype(int), rank, answer.astype(int)


def threshold_transfer(
    table: pd.DataFrame, embeddings: Templates | np.ndarray, operating_points, *, resamples: int = 1000, seed: int = 0
) -> list[dict]:
    """Realised FAR and TAR, on the cross-photo comparisons, of thresholds that were fixed elsewhere.

    `far`, `tar`: of the first operating point; of the others with `@fitted=` and their FAR behind. Counts: impostor and
    genuine comparisons.
    """
    table, embeddings = readable(table, embeddings)
    identity = identity_keys(table)
    people = identity.max(initial=-1) + 1
    names = ["" if i == 0 else f"@fitted={_power(p['far'])}" for i, p in enumerate(operating_points)]
    rows = []
    for condition in present_conditions(table) if operating_points else ():
        total = np.zeros((2, people))  # impostor, genuine
        accepted = {name: np.zeros((2, people)) for name in names}
        for probes, _, scores, same, own in comparisons(table, embeddings, condition):
            for i, kind in enumerate((~same, same & ~own)):
                total[i] += np.bincount(identity[probes], kind.sum(1), people)
                for name, point in zip(names, operating_points, strict=True):
                    close = kind & (scores >= -point["threshold"])
                    accepted[name][i] += np.bincount(identity[probes], close.sum(1), people)

        def statistic(weights, accepted=accepted, total=total):
            return {
                rate + name: metrics.share(weights @ close[i], weights @ total[i])
                for name, close in accepted.items()
                for i, rate in enumerate(("far", "tar"))
            }

        figures = metrics.bootstrap(people, statistic, resamples, seed)
        count = {name: int(total[int(name.startswith("tar"))].sum()) for name in figures}
        rows += rows_of("threshold-transfer", condition, figures, count)
    return rows


def all_task_b(
    table: pd.DataFrame,
    embeddings: Templates | np.ndarray,
    operating_points=(),
    seed: int = 0,
    *,
    unsure=None,
    resamples=1000,
) -> list[dict]:
    """Every protocol of Task B; cross-photo, the headline, first."""
    options = {"resamples": resamples, "seed": seed}
    return [
        *cross_photo(table, embeddings, **options),
        *identification(table, embeddings, **options),
        *identification(table, embeddings, own_photo=True, **options),
        *threshold_transfer(table, embeddings, operating_points, **options),
        *published(table, embeddings, operating_points, unsure=unsure, **options),
    ]


def _counts_at_levels(
    table: pd.DataFrame, embeddings: Templates | np.ndarray, condition: str, people: int
) -> tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]:
    """Genuine scores, impostor scores, and those of impostors of the probe's gender, per identity, counted at the
    genuine scores: [people, K] each (`level_counts`)."""
    identity = identity_keys(table)
    genders = pd.factorize(table["gender"])[0] if "gender" in table else np.full(len(table), -1)
    genuine, owners = [np.empty(0, np.float32)], [np.empty(0, int)]
    for probes, _, scores, same, own in comparisons(table, embeddings, condition):
        other = same & ~own
        genuine.append(scores[other])
        owners.append(np.repeat(identity[probes], other.sum(1)))
    pooled, whose = np.concatenate(genuine), np.concatenate(owners)
    levels = metrics.score_levels(pooled)
    impostor = alike = metrics.level_counts(np.empty(0), np.empty(0, int), people, levels)
    for probes, gallery, scores, same, _ in comparisons(table, embeddings, condition):
        gender, stranger = genders[probes][:, None], ~same
        equal = stranger & (gender == genders[gallery]) & (gender >= 0)
        of_strangers, of_equals = (np.repeat(identity[probes], which.sum(1)) for which in (stranger, equal))
        impostor = impostor + metrics.level_counts(scores[stranger], of_strangers, people, levels)
        alike = alike + metrics.level_counts(scores[equal], of_equals, people, levels)
    return metrics.level_counts(pooled, whose, people, levels), impostor, alike


def _gender_groups(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """{gender: bool [I], identities of it}; empty without a column `gender`."""
    if "gender" not in table:
        return {}
    of_identity = table.groupby("identity", sort=True)["gender"].first().to_numpy()
    return {gender: of_identity == gender for gender in GENDERS}


def _tar_name(far: float) -> str:
    return f"tar@far={_power(far)}"


def _power(far: float) -> str:
    return f"{far:.0e}".replace("e-0", "e-")
