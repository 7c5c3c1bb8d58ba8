"""Results as flat rows: one row a figure, written as CSV and printed as tables."""

import csv
import math
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from facecom.data.folders import GENDERS
from facecom.errors import FacecomError
from facecom.files import write_whole

COLUMNS = ("protocol", "condition", "metric", "value", "low", "high", "count")


def rows_of(protocol: str, condition: str, figures: dict[str, tuple], count: dict[str, int]) -> list[dict]:
    """Rows of {metric: (value, low, high)} and {metric: how many comparisons, probes or photos it stands on}."""
    return [
        dict(zip(COLUMNS, (protocol, condition, metric, *figure, count[metric]), strict=True))
        for metric, figure in figures.items()
    ]


def gap(figures: dict, name: str) -> dict:
    """{`<name> gap`: the figure `<name> male` less `<name> female`}; empty where they are not among the figures."""
    men, women = (figures.get(f"{name} {gender}") for gender in GENDERS)
    return {} if men is None else {f"{name} gap": men - women}


def write_rows(path: str | Path, rows: Iterable[dict]) -> None:
    """CSV of the rows, all with the same keys in the same order; `COLUMNS` alone when there are none.

    Undefined figures (NaN, None) are empty; floats have six significant digits. Raises FacecomError (see
    `files.write_whole`).
    """
    rows = list(rows)
    with write_whole(path, newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)


def read_rows(path: str | Path) -> list[dict]:
    """Rows of `write_rows`: value, low and high as float (empty: NaN), count as int, the rest as text."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise FacecomError(f"{path}: cannot be read ({error.strerror})") from error
    for row in rows:
        row.update({name: float(row[name] or "nan") for name in ("value", "low", "high")})
        row["count"] = int(row["count"])
    return rows


def print_table(rows: Sequence[dict], file=None) -> None:
    """The rows as one table a protocol: a line a condition, a column a metric, the interval below it.

    A protocol with a single condition is printed with a line a metric instead.
    """
    file = file or sys.stdout
    for protocol in dict.fromkeys(row["protocol"] for row in rows):
        mine = [row for row in rows if row["protocol"] == protocol]
        print(f"\n{protocol}", file=file)
        for line in _grid(_table(mine)):
            print("  " + line.rstrip(), file=file)


def _table(rows: Sequence[dict]) -> list[list[str]]:
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    if len(conditions) == 1:
        body = [[r["metric"], figure(r), interval(r), f"{r['count']:,}"] for r in rows]
        return [["", "value", "95 % interval", "count"], *body]
    # Slices and secondary operating points stay in the CSV: a line must fit a terminal.
    metrics = [m for m in dict.fromkeys(row["metric"] for row in rows) if " " not in m]
    cells = {(row["condition"], row["metric"]): row for row in rows}
    table = [["", *metrics, "count"]]
    for condition in conditions:
        found = [cells.get((condition, metric)) for metric in metrics]
        counts = dict.fromkeys(f"{row['count']:,}" for row in found if row)
        table.append([condition, *(figure(row) if row else "" for row in found), " / ".join(counts)])
        table.append(["", *(interval(row) if row else "" for row in found), ""])
    return table


def figure(row: dict, column: str = "value") -> str:
    """A share for people: `.973`, `1.000`, `-.012`, a false accept rate `.00103`; an undefined one is `-`."""
    value = row[column]
    if math.isnan(value):
        return "-"
    text = f"{value:.{5 if row['metric'].startswith('far') else 3}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def interval(row: dict) -> str:
    """`.961 to .982`, empty where there is none."""
    return "" if math.isnan(row["low"]) else f"{figure(row, 'low')} to {figure(row, 'high')}"


def _grid(table: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for first, *cells in filter(any, table):
        padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *padded]))
    return lines


def _cell(value):
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return "" if value is None else value


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table of texts in Markdown."""
    rule = ["---"] * len(head)
    return "".join(f"| {' | '.join(line)} |\n" for line in (head, rule, *lines))


def shortened(text: str) -> str:
    """A number with more than three places behind the point, to three digits; other text as it is."""
    return f"{float(text):#.3g}".rstrip(".") if re.fullmatch(r"-?\d{1,3}\.\d{4,}(e-?\d+)?", text) else text
