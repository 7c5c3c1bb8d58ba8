import numpy as np
import pytest

from facecom.conditions import CONDITIONS, distort
from facecom.conditions.impulses import without_impulses
from facecom.data.folders import task_b_table
from facecom.data.images import read_photo
from facecom.faces.aligner import Aligner
from facecom.synthetic import draw_person


def test_only_impulses_are_taken_off():
    photo = draw_person(5, 0, 224)[0]
    for condition in CONDITIONS:
        copy = distort(photo, condition, 3)
        cleaned = without_impulses(copy)
        if condition == "noisy":
            before, after = (np.abs(one.astype(int) - photo).mean() for one in (copy, cleaned))
            assert after < before / 2
        else:
            assert cleaned is copy


def test_hand_made_impulses():
    flat = np.full((20, 20, 3), 100, np.uint8)
    few, many = flat.copy(), flat.copy()
    few[5, 5] = 255  # one pixel in 400
    many[4:20:5, 4:20:5] = 255  # sixteen, none beside another
    assert without_impulses(few) is few
    np.testing.assert_array_equal(without_impulses(many), flat)


@pytest.mark.parametrize(("mode", "kept"), [("off", True), ("fixed", False)])
def test_the_published_way_sees_the_photo_as_it_is(mode, kept):
    photo = np.full((112, 112, 3), 100, np.uint8)
    photo[4:108:5, 4:108:5] = 255
    crop = Aligner(mode, 112)([photo]).crops[0]
    assert (crop.max() > 200) == kept


def test_on_facecom_noisy_copies_and_no_others(facecom_val):
    table = task_b_table(facecom_val).groupby("condition").head(12)
    changed = [without_impulses(photo) is not photo for photo in map(read_photo, table["path"])]
    assert changed == (table["condition"] == "noisy").tolist()
