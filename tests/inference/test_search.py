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


def test_a_person_is_found_once_at_the_nearest_of_their_photos():
    gallery = unit(60, 4, 16)
    gallery[[4, 17]] = np.nan
    probes, people = unit(9, 5, 16), np.random.default_rng(3).integers(0, 12, 60)
    people[17] = 99  # who has no readable photo
    rows, found = search.nearest_people(probes, gallery, people, 5)
    apart = np.linalg.norm(probes[:, None] - gallery[None], axis=2)
    for probe, truth in enumerate(apart):
        best = {one: np.nanmin(truth[people == one]) for one in set(people) - {99}}
        order = sorted(best, key=best.get)[:5]
        assert people[rows[probe]].tolist() == order
        np.testing.assert_allclose(found[probe], [best[one] for one in order], atol=1e-6)
    assert search.nearest_people(probes, gallery, people, 50)[0].shape == (9, 12)
    first = search.nearest(probes, gallery)
    np.testing.assert_array_equal(search.nearest_people(probes, gallery, people)[0], first[0])
    assert search.nearest_people(probes, np.full((3, 16), np.nan, np.float32), np.arange(3), 2)[0].shape == (9, 0)


def test_blocks_of_probes_and_gallery_change_nothing(monkeypatch):
    probes, gallery = unit(23, 6), unit(900, 7)
    gallery[[3, 400]] = np.nan
    gallery[500:520] = gallery[500]  # equals: the first of them
    rows, found = search.nearest(probes, gallery, 6)
    monkeypatch.setattr(search, "PROBES", 5)
    monkeypatch.setattr(search, "BLOCK", 5 * 64)
    again, distances = search.nearest(probes, gallery, 6)
    np.testing.assert_array_equal(again, rows)
    np.testing.assert_allclose(distances, found, atol=1e-6)
    own = np.delete(gallery, [3, 400], axis=0)
    every, _ = search.nearest(own, own, 3, first_row=0)
    assert not (every == np.arange(len(own))[:, None]).any()
