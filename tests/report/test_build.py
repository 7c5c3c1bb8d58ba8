import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pandas as pd
import pytest

from facecom.evaluation import metrics, protocols, results, scoring
from facecom.report import build, evidence, page, plots

POINTS = [{"threshold": 0.9, "far": 1e-3}]


class Page(HTMLParser):
    """Everything that a page refers to, and whether its elements are closed."""

    def __init__(self, html: str):
        super().__init__()
        self.open, self.sources, self.images, self.text = [], [], 0, ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.sources += [attrs[name] for name in ("src", "srcset", "href") if name in attrs]
        self.images += tag == "img"
        if tag not in ("meta", "img", "source", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(autouse=True)
def small_figures(monkeypatch):
    monkeypatch.setattr(plots, "DPI", 40)


@pytest.fixture
def people(tmp_path):
    """Table of 6 people with 3 photos and a noisy copy of each, files that exist, and embeddings that nearly know."""
    rng = np.random.default_rng(0)
    rows, embeddings = [], []
    for person in range(6):
        centre = rng.normal(size=16)
        for shot in range(3):
            for condition in ("clean", "noisy"):
                name = f"P{person}_{shot}" + ("" if condition == "clean" else "_noisy")
                path = tmp_path / f"{name}.png"
                cv2.imwrite(str(path), rng.integers(0, 256, (40, 30, 3), np.uint8))
                rows.append((str(path), f"P{person}/{name}.png", f"P{person}", f"P{person}_{shot}", condition))
                embeddings.append(centre + rng.normal(size=16) * (0.5 if condition == "clean" else 1.1))
    table = pd.DataFrame(rows, columns=["path", "file", "identity", "photo", "condition"])
    table["gender"] = np.where(table["identity"] < "P3", "male", "female")
    embeddings = np.array(embeddings)
    return table, (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)


def test_siamese_report_stands_alone(people, tmp_path):
    table, embeddings = people
    rows = protocols.all_task_b(table, embeddings, POINTS, resamples=20)
    audit = pd.DataFrame([["identical file", "a.jpg", "b.jpg", "12 bytes"]], columns=["kind", "train", "val", "detail"])
    path = build.write_siamese_report(
        tmp_path / "report", rows, table, embeddings, POINTS,
        sureness={"quality": np.linspace(0, 1, len(table)), "face confidence": np.full(len(table), np.nan)},
        weights="Weights: x.pt.", drawn=True, audit=audit,
    )  # fmt: skip
    html = path.read_text()
    seen = Page(html)
    assert seen.open == []
    assert all(source.startswith("data:image/") for source in seen.sources)
    assert "http" not in re.sub(r"base64,[^\"]*", "", html)
    assert build.DRAWN in seen.text and "Weights: x.pt." in seen.text and "identical file: 1" in seen.text
    names = {"conditions", "scores", "roc", "det", "ranks", "reject", "confusion"}
    assert {p.name for p in path.parent.iterdir()} == {"report.html", *(f"{name}.png" for name in names)}
    for name in names:
        assert cv2.imread(str(path.parent / f"{name}.png")) is not None
    # Every figure of the rows is in a table, with its count.
    for row in rows:
        assert results.figure(row) in seen.text and f"{row['count']:,}" in seen.text, row


def test_gender_report_stands_alone(people, tmp_path):
    table, _ = people
    female = (table["gender"] == "female").to_numpy()
    p_female = np.where(female, 0.8, 0.2)
    p_female[[0, 20]] = 0.95, 0.05
    verdict = (p_female >= 0.5).astype(float)
    verdict[5] = np.nan
    rows = protocols.gender(table, p_female, unsure=np.isnan(verdict), resamples=20)
    path = build.write_gender_report(tmp_path / "report", rows, table, p_female, verdict, 0.5)
    seen = Page(path.read_text())
    assert seen.open == []
    assert all(source.startswith("data:image/") for source in seen.sources)
    assert build.DRAWN not in seen.text
    assert "labelled male, answered female: probability of female 0.950" in seen.text
    assert "labelled female, answered male: probability of female 0.050" in seen.text
    names = {"conditions", "scores", "roc", "confusion", "reliability", "reject"}
    assert {p.name for p in path.parent.iterdir()} == {"report.html", *(f"{name}.png" for name in names)}


def test_pairs_report_stands_alone(tmp_path):
    same = np.array([1, 1, 1, 0, 0, 0, 0])
    distance = np.array([0.2, 0.4, 1.3, 1.2, 0.5, 1.4, np.nan])
    verdict = np.array([1, 1, 0, 0, 1, np.nan, np.nan])
    rows = scoring.pair_rows(same, distance, verdict)
    path = build.write_pairs_report(tmp_path / "report", rows, same, distance, verdict, 0.9)
    seen = Page(path.read_text())
    assert seen.open == []
    assert all(source.startswith("data:image/") for source in seen.sources)
    assert "6 pairs; 1 with an unreadable photo are left out" in seen.text
    assert "3 pairs of one person, 3 of two: what they were called" in seen.text
    names = {"confusion", "scores", "roc", "det"}
    assert {p.name for p in path.parent.iterdir()} == {"report.html", *(f"{name}.png" for name in names)}

    pairs = evidence.labelled_pairs(same[:6] == 1, distance[:6])
    assert metrics.auc_on_curve(pairs.far, pairs.tar) == pytest.approx(7 / 9)
    assert (pairs.genuine.sum(), pairs.impostor.sum()) == (3, 3)

    rows = scoring.pair_rows(same[:3], distance[:3], verdict[:3])
    build.write_pairs_report(tmp_path / "one", rows, same[:3], distance[:3], verdict[:3], 0.9)
    assert not (tmp_path / "one" / "roc.png").exists()


def test_without_pairs_or_operating_point_it_says_so(tmp_path):
    table = pd.DataFrame(
        {"path": ["a", "b"], "file": ["A/a.jpg", "B/b.jpg"], "identity": ["A", "B"], "photo": ["a", "b"]}
    ).assign(condition="clean")
    embeddings = np.eye(2, 4, dtype=np.float32)
    rows = protocols.all_task_b(table, embeddings, resamples=5)
    seen = Page(build.write_siamese_report(tmp_path, rows, table, embeddings).read_text())
    assert "nothing can be said about recognising them" in seen.text
    assert "undefined: no pairs" in seen.text
    assert seen.images == 0


def test_only_one_gender_has_no_roc(people, tmp_path):
    table, _ = people
    table = table.assign(gender="male")
    p_female = np.full(len(table), 0.1)
    rows = protocols.gender(table, p_female, resamples=5)
    build.write_gender_report(tmp_path / "report", rows, table, p_female, np.zeros(len(table)), 0.5)
    assert not (tmp_path / "report" / "roc.png").exists()
    assert "No photo was answered wrongly." in (tmp_path / "report" / "report.html").read_text()


def test_names_cannot_break_the_page(people, tmp_path):
    table, embeddings = people
    table = table.assign(file="<script>alert(1)</script>.png", path="gone.png")
    points = [{"threshold": 0.0, "far": 1e-3}]
    rows = protocols.all_task_b(table, embeddings, points, resamples=5)
    html = build.write_siamese_report(tmp_path / "report", rows, table, embeddings, points).read_text()
    assert "<script>" not in html and "script&gt;.png" in html
    assert Page(html).open == []


def test_pairs_are_the_protocols(people):
    table, embeddings = people
    pairs = evidence.pairs_of(table, embeddings, "noisy")
    found = {(r["condition"], r["metric"]): r for r in protocols.cross_photo(table, embeddings, resamples=0)}
    assert len(pairs.distance) == pairs.genuine.sum() == found["noisy", "auc"]["count"] == 36
    assert pairs.impostor.sum() == 18 * 15
    assert metrics.auc_on_curve(pairs.far, pairs.tar) == pytest.approx(found["noisy", "auc"]["value"])
    assert (table["identity"][pairs.probe].to_numpy() == table["identity"][pairs.other].to_numpy()).all()
    assert (table["photo"][pairs.probe].to_numpy() != table["photo"][pairs.other].to_numpy()).all()
    difference = embeddings[pairs.probe] - embeddings[pairs.other]
    np.testing.assert_allclose(pairs.distance, np.linalg.norm(difference, axis=1), atol=1e-5)
    identified = protocols.identification(table, embeddings, resamples=0)
    assert (pairs.ranks == 1).mean() == next(r["value"] for r in identified if r["condition"] == "noisy")


def test_worst_pairs_by_hand():
    table = pd.DataFrame({"identity": list("AABBC"), "photo": list("12345"), "condition": "clean"})
    radians = np.radians([0, 60, 100, 110, 115])
    embeddings = np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32)
    # Threshold 0.5 is 29 degrees: A's photos are 60 apart, wrong; B 4 and C 5 are 5 apart, wrong; A 2 and B 3 are 40.
    errors = evidence.worst_pairs(table, embeddings, 0.5)
    assert [(e.row, e.other, e.kind) for e in errors] == [
        (0, 1, "one person, taken for two"),
        (3, 4, "two people, taken for one"),
    ]
    assert errors[0].score == pytest.approx(1.0)
    assert evidence.worst_pairs(table, embeddings, 0.5, count=1)[0].kind == "two people, taken for one"


def test_worst_genders_are_the_surest_errors_once():
    table = pd.DataFrame({"photo": ["a", "a", "b", "c", "d"], "gender": ["male"] * 3 + ["female"] * 2})
    p_female = np.array([0.6, 0.99, 0.7, 0.1, 0.9])
    errors = evidence.worst_genders(table, p_female, np.array([1, 1, 1, 0, 1.0]))
    assert [error.row for error in errors] == [1, 3, 2]
    assert evidence.worst_genders(table, p_female, np.array([np.nan, np.nan, 0, 1, 1])) == []


def test_error_versus_reject_by_hand():
    wrong = np.array([1, 0, 1, 0, 0, 0, 0, 0, 0, 0])
    share, error = evidence.error_versus_reject(wrong, np.arange(10))  # the two errors are among the three least sure
    assert (share[0], error[0]) == (0, 0.2)
    assert error[np.searchsorted(share, 0.1)] == pytest.approx(1 / 9)
    assert error[np.searchsorted(share, 0.3)] == error[-1] == 0
    assert evidence.error_versus_reject(wrong, np.full(10, np.nan)) is None


def test_page_escapes_what_it_is_given():
    html = page.document("a < b", [page.table(["<th>"], [[("1 & 2", "<small>")]]), page.definitions([("<", ">")])])
    assert Page(html).open == []
    assert "<title>a &lt; b</title>" in html and "1 &amp; 2" in html and "<small>&lt;small&gt;</small>" in html
