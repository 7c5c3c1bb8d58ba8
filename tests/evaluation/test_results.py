import csv
import io
import math

import pytest

from facecom.errors import FacecomError
from facecom.evaluation import results


def row(condition="clean", metric="rank1", value=0.5, low=math.nan, high=math.nan, count=10, protocol="identification"):
    return dict(zip(results.COLUMNS, (protocol, condition, metric, value, low, high, count), strict=True))


def test_csv_is_flat_and_undefined_figures_are_empty(tmp_path):
    path = tmp_path / "deep" / "metrics.csv"
    results.write_rows(path, [row(value=1 / 3, low=0.25, high=0.5), row("sunny", value=math.nan, count=0)])
    assert path.read_text().splitlines() == [
        "protocol,condition,metric,value,low,high,count",
        "identification,clean,rank1,0.333333,0.25,0.5,10",
        "identification,sunny,rank1,,,,0",
    ]


def test_csv_is_read_back(tmp_path):
    path = tmp_path / "metrics.csv"
    rows = [row(value=0.25, low=0.125, high=0.5) | {"embedder": "a, b"}, row(value=0.5, low=0.5, high=0.5)]
    rows[1]["embedder"] = "c"
    results.write_rows(path, rows)
    assert results.read_rows(path) == rows
    results.write_rows(path, [row(value=math.nan)])
    assert math.isnan(results.read_rows(path)[0]["value"])
    with pytest.raises(FacecomError, match="none.csv"):
        results.read_rows(tmp_path / "none.csv")


def test_no_rows_leave_the_header(tmp_path):
    results.write_rows(tmp_path / "metrics.csv", [])
    with open(tmp_path / "metrics.csv") as file:
        assert list(csv.reader(file)) == [list(results.COLUMNS)]


def test_gap_is_men_less_women():
    assert results.gap({"rank1": 0.7, "rank1 male": 0.75, "rank1 female": 0.5}, "rank1") == {"rank1 gap": 0.25}
    assert results.gap({"rank1": 0.7}, "rank1") == {}


@pytest.mark.parametrize(
    "value, text",
    [(0.9734, ".973"), (1.0, "1.000"), (0.99996, "1.000"), (-0.0123, "-.012"), (-1.0, "-1.000"), (0, ".000")],
)
def test_figures_for_people(value, text):
    assert results.figure(row(value=value)) == text


def test_undefined_and_small_figures_for_people():
    assert results.figure(row(value=math.nan)) == "-"
    assert results.figure(row(metric="far", value=0.001032)) == ".00103"
    assert results.interval(row()) == ""
    assert results.interval(row(low=0.96, high=1.0)) == ".960 to 1.000"


def test_table_has_a_line_a_condition_and_a_column_a_metric():
    out = io.StringIO()
    rows = [
        row(low=0.25, high=0.75),
        row(metric="rank1 gap"),
        row(metric="rank5", value=1.0, count=12),
        row("sunny", value=math.nan, count=0),
        row("all", "accuracy", protocol="published", count=5860, low=0.4, high=0.6),
    ]
    results.print_table(rows, out)
    assert [line.split() for line in out.getvalue().splitlines()] == [
        [],
        ["identification"],
        ["rank1", "rank5", "count"],
        ["clean", ".500", "1.000", "10", "/", "12"],
        [".250", "to", ".750"],
        ["sunny", "-", "0"],
        [],
        ["published"],
        ["value", "95", "%", "interval", "count"],
        ["accuracy", ".500", ".400", "to", ".600", "5,860"],
    ]
