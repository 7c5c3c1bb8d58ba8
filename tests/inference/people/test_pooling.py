import numpy as np
import pytest

from facecom.inference.people.pooling import pool


def test_a_template_a_group_by_hand():
    ann, ben = np.eye(4, dtype=np.float32)[:2]
    nan = np.full(4, np.nan, np.float32)
    embeddings = np.stack([ann, ben, ben, nan, ann, nan])
    told = np.array([True, True, False, True, False, False])
    groups = np.array([0, 0, 0, 0, 1, 2])
    found, sure = pool(embeddings, told, groups, 3)
    half = 1 / np.sqrt(2)
    assert found[0] == pytest.approx([half, half, 0, 0])  # of the two that can be told
    assert found[1] == pytest.approx(ann)  # there is no other
    assert np.isnan(found[2]).all()
    assert sure.tolist() == [True, False, False]
