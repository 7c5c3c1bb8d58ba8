from pathlib import Path

import pandas as pd
from scripts import module_of

ROOT = Path(__file__).resolve().parents[2]
adaptation = module_of(ROOT / "benchmarks" / "adaptation.py")


def test_rows_of_other_runs_stay_and_those_measured_again_are_replaced(tmp_path):
    row = {"photos": 1, "metric": "eer", "low": 0, "high": 1, "count": 9}
    earlier = [
        row | {"domain": domain, "people": people, "way": way, "value": 0.5}
        for domain, people, way in (("infrared", 60, "adapted"), ("tight", 60, "adapted"), ("tight", 10, "adapted"))
    ]
    path = tmp_path / "rows.csv"
    pd.DataFrame(earlier).to_csv(path, index=False)
    new = [row | {"domain": "tight", "people": 60, "way": way, "value": 0.7} for way in ("adapted", "trained")]
    found = adaptation.with_earlier(str(path), new)
    assert [(one["domain"], one["people"], one["way"], one["value"]) for one in found] == [
        ("infrared", 60, "adapted", 0.5), ("tight", 10, "adapted", 0.5),
        ("tight", 60, "adapted", 0.7), ("tight", 60, "trained", 0.7),
    ]  # fmt: skip
    assert adaptation.with_earlier(str(tmp_path / "none.csv"), new) == new
