"""How much of a face is left under glare."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scripts import module_of

from facecom.cli import DEFAULT_ALIGN
from facecom.data.folders import split_folders
from facecom.faces.alignment import TEMPLATE
from facecom.synthetic import write_sample


@pytest.fixture(scope="module")
def glare():
    return module_of(Path(__file__).resolve().parents[2] / "benchmarks" / "glare.py")


def test_only_what_is_saturated_is_gone(glare):
    photo = np.full((112, 112, 3), 255, np.uint8)
    assert glare.left_of_the_face(photo, TEMPLATE) == (0, 0)
    photo[..., 2] = 90  # blue has something to say
    assert glare.left_of_the_face(photo, TEMPLATE) == (0, 1)
    middle = round(TEMPLATE[:, 0].mean())
    photo[:, : middle + 1] = 90
    visible, traces = glare.left_of_the_face(photo, TEMPLATE)
    assert visible == pytest.approx(0.5, abs=0.02) and traces == 1
    photo[:] = 255
    photo[:20] = photo[:, :10] = 0  # hair
    assert glare.left_of_the_face(photo, TEMPLATE) == (0, 0)


@pytest.mark.skipif(DEFAULT_ALIGN != "finder", reason="no weights are shipped")
def test_a_row_a_third_of_the_photos(glare, tmp_path):
    write_sample(tmp_path / "data", people=8, photos=2)
    val = split_folders(tmp_path / "data", "B")[1]
    names = sorted({path.name for path in val.glob("*/*.jpg")})
    labels = pd.DataFrame({"split": "val", "file": names, "gender": ["male", "female"] * (len(names) // 2)})
    labels["second_opinion"] = labels["gender"]
    labels.to_csv(tmp_path / "gender.csv", index=False)
    words = f"--data_dir {tmp_path / 'data'} --gender_labels {tmp_path / 'gender.csv'} --output {tmp_path / 'out.csv'}"
    glare.main(glare.get_args_parser().parse_args(words.split()))
    rows = pd.read_csv(tmp_path / "out.csv")
    assert rows["face"].tolist() == [*glare.THIRDS, "all"]
    assert rows["photos"].tolist()[-1] == len(names) == rows["photos"][:3].sum()
    assert rows["visible"][:3].is_monotonic_increasing and (rows["visible"] <= rows["traces"]).all()
