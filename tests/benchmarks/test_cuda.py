from pathlib import Path

import pytest
import torch
from scripts import module_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def benchmark():
    return module_of(ROOT / "benchmarks" / "cuda.py")


def test_a_row_a_test_says_how_it_went(benchmark, tmp_path):
    (tmp_path / "tests.xml").write_text(
        '<testsuites><testsuite><testcase name="a" time="1.5"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><error/></testcase><testcase name="d"><skipped/></testcase></testsuite></testsuites>'
    )
    rows = benchmark.rows_of(tmp_path / "tests.xml")
    assert [row["outcome"] for row in rows] == ["passed", "failed", "failed", "skipped"] and rows[0]["seconds"] == 1.5


def test_without_a_device_nothing_is_written(benchmark, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    args = benchmark.get_args_parser().parse_args(["--output", str(tmp_path / "cuda.csv")])
    with pytest.raises(Exception, match="no CUDA device is usable here"):
        benchmark.main(args)
    assert not list(tmp_path.iterdir())
