import numpy as np
import pytest

from facecom.inference import search


def unit(rows, seed, width=8):
    values = np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [1, 3, 40])
@pytest.mark.parametrize("block", [1, 100, 1 << 22])
def test_nearest_is_what_sorting_all_distances_gives(monkeypatch, k, block):
    monkeypatch.setattr(search, "BLOCK", block)
    probes, gallery = unit(7, 0), unit(40, 1)
    rows, found = search.nearest(probes, gallery, k)
    every = np.linalg.norm(probes[:, None] - gallery[None], axis=2)
    np.testing.assert_array_equal(rows, np.argsort(every, axis=1)[:, :k])
    np.testing.assert_allclose(found, np.sort(every, axis=1)[:, :k], atol=1e-6)


def test_a_photo_is_not_its_own_neighbour_when_probes_lie_in_the_gallery():
    embeddings = unit(6, 2)
    rows, found = search.nearest(embeddings, embeddings, 10, first_row=0)
    assert rows.shape == (6, 5)  # five others
    assert all(row not in others for row, others in enumerate(rows))
    assert (found > 0).all()


def test_the_same_embedding_is_at_distance_exactly_zero():
    embeddings = unit(5, 3)
    rows, found = search.nearest(embeddings, embeddings)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    assert (found == 0).all()


def test_rows_of_nan_are_never_found():
    gallery = unit(4, 4)
    gallery[0] = np.nan
    rows, _ = search.nearest(gallery[1:], gallery, 3)
    assert rows[:, 0].tolist() == [1, 2, 3]
    assert 0 not in rows
