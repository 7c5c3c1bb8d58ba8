"""The HTML report of a test run: `report.html`, its figures as PNG beside it. One function a task."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from facecom.data.folders import GENDERS
from facecom.evaluation import metrics
from facecom.evaluation.comparisons import present_conditions, readable
from facecom.files import write_whole
from facecom.inference.templates import Templates, as_templates
from facecom.report import evidence, gender, page, siamese
from facecom.report.parts import all_figures, audit_table, draw_figure

DRAWN = "These are drawn people: this report checks the installation, it says nothing about accuracy."


def write_siamese_report(
    folder: str | Path,
    rows: Sequence[dict],
    table: pd.DataFrame,
    embeddings: Templates | np.ndarray,
    operating_points: Sequence[dict] = (),
    *,
    sureness: Mapping[str, np.ndarray] | None = None,
    weights: str = "",
    drawn: bool = False,
    audit: pd.DataFrame | None = None,
) -> Path:
    """Task B's report. Returns the path of `report.html`.

    rows: of `protocols.all_task_b`; table: `path`, `file`, `identity`, `photo`, `condition`; embeddings: float32
    [N, D], unit length, NaN for unreadable files, or templates; sureness: {what: float [N]}, such as quality and face
    confidence, higher is surer, NaN where unknown; weights: what was tested; drawn: the people are drawn; audit: of
    `audit.audit`. Raises FacecomError where the folder cannot be written.
    """
    keep = as_templates(embeddings).readable
    sureness = {name: np.asarray(values, float)[keep] for name, values in (sureness or {}).items()}
    table, embeddings = readable(table, embeddings)
    found = {(r["protocol"], r["condition"], r["metric"]): r for r in rows}
    pairs = {c: evidence.pairs_of(table, embeddings, c) for c in present_conditions(table)}
    threshold = operating_points[0]["threshold"] if operating_points else None
    draw = partial(draw_figure, Path(folder))
    unread = f"; {(~keep).sum():,} files could not be read" if not keep.all() else ""
    about = f"{len(table):,} photos of {table['identity'].nunique():,} people, {_conditions(table)}{unread}. {weights}"
    body = [
        page.paragraph(about, "muted"),
        *([page.paragraph(DRAWN, "notice")] if drawn else []),
        siamese.tiles(found),
        *siamese.claims(found),
        *siamese.curves(draw, found, pairs, threshold),
        *siamese.rejects(draw, pairs, threshold, sureness),
        *siamese.decisions(draw, found),
        *siamese.worst(table, embeddings, threshold),
        *audit_table(audit),
        *all_figures(rows),
        page.heading("The words used here"),
        page.definitions(siamese.GLOSSARY),
    ]
    return _write(folder, "Who is it? Face verification, tested", body)


def write_pairs_report(
    folder: str | Path,
    rows: Sequence[dict],
    same: np.ndarray,
    distance: np.ndarray,
    verdict: np.ndarray,
    threshold: float,
    *,
    weights: str = "",
) -> Path:
    """The report of a list of labelled pairs. Returns the path of `report.html`.

    rows: of protocol `pairs`; same: 1, 0 [N]; distance: float [N], NaN for an unreadable photo; verdict: 1 same, 0,
    NaN cannot tell [N].
    """
    known = ~np.isnan(distance)
    same, distance, verdict = np.asarray(same, bool)[known], distance[known], verdict[known]
    found = {(r["protocol"], r["condition"], r["metric"]): r for r in rows}
    draw = partial(draw_figure, Path(folder))
    unread = f"; {(~known).sum():,} with an unreadable photo are left out" if not known.all() else ""
    counts = metrics.decision_counts(same, verdict, np.zeros(len(same), int), 1)[0]
    counts = counts[::-1][:, [1, 0, 2] if counts[:, 2].any() else [1, 0]]
    pairs = {"pairs": evidence.labelled_pairs(same, distance)}
    body = [
        page.paragraph(f"{len(same):,} pairs{unread}. {weights}", "muted"),
        page.heading("Decisions"),
        siamese.confusion(draw, counts, f"The threshold is a distance of {threshold:.3f}."),
        siamese.scores(draw, pairs, threshold),
    ]
    if same.any() and not same.all():
        tar = metrics.tar_on_curve(pairs["pairs"].far, pairs["pairs"].tar, 1e-3)
        names = [{"pairs": f"pairs  {value:.3f}"} for value in (tar, found["pairs", "all", "eer"]["value"])]
        body += [page.heading("Every threshold"), *siamese.every_threshold(draw, pairs, *names)]
    body += [*all_figures(rows), page.heading("The words used here"), page.definitions(siamese.GLOSSARY)]
    return _write(folder, "The same person? Pairs of photos, tested", body)


def write_gender_report(
    folder: str | Path,
    rows: Sequence[dict],
    table: pd.DataFrame,
    p_female: np.ndarray,
    verdict: np.ndarray,
    threshold: float,
    *,
    sureness: Mapping[str, np.ndarray] | None = None,
    weights: str = "",
    drawn: bool = False,
    audit: pd.DataFrame | None = None,
) -> Path:
    """Task A's report. Returns the path of `report.html`.

    rows: of `protocols.gender`; table: `path`, `file`, `photo`, `condition`, `gender`; p_female: float [N], NaN for
    unreadable files; verdict: 1 female, 0 male, NaN cannot tell [N]; the others as for `write_siamese_report`.
    """
    known = table["gender"].isin(GENDERS).to_numpy() & np.isfinite(p_female)
    sureness = {name: np.asarray(values, float)[known] for name, values in (sureness or {}).items()}
    table, p_female, verdict = table[known].reset_index(drop=True), p_female[known], verdict[known]
    found = {(r["protocol"], r["condition"], r["metric"]): r for r in rows}
    draw = partial(draw_figure, Path(folder))
    about = (
        f"{len(table):,} photos with a label, {_conditions(table)}. Gender here is what the data set's labels say: "
        f"binary, as perceived. {weights}"
    )
    body = [
        page.paragraph(about, "muted"),
        *([page.paragraph(DRAWN, "notice")] if drawn else []),
        gender.tiles(found),
        *gender.curves(draw, found, table, p_female, threshold),
        *gender.decisions(draw, table, p_female, verdict, threshold, sureness),
        *gender.worst(table, p_female, verdict),
        *audit_table(audit),
        *all_figures(rows),
        page.heading("The words used here"),
        page.definitions(gender.GLOSSARY),
    ]
    return _write(folder, "Male or female? Gender classification, tested", body)


def _conditions(table: pd.DataFrame) -> str:
    count = table["condition"].nunique()
    return f"{count} conditions" if count != 1 else "one condition"


def _write(folder: str | Path, title: str, body: Sequence[str]) -> Path:
    path = Path(folder) / "report.html"
    with write_whole(path) as file:
        file.write(page.document(title, body))
    return path
