"""What both reports are put together from."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from facecom.data.images import read_photo
from facecom.errors import FacecomError
from facecom.evaluation.results import figure, interval
from facecom.files import write_whole
from facecom.report import page, plots
from facecom.report.evidence import Error

#: {(protocol, condition, metric): result row}
Found = Mapping[tuple[str, str, str], dict]

#: Rows of the audit that a report shows; all of them are in its CSV.
MOST_AUDIT_ROWS = 40

#: Figures side by side that fit a sheet of paper with their intervals.
COLUMNS = 5

TITLES = {
    "cross-photo": "Cross-photo: a photo against other photos of the person, and of everybody else",
    "identification": "Identification, own photo left out",
    "identification-own-photo": "Identification with the own photo in the gallery (easy: it is the same photo)",
    "threshold-transfer": "What the stored thresholds do here",
    "published": "The published protocol (easy: mostly one photo twice)",
    "gender": "Gender",
    "pairs": "Pairs",
}


def draw_figure(folder: Path, name: str, draw: Callable, alt: str, caption: str) -> str:
    """Draw in both themes, leave the light one as `<name>.png` in the folder, and give the HTML."""
    light, dark = (plots.png(draw, theme) for theme in (plots.LIGHT, plots.DARK))
    with write_whole(folder / f"{name}.png", "wb") as file:
        file.write(light)
    return page.figure(light, dark, alt, caption)


def tile(row: dict | None, text: str, unit: str) -> tuple[str, str, str]:
    """(figure, what it says, interval and count) for `page.tiles`; unit: what is counted."""
    if row is None or np.isnan(row["value"]):
        return "-", text, f"undefined: no {unit}"
    between = f"{interval(row)}; " if interval(row) else ""
    return figure(row), text, f"{between}{row['count']:,} {unit}"


def cell(row: dict | None) -> str | tuple[str, str]:
    """Figure over interval, for `page.table`."""
    if row is None:
        return ""
    return (figure(row), interval(row)) if interval(row) else figure(row)


def of_metric(found: Found, protocol: str, metric: str) -> dict[str, dict]:
    """{condition: row}."""
    return {c: row for (p, c, m), row in found.items() if (p, m) == (protocol, metric)}


def legend(found: Found, protocol: str, metric: str) -> dict[str, str]:
    """{condition: `clean .995`}."""
    return {c: f"{c}  {figure(row)}" for c, row in of_metric(found, protocol, metric).items()}


def hardest(found: Found, protocol: str, metric: str, text: str, unit: str) -> list[tuple[str, str, str]]:
    """The tile of the condition with the lowest figure (`all` is none); no tile where there is only one condition: its
    figure stands on another."""
    rows = {condition: row for condition, row in of_metric(found, protocol, metric).items() if condition != "all"}
    if len(rows) == 1:
        return []
    known = [row for row in rows.values() if not np.isnan(row["value"])]
    row = min(known, key=lambda row: row["value"], default=None)
    return [tile(row, f"{text} in the hardest condition, {row['condition'] if row else 'any condition'}", unit)]


def worst_errors(table: pd.DataFrame, errors: Sequence[Error], title: Callable[[Error], str], empty: str) -> list[str]:
    """The section of the worst errors: photos, score, and what each file is."""
    if not errors:
        return [page.heading("The worst errors"), page.paragraph(empty)]
    items = []
    for error in errors:
        rows = [row for row in (error.row, error.other) if row >= 0]
        items.append((title(error), [(_photo(table["path"][row]), _what(table.loc[row])) for row in rows]))
    lead = (
        "The errors that were surest, a person named once; look whether the label, the photo or the network is wrong."
    )
    return [page.heading("The worst errors"), page.paragraph(lead), page.errors(items)]


def audit_table(audit: pd.DataFrame | None) -> list[str]:
    """What is wrong with the data; nothing where nobody looked."""
    if audit is None:
        return []
    head = page.heading("What is wrong with the data")
    if audit.empty:
        return [head, page.paragraph("Nothing was found: no person, no file and no photo is in both splits.")]
    counts = ", ".join(f"{kind}: {count:,}" for kind, count in audit["kind"].value_counts(sort=False).items())
    more = f" The first {MOST_AUDIT_ROWS} are listed." if len(audit) > MOST_AUDIT_ROWS else ""
    lines = audit.head(MOST_AUDIT_ROWS).astype(str).to_numpy().tolist()
    return [head, page.paragraph(f"{counts}.{more}"), page.table(list(audit.columns), lines, "text")]


def all_figures(rows: Sequence[dict]) -> list[str]:
    """Every row, a table a protocol: a line a condition, men and women apart in a table of their own."""
    parts = [page.heading("All figures"), page.paragraph("Small: 95 % interval. The same is in metrics.csv.", "muted")]
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        mine = [row for row in rows if row["protocol"] == protocol]
        parts.append(page.heading(TITLES.get(protocol, protocol), 3))
        if len({row["condition"] for row in mine}) == 1:
            lines = [[row["metric"], cell(row), f"{row['count']:,}"] for row in mine]
            parts.append(page.table(["figure", "value", "count"], lines))
            continue
        for sliced in (False, True):
            some = [row for row in mine if (" " in row["metric"]) == sliced]
            metrics = list(dict.fromkeys(row["metric"] for row in some))
            for start in range(0, len(metrics), COLUMNS):
                chosen = metrics[start : start + COLUMNS]
                parts.append(_wide([row for row in some if row["metric"] in chosen]))
    return parts


def _wide(rows: Sequence[dict]) -> str:
    found = {(row["condition"], row["metric"]): row for row in rows}
    conditions, metrics = ({row[name]: None for row in rows} for name in ("condition", "metric"))
    lines = []
    for condition in conditions:
        mine = [found.get((condition, metric)) for metric in metrics]
        counts = dict.fromkeys(f"{row['count']:,}" for row in mine if row)
        lines.append([condition, *map(cell, mine), " / ".join(counts)])
    return page.table(["", *metrics, "count"], lines)


def _photo(path: str) -> np.ndarray | None:
    try:
        return read_photo(path)
    except FacecomError:  # it was there a minute ago; the text still says what it is
        return None


def _what(row: pd.Series) -> str:
    person = f", {row['identity']}" if isinstance(row.get("identity"), str) else ""
    return f"{row['file'].rsplit('/', 1)[-1]} ({row['condition']}{person})"
