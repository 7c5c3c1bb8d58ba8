"""With and without a mechanism, on drawn people."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import module_of

from facecom.data import folders
from facecom.evaluation import results

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "ablations.py"


@pytest.fixture(scope="module")
def ablations():
    import sys

    module = module_of(SCRIPT)
    sys.modules[module.__name__] = module
    return module


def run(ablations, folder, siamese_file, gender_file, tmp_path, *only) -> list[dict]:
    photos = folders.task_b_table(folder / "val").drop_duplicates("photo")
    labels = pd.DataFrame(
        {"split": "val", "file": photos["photo"] + ".jpg", "gender": "male", "second_opinion": "male"}
    )
    labels.loc[::2, "gender"] = "female"
    labels.to_csv(tmp_path / "gender.csv", index=False)
    paths = {"--data_dir": folder, "--gender_labels": tmp_path / "gender.csv", "--output": tmp_path / "ablations.csv"}
    paths |= {"--weights": siamese_file, "--gender_weights": gender_file}
    argv = [str(word) for pair in paths.items() for word in pair]
    argv += ["--resamples", "3", "--quiet", "--workers", "0", "--device", "cpu", "--only", *only]
    ablations.main(ablations.get_args_parser().parse_args(argv))
    return results.read_rows(tmp_path / "ablations.csv")


def test_a_row_a_figure_of_each_setting(ablations, sample_b, siamese_file, gender_file, tmp_path):
    rows = run(ablations, sample_b, siamese_file, gender_file, tmp_path, "mirror images", "one photograph?")
    found = pd.DataFrame(rows)
    assert list(found.columns) == ["decision", "setting", "condition", "metric", "value", "low", "high", "count"]
    assert found["decision"].unique().tolist() == ["one photograph?", "mirror images"]  # as in the table of cases
    wanted = {*ablations.KEPT.values(), "photos_per_core_second"}
    for _, setting in found.groupby(["decision", "setting"]):
        assert set(setting["metric"]) == wanted
    speed = found[found["metric"] == "photos_per_core_second"]
    assert (speed["value"] > 0).all()
    again = run(ablations, sample_b, siamese_file, gender_file, tmp_path, "mirror images")
    assert len(again) == len(rows)  # replaced, and the others kept


def test_a_face_is_searched_for_once_a_way(ablations):
    bench = ablations.Bench.__new__(ablations.Bench)
    bench.found, searched = {}, []

    def search(photos, batch_size):  # as the aligner calls it
        searched.append(len(photos))
        return np.stack([np.full((5, 2), photo[0, 0, 0], np.float32) for photo in photos]), np.ones(len(photos))

    photos = [np.full((4, 4, 3), value, np.uint8) for value in (1, 2, 3)]
    case = ablations.Case()
    bench.find(case, search, photos[:2], 64)
    landmarks, confidence = bench.find(ablations.Case(mirror=False, same_photo=True), search, photos[::-1], 64)
    assert searched == [2, 1]
    assert landmarks[:, 0, 0].tolist() == [3, 2, 1] and confidence.tolist() == [1, 1, 1]
    bench.find(ablations.Case(clean=False), search, photos, 64)
    assert searched == [2, 1, 3]
