"""The sections of Task B's report."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from facecom.inference.templates import Templates
from facecom.report import evidence, page, plots
from facecom.report.evidence import Pairs
from facecom.report.parts import Found, cell, hardest, legend, of_metric, tile, worst_errors

TAR = "tar@far=1e-3"

GLOSSARY = (
    ("identity", "a person; a photo is one shot of them, a copy the same shot under rain, noise and so on"),
    ("genuine pair", "two photos of one person; an impostor pair shows two people"),
    ("distance", "0 for one photograph twice, up to 2 for faces; pairs up to the threshold are called the same person"),
    ("FAR", "false accept rate: the share of impostor pairs that is called the same person"),
    ("TAR", "true accept rate: the share of genuine pairs that is; TAR at FAR 1e-3 lets 1 stranger in 1,000 pass"),
    ("EER", "equal error rate: both errors at the threshold where they are equal"),
    ("rank-1", "the share of photos whose most alike gallery photo shows the same person"),
    ("gallery", "the clean photos that a photo, the probe, is compared with"),
    ("interval", "where 95 of 100 repetitions with other people like these would fall (identities resampled)"),
    ("operating point", "a threshold fixed beforehand on other people, and only applied here"),
)


def tiles(found: Found) -> str:
    values = [
        tile(
            found.get(("cross-photo", "clean", TAR)),
            "of pairs of clean photos of a person are recognised, while 1 in 1,000 pairs of strangers passes",
            "pairs",
        ),
        *hardest(found, "cross-photo", TAR, "is the same", "pairs"),
        tile(
            found.get(("identification", "all", "rank1")) or found.get(("identification", "clean", "rank1")),
            "of photos, all conditions together, have the right person as the first guess",
            "photos",
        ),
    ]
    realised = found.get(("threshold-transfer", "all", "far")) or found.get(("threshold-transfer", "clean", "far"))
    if realised:
        value, text, count = tile(realised, "pairs of strangers passes the stored threshold", "pairs")
        values.append((f"1 in {1 / realised['value']:,.0f}" if realised["value"] > 0 else value, text, count))
    return page.tiles(values)


def claims(found: Found) -> list[str]:
    """The protocols beside each other: what an easy one hides."""
    lines = [
        ("pairs of neighbouring files, as published", found.get(("published", "all", "accuracy"))),
        (
            "the share of them that is answered; cannot tell counts as wrong above",
            found.get(("published", "all", "answered")),
        ),
        ("the same pairs, cannot tell counted as not accepted", found.get(("published", "all", "accuracy@rejected"))),
        ("the same pairs at distance 0.5, as published", found.get(("published", "all", "accuracy@0.5"))),
        ("first guess right, own photo in the gallery", _pooled(found, "identification-own-photo", "rank1")),
        ("first guess right, own photo left out", _pooled(found, "identification", "rank1")),
        ("cross-photo pairs recognised at FAR 1e-3", _pooled(found, "cross-photo", TAR)),
    ]
    share = found.get(("published", "all", "same_photo_share"))
    parts = [page.heading("What a claim is worth")]
    if share and not np.isnan(share["value"]):
        parts.append(
            page.paragraph(
                f"{100 * share['value']:.1f} % of the published protocol's genuine pairs ({share['count']:,}) are one "
                "photo under two filters. Who knows the photo, not the person, scores high on those and with the own "
                "photo in the gallery (facecom looks for it too, by --same_photo); the last two lines need "
                "another photo of the person."
            )
        )
    rows = [[name, cell(row), f"{row['count']:,}"] for name, row in lines if row]
    return [*parts, page.table(["protocol", "figure", "pairs or photos"], rows)]


def curves(draw: Callable, found: Found, pairs: Mapping[str, Pairs], threshold: float | None) -> list[str]:
    """Everything that needs genuine pairs; a sentence where there are none."""
    shown = {c: p for c, p in pairs.items() if len(p.distance)}
    if not shown:
        sentence = "No person has two photos here, so nothing can be said about recognising them."
        return [page.heading("Per condition"), page.paragraph(sentence)]
    return [
        page.heading("Per condition"),
        _conditions(draw, found, shown),
        scores(draw, shown, threshold),
        page.heading("Every threshold"),
        *every_threshold(draw, shown, legend(found, "cross-photo", TAR), legend(found, "cross-photo", "eer")),
        page.heading("Who is it?"),
        _ranks(draw, found, shown),
    ]


def _conditions(draw: Callable, found: Found, pairs: Mapping[str, Pairs]) -> str:
    series = {
        "recognised at FAR 1e-3": of_metric(found, "cross-photo", TAR),
        "first guess right": of_metric(found, "identification", "rank1"),
    }
    return draw(
        "conditions",
        partial(plots.per_condition, series, "share of genuine pairs (round), of probes (square)"),
        "TAR at FAR 1e-3 and rank-1 per condition with intervals",
        "How much each condition costs: the further right the better; bars are 95 % intervals over people. "
        f'Up to {_most(pairs)[0]:,} genuine pairs a condition; "all" puts all under one threshold.',
    )


def scores(draw: Callable, pairs: Mapping[str, Pairs], threshold: float | None) -> str:
    marks = {} if threshold is None else {threshold: f"threshold {threshold:.2f}"}
    counts = {c: (p.genuine, p.impostor) for c, p in pairs.items()}
    return draw(
        "scores",
        partial(plots.histograms, counts, evidence.EDGES, marks, ("one person", "two people"), "distance"),
        "Histograms of the distances of genuine and impostor pairs per condition",
        "How far apart pairs are: the less the two hills overlap, the better; left of the line a pair is called "
        "the same person. Above each panel: genuine / impostor pairs.",
    )


def every_threshold(
    draw: Callable, pairs: Mapping[str, Pairs], tars: Mapping[str, str], eers: Mapping[str, str]
) -> list[str]:
    """ROC and DET; tars, eers: {condition: its name in the legend}."""
    rates = {c: (p.far, p.tar) for c, p in pairs.items()}
    genuine, impostor = _most(pairs)
    count = f"Up to {genuine:,} genuine and {impostor:,} impostor pairs a condition."
    return [
        draw(
            "roc",
            partial(plots.roc, rates, tars),
            "ROC curves per condition, false accept rate logarithmic",
            "What letting fewer strangers pass costs: to the left fewer strangers, further up more people recognised; "
            f"the dotted line is 1 stranger in 1,000. {count}",
        ),
        draw(
            "det",
            partial(plots.det, rates, eers),
            "DET curves per condition",
            "Both errors against each other on axes that spread small ones: nearer to the lower left is better, and "
            f"on the dotted line they are equal. {count}",
        ),
    ]


def _ranks(draw: Callable, found: Found, pairs: Mapping[str, Pairs]) -> str:
    ranks = {c: p.ranks for c, p in pairs.items()}
    return draw(
        "ranks",
        partial(plots.rank_curve, ranks, legend(found, "identification", "rank1")),
        "Rank curves per condition",
        "How often the right person is among the k most alike photos of the gallery, the probe's own photo left "
        f"out. {max(map(len, ranks.values())):,} probes at most.",
    )


def _most(pairs: Mapping[str, Pairs]) -> tuple[int, int]:
    """(genuine, impostor) comparisons of the condition that has most."""
    return max(len(p.distance) for p in pairs.values()), max(int(p.impostor.sum()) for p in pairs.values())


def rejects(
    draw: Callable, pairs: Mapping[str, Pairs], threshold: float | None, sureness: Mapping[str, np.ndarray]
) -> list[str]:
    """Error versus reject over all conditions: does the network know which photos it cannot tell?"""
    pooled = pairs.get("all") or next(iter(pairs.values()), None)
    if pooled is None or threshold is None or not len(pooled.distance):
        return []
    wrong = pooled.distance > threshold
    curves = {
        f"by {name}": evidence.error_versus_reject(wrong, np.minimum(values[pooled.probe], values[pooled.other]))
        for name, values in sureness.items()
    }
    found = {name: curve for name, curve in curves.items() if curve is not None}
    if not found:
        return []
    return [
        page.heading("Does it know when it cannot tell?"),
        draw(
            "reject",
            partial(plots.reject_curve, found, "same person not recognised"),
            "Error versus reject",
            "If answers on the least sure photos are withheld, fewer errors should remain: the steeper the fall, the "
            f"better the figure knows. {len(wrong):,} genuine pairs of all conditions at the stored threshold.",
        ),
    ]


def decisions(draw: Callable, found: Found) -> list[str]:
    """The confusion matrix at the stored operating point."""
    tar, far = (_pooled(found, "threshold-transfer", metric) for metric in ("tar", "far"))
    if not tar or not far or np.isnan(tar["value"] + far["value"]):
        return []
    counts = np.array([[row["value"] * row["count"], (1 - row["value"]) * row["count"]] for row in (tar, far)]).round()
    return [
        page.heading("Decisions at the stored threshold"),
        confusion(draw, counts, "All conditions together; the threshold was fixed on other people."),
    ]


def confusion(draw: Callable, counts: np.ndarray, caption: str) -> str:
    """counts: [one person, two people] by [called the same, called different(, cannot tell)]."""
    answers = ["called the same", "called different", "cannot tell"][: counts.shape[1]]
    of_one, of_two = counts.sum(1)
    return draw(
        "confusion",
        partial(plots.confusion, counts, ["one person", "two people"], answers),
        "Confusion matrix",
        f"{of_one:,.0f} pairs of one person, {of_two:,.0f} of two: what they were called. {caption}",
    )


def worst(table: pd.DataFrame, embeddings: Templates | np.ndarray, threshold: float | None) -> list[str]:
    if threshold is None:
        return []
    return worst_errors(
        table,
        evidence.worst_pairs(table, embeddings, threshold),
        lambda error: f"{error.kind}: distance {error.score:.3f}, threshold {threshold:.3f}",
        "No pair was decided wrongly.",
    )


def _pooled(found: Found, protocol: str, metric: str) -> dict | None:
    """Of all conditions, or of the only one."""
    rows = of_metric(found, protocol, metric)
    return rows.get("all") or next(iter(rows.values()), None)
