"""Pictures of two people of one gender put together."""

import numpy as np
import pandas as pd
import pytest

from facecom.errors import FacecomError
from facecom.training.collages import COLLAGE, Collages, side_of_a_line


def rows(genders, condition="clean", **more):
    return pd.DataFrame({"gender": [*genders], "condition": condition, **more})


def flat(count):
    """Crops of one grey each: their position is what a pixel says."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 32, 32, 3))


def test_both_halves_are_clean_photos_of_one_gender():
    table = pd.concat([rows("mfmf", source="own"), rows("mf", "foggy", source="own"), rows("ffm", source="other")])
    made = Collages(table, flat(9), 200, seed=1)
    genders = table["gender"].to_numpy()
    assert len(made) == len(made.table) == 200 and set(made.table["condition"]) == {COLLAGE}
    assert (genders[made.first] == genders[made.second]).all()
    assert (genders[made.first] == made.table["gender"]).all()
    assert made.table["gender"].value_counts().to_dict() == {"m": 100, "f": 100}
    assert set(made.first) == {0, 1, 2, 3}  # of the first source
    assert set(made.second) == {0, 1, 2, 3, 6, 7, 8}  # half of them of any other
    assert np.isin(made.second, [6, 7, 8]).mean() == pytest.approx(0.5, abs=0.1)
    for index in range(20):
        picture = made[index]
        ends = {int(picture[y, x, 0]) for y in (0, -1) for x in (0, -1)}
        assert picture.dtype == np.uint8 and ends <= {made.first[index], made.second[index]}


def test_one_source_or_one_gender_is_enough():
    table = rows("mm")
    made = Collages(table, flat(2), 9)
    assert set(made.table["gender"]) == {"m"} and "source" not in made.table
    assert (made[4] == Collages(table, flat(2), 9)[4]).all()


def test_without_a_clean_photo_there_is_nothing_to_put_together():
    with pytest.raises(FacecomError, match="no clean photo"):
        Collages(rows("mf", "foggy"), flat(2), 4)


def test_the_line_passes_near_the_face_and_shares_the_picture():
    shares = [side_of_a_line(np.random.default_rng(seed), 48, 64, (40.0, 20.0), 64) for seed in range(50)]
    assert all(share.shape == (48, 64, 1) and share.min() == 0 and share.max() == 1 for share in shares)
    assert np.mean([share[0, 0] for share in shares]) == pytest.approx(0.5, abs=0.2)  # in any direction
    near = [float(share[8:33, 28:53].mean()) for share in shares]
    assert 0.02 < min(near) and max(near) < 0.98 and np.mean(near) == pytest.approx(0.5, abs=0.1)
