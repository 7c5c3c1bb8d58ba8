import threading
import weakref
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from facecom.data.augmentation import eval_transform
from facecom.errors import FacecomError
from facecom.inference import ensemble, pipeline
from facecom.models import checkpoint

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def siamese(siamese_file):
    return ensemble.load([siamese_file], "siamese")


@pytest.fixture
def photos(tmp_path):
    """Six PNG files of different sizes; the third is text."""
    rng = np.random.default_rng(0)
    paths = []
    for number, shape in enumerate([(64, 64), (80, 60), (50, 90), (64, 64), (33, 35), (128, 100)]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(rng.integers(0, 256, (*shape, 3), np.uint8)).save(paths[-1])
    paths[2].write_text("no photo")
    return paths


def test_answers_are_what_the_network_says_about_each_photo_by_itself(siamese, siamese_file, photos):
    """Against transforms and network called by hand, without the pipeline."""
    answers, skipped = pipeline.collect(photos, siamese, batch_size=4)
    loaded = checkpoint.load(siamese_file, "siamese")
    transform = eval_transform(64, loaded.preprocessing["mean"], loaded.preprocessing["std"])
    for row in (0, 3):  # of the network's own size, so no resizing stands between
        photo = transform(image=np.asarray(Image.open(photos[row])))["image"]
        with torch.inference_mode():
            embedding, quality = loaded.model.embed_with_quality(photo[None])
        np.testing.assert_allclose(answers.outputs[row], embedding[0], atol=1e-5)
        np.testing.assert_allclose(answers.quality[row], quality[0], atol=1e-5)
    assert not np.allclose(answers.outputs[0], answers.outputs[3], atol=1e-3)
    assert skipped == [(2, "not an image")]
    assert np.isnan(answers.outputs[2]).all() and answers.faces[2] == 0


def test_batches_come_in_order_and_do_not_change_the_answers(siamese, photos):
    batches = list(pipeline.stream(photos, siamese, batch_size=2))
    assert [batch.rows.tolist() for batch in batches] == [[0, 1], [3], [4, 5]]
    assert [batch.skipped for batch in batches] == [[], [(2, "not an image")], []]
    whole, _ = pipeline.collect(photos, siamese, batch_size=64)
    np.testing.assert_allclose(batches[2].answers.outputs, whole.outputs[4:], atol=1e-6)


@pytest.mark.parametrize(
    "count, batch_size, workers, sizes",
    [
        (5, 4, 0, [4, 1]),
        (10, 64, 2, [5, 5]),
        (3, 64, 2, [3]),
        (128, 64, 2, [64, 64]),
        (40, 8, 2, [8, 8, 6, 4, 3, 2, 2, 2, 2, 2, 1]),
        (40, 16, 1, [16, 16, 8]),
        (9, 1, 2, [1] * 9),
        (0, 8, 2, []),
    ],
)
def test_batches_become_smaller_towards_the_end(count, batch_size, workers, sizes):
    parts = pipeline.shared_out(count, batch_size, workers)
    assert [len(part) for part in parts] == sizes
    assert [row for part in parts for row in part] == list(range(count))


def test_a_batch_without_a_readable_photo_has_no_answers(siamese, photos):
    (batch,) = pipeline.stream([photos[2]], siamese)
    assert batch.answers is None and batch.rows.tolist() == []
    answers, skipped = pipeline.collect([photos[2]], siamese)
    assert answers.outputs.shape == (1, 128) and np.isnan(answers.outputs).all() and len(skipped) == 1


def test_threads_give_the_same(siamese, photos):
    alone, _ = pipeline.collect(photos, siamese, batch_size=2, workers=0)
    together, skipped = pipeline.collect(photos, siamese, batch_size=2, workers=2)
    np.testing.assert_allclose(alone.outputs, together.outputs, atol=1e-6)  # batches are of other sizes
    assert skipped == [(2, "not an image")]


def test_arrays_and_paths_give_the_same(siamese, photos):
    arrays = [np.asarray(Image.open(photos[row])) for row in (0, 1)]
    by_path, _ = pipeline.collect(photos[:2], siamese)
    by_array, _ = pipeline.collect(arrays, siamese)
    np.testing.assert_array_equal(by_path.outputs, by_array.outputs)


@pytest.mark.parametrize(
    "array, said",
    [
        (np.zeros((8, 8), np.uint8), r"uint8 \[8, 8\]"),
        (np.zeros((8, 8, 3), np.float32), r"float32 \[8, 8, 3\]"),
        (np.zeros((8, 8, 4), np.uint8), r"uint8 \[8, 8, 4\]"),
        (np.zeros((0, 8, 3), np.uint8), r"uint8 \[0, 8, 3\]"),
    ],
)
def test_an_array_that_is_no_rgb_photo_is_refused(siamese, array, said):
    with pytest.raises(FacecomError, match=said + r".*image\[:, :, ::-1\]"):
        pipeline.collect([array], siamese)


def test_a_few_photos_are_shared_out_among_threads(siamese, photos):
    """Six photos and two threads: three each, in place of one batch for one of them; two are not worth a thread."""
    assert [len(batch.rows) for batch in pipeline.stream([photos[0]] * 12, siamese, workers=2)] == [6, 6]
    assert [len(batch.rows) for batch in pipeline.stream([photos[0]] * 12, siamese, workers=1)] == [12]
    assert [len(batch.rows) for batch in pipeline.stream([photos[0]] * 3, siamese, workers=2)] == [3]
    assert 1 <= pipeline.default_workers() <= pipeline.MOST_WORKERS


def test_who_stops_asking_ends_the_threads(monkeypatch):
    """Photos that nobody has begun are not decoded any more, and no thread is left."""
    seen = []
    monkeypatch.setattr(pipeline, "read_photo", lambda path: seen.append(path) or np.zeros((8, 8, 3), np.uint8))
    parts = pipeline.answered([str(number) for number in range(100)], lambda part: part, 640, 4, workers=2)
    assert [row for row, _, _ in next(parts)] == [0, 1, 2, 3]
    parts.close()
    assert len(seen) <= 4 * 3
    assert not any(thread.name.startswith("facecom") for thread in threading.enumerate())


def test_a_defect_in_a_thread_is_not_a_bad_photo(photos, monkeypatch):
    monkeypatch.setattr(pipeline, "read_photo", lambda path: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(pipeline.answered(photos, lambda part: part, 640, 4, workers=2))


class Lazy(Sequence):
    """Photos that are made when asked for and counted while they live."""

    def __init__(self, count):
        self.count, self.alive, self.most, self.lock = count, 0, 0, threading.RLock()

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        if not 0 <= row < self.count:
            raise IndexError
        photo = np.full((64, 64, 3), row, np.uint8)
        with self.lock:
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(photo, self.gone)
        return photo

    def gone(self):
        with self.lock:
            self.alive -= 1


@pytest.mark.parametrize("workers, batches", [(0, 2), (2, 3)])
def test_what_is_in_memory_does_not_grow_with_the_number_of_photos(siamese, workers, batches):
    """A batch a thread, and the one that was answered for last."""
    for count in (12, 48):
        photos = Lazy(count)
        found = pipeline.stream(photos, siamese, batch_size=4, workers=workers)
        assert sum(len(batch.rows) for batch in found) == count
        assert photos.most <= 4 * batches + 1  # and the one that is just checked
