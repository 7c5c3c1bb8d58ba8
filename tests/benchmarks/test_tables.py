from pathlib import Path

import pytest
from scripts import module_of

from facecom.errors import FacecomError
from facecom.evaluation import results

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("embedder", "align", *results.COLUMNS)


@pytest.fixture(scope="module")
def tables():
    return module_of(ROOT / "benchmarks" / "tables.py")


@pytest.fixture
def root(tmp_path):
    rows = [
        ("other", "fixed", "cross-photo", "sunny", "tar@far=1e-3", 0.008, 0.001, 0.02, 1238),
        ("other", "fixed", "identification", "sunny", "rank1", 0.0424, 0.01, 0.1, 236),
        ("facecom", "finder", "cross-photo", "sunny", "tar@far=1e-3", 0.5, 0.4, 0.6, 1238),
        ("facecom", "finder", "cross-photo", "sunny", "auc", 0.99, 0.9, 1.0, 1238),
        ("facecom", "finder", "identification", "sunny", "rank1", 1.0, 1.0, 1.0, 236),
        ("facecom", "finder", "cross-photo", "noisy@5", "tar@far=1e-3", 0.25, 0.2, 0.3, 1238),
        ("facecom", "finder", "cross-photo", "clean@56px", "tar@far=1e-3", 0.125, 0.1, 0.2, 1238),
        ("facecom", "finder", "gender", "all", "accuracy gap", -0.02, -0.05, 0.01, 3152),
    ]
    results.write_rows(tmp_path / "results" / "accuracy.csv", [dict(zip(COLUMNS, row, strict=True)) for row in rows])
    (tmp_path / "results" / "speed.csv").write_text("what,rate\nembed,658\n")
    return tmp_path


def run(tables, root, *flags):
    return tables.main(tables.get_args_parser().parse_args(["--root", str(root), *flags]))


def table(tables, root, name) -> list[str]:
    return tables.generated(f"<!-- table: {name} -->\nold\n<!-- /table -->", root, "README.md").splitlines()[1:-1]


def test_only_what_stands_between_markers_changes(tables, root):
    readme = root / "README.md"
    readme.write_text("# Title\n<!-- table: side-by-side -->\nold\n<!-- /table -->\nafter\n")
    with pytest.raises(FacecomError, match=r"README.md: run python benchmarks/tables.py"):
        run(tables, root, "--check")
    assert "old" in readme.read_text()
    assert run(tables, root) == 0
    lines = readme.read_text().splitlines()
    assert (lines[0], lines[1], lines[-2], lines[-1]) == (
        "# Title",
        "<!-- table: side-by-side -->",
        "<!-- /table -->",
        "after",
    )
    assert lines[2] == "| condition | facecom, align finder | other, align fixed |"
    assert "| sunny | .500 / 1.000 | .008 / .042 |" in lines
    assert "| clean | - / - | - / - |" in lines
    assert run(tables, root, "--check") == 0


def test_tables_of_our_weights(tables, root):
    verification = table(tables, root, "verification")
    sunny = next(line for line in verification if line.startswith("| sunny"))
    assert sunny.startswith("| sunny | .500 (.400 to .600) | - | - | 1.000 (1.000 to 1.000) |")
    assert sunny.endswith("| 1,238, 236 |")
    assert "| noisy | - / - | - / - | - / - | - / - | .250 / - |" in table(tables, root, "severities")
    assert table(tables, root, "resolutions")[0] == "| longest side | 56px |"
    assert "| all | - | - | - | - | - | -.020 (-.050 to .010) |" in table(tables, root, "gaps")


def test_a_whole_csv_file(tables, root):
    assert table(tables, root, "csv results/speed.csv") == ["| what | rate |", "| --- | --- |", "| embed | 658 |"]


def test_lines_of_a_csv_file(tables, root):
    (root / "results" / "ways.csv").write_text(
        "way,people,tar\nnone,0,0.25\nold,60,0.123456\nnew,60,0.5\nnew,10,0.25\n"
    )
    found = table(tables, root, "csv results/ways.csv people=0,60")
    assert found[0] == "| way | people | tar |" and found[2:] == [
        "| none | 0 | 0.25 |",
        "| old | 60 | 0.123 |",
        "| new | 60 | 0.5 |",
    ]
    assert table(tables, root, "csv results/ways.csv way=new people=60") == ["| tar |", "| --- |", "| 0.5 |"]


def test_every_table_is_as_wide_as_its_head(tables, root):
    for name in tables.TABLES:
        assert len({line.count("|") for line in table(tables, root, name)}) == 1, name


@pytest.mark.parametrize("name", ["none", "csv results/none.csv", "csv results/speed.csv none=1"])
def test_an_unknown_table_is_an_error(tables, root, name):
    with pytest.raises(FacecomError, match="none"):
        table(tables, root, name)


def test_the_projects_own_tables_are_up_to_date(tables):
    assert run(tables, ROOT, "--check") == 0


def test_the_finder_beside_the_detector(tables, root):
    assert table(tables, root, "finder")[2] == "| clean | - | - | - | - | - | - |"  # not measured
    columns = ("finder", *results.COLUMNS)
    rows = [
        ("shipped", "landmarks", "sunny", "error", 0.07, 0.06, 0.08, 394),
        ("shipped", "landmarks", "sunny", "steady_failed", 0.5, 0.4, 0.6, 394),
        ("yunet mirrored", "landmarks", "clean", "error", 0.068, 0.065, 0.071, 394),
        ("shipped", "no face", "sunny", "caught", 0.9, 0.8, 1.0, 394),
        ("yunet", "landmarks", "sunny", "seen", 0.17, 0.125, 0.2, 394),
    ]
    results.write_rows(root / "results" / "landmarks.csv", [dict(zip(columns, row, strict=True)) for row in rows])
    lines = table(tables, root, "finder")
    line = next(line for line in lines if line.startswith("| sunny"))
    assert line == "| sunny | .070 (.060 to .080) | - | - | .500 (.400 to .600) | - | .170 (.125 to .200) |"
    assert "| clean, YuNet on the mirror image | .068 (.065 to .071) | - | - | - |  |  |" in lines


def test_the_summary_takes_means_and_leaves_out_what_nobody_measured(tables, root):
    bad = [c for c in tables.CONDITIONS if c not in ("clean", "sunny")]
    rows = [("facecom", "finder", "cross-photo", c, "tar@far=1e-3", 0.9 + 0.01 * i, 0.8, 1, 1238)
            for i, c in enumerate(bad)]  # fmt: skip
    rows.append(("EdgeFace-XS", "finder", "cross-photo", "clean", "tar@far=1e-3", 0.998, 0.9, 1, 1238))
    results.write_rows(root / "results" / "accuracy.csv", [dict(zip(COLUMNS, row, strict=True)) for row in rows])
    (root / "results" / "speed.csv").write_text("measurement,photos_per_second\nfiles to embeddings,86.5\n")
    head, _, *lines = table(tables, root, "summary")
    assert len(lines) == 2 and head.count("|") == 7
    rain = 0.9 + 0.01 * bad.index("rainy")
    assert lines[0] == f"| **facecom** | - | .925 | {rain:.3f} | - | 86 |".replace(" 0.", " .")
    assert lines[1].startswith("| EdgeFace-XS, two looks, behind our face finder | .998 | - | - | - | - |")
