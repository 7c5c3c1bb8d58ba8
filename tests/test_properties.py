"""What holds for any input: photos, pairs files, checkpoints, landmarks, scores."""

import csv
import io
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from bad_photos import FORMATS, encoded
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from facecom.data.images import read_photo
from facecom.data.pairs import read_pairs
from facecom.errors import FacecomError
from facecom.evaluation import metrics
from facecom.faces.aligner import Aligner
from facecom.faces.alignment import TEMPLATE, align, similarity
from facecom.models import checkpoint

quick = settings(
    max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


# ---- photos


@quick
@given(
    st.sampled_from(sorted(FORMATS)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8),
    st.floats(0, 1.2),
)  # fmt: skip
def test_any_bytes_are_a_photo_or_one_line(tmp_path, kind, changes, length):
    content = bytearray(WHOLE.setdefault(kind, encoded(kind)))
    for place, value in changes:
        content[int(place * (len(content) - 1))] = value
    path = tmp_path / "photo.jpg"
    path.write_bytes(content[: int(length * len(content))])
    try:
        photo = read_photo(path)
    except FacecomError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        assert photo.dtype == np.uint8 and photo.ndim == 3 and photo.shape[2] == 3 and photo.size


WHOLE: dict[str, bytes] = {}


@quick
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))), st.integers(1, 8))
def test_any_picture_comes_back_turned_as_it_says(tmp_path, photo, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(tmp_path / "photo.png", exif=exif)
    found = read_photo(tmp_path / "photo.png")
    assert sorted(found.shape[:2]) == sorted(photo.shape[:2])
    turned = {
        1: photo, 2: photo[:, ::-1], 3: photo[::-1, ::-1], 4: photo[::-1], 5: photo.transpose(1, 0, 2),
        6: photo[::-1].transpose(1, 0, 2), 7: photo[::-1, ::-1].transpose(1, 0, 2),
        8: photo[:, ::-1].transpose(1, 0, 2),
    }  # fmt: skip
    np.testing.assert_array_equal(found, turned[orientation])


# ---- pairs files

names = st.text(st.characters(codec="cp1252", exclude_categories=("Cc", "Zs", "Zl", "Zp"), exclude_characters="\\"),
                min_size=1, max_size=12)  # fmt: skip
words = st.sampled_from(["1", "0", "true", "FALSE", "Yes", "no", "1.0", "0.0"])


@quick
@given(
    st.lists(st.tuples(names, names, words), min_size=1, max_size=6), st.sampled_from(",;\t"),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]), st.sampled_from(["\n", "\r\n"]),
)  # fmt: skip
@example([("NA", "nan", "1")], ",", "utf-8", "\n")
@example([("a,b", 'say "x"', "0"), ("c;d", "#e", "yes")], ";", "utf-16", "\r\n")
def test_any_pairs_come_back(tmp_path, rows, separator, encoding, newline):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=newline)
    writer.writerow(["Image1", "IMAGE2", "Same"])
    writer.writerows(rows)
    path = tmp_path / "pairs.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    found = read_pairs(path)
    assert found.image1.tolist() == [row[0] for row in rows]
    assert found.image2.tolist() == [row[1] for row in rows]
    assert found.same.tolist() == [int(row[2].lower() in ("1", "true", "yes", "1.0")) for row in rows]


@quick
@given(st.one_of(st.binary(max_size=80), st.binary(max_size=60).map(lambda raw: b"image1,image2,same\n" + raw)))
@example(b"\xff\xfe\x00")
@example(b'image1,image2\n"a,b\nc,d')
@example(b"image1,image1,image2\na,b,c")
@example(b"image1,image2\na,b,c,d\n")
def test_any_bytes_are_pairs_or_one_line(tmp_path, raw):
    path = tmp_path / "pairs.csv"
    path.write_bytes(raw)
    try:
        found = read_pairs(path)
    except FacecomError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
    else:
        assert len(found) and {"image1", "image2"} <= set(found.columns)
        for side in ("image1", "image2"):
            assert isinstance(found[side], pd.Series) and found[side].map(lambda name: isinstance(name, str)).all()
        assert "same" not in found or found.same.isin([0, 1]).all()


# ---- checkpoints

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9),
    st.floats(width=32).map(np.float32), st.integers(0, 255).map(np.uint8), st.floats().map(np.float64),
    st.just(Path("a/b")), arrays(np.float32, (2, 3)).map(torch.from_numpy),
)  # fmt: skip
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@quick
@given(anything)
def test_any_plain_value_comes_back_from_a_checkpoint(tmp_path, value):
    model = torch.nn.Linear(1, 1)
    path = tmp_path / "a.pt"
    checkpoint.save(path, task="toy", model=model, config={}, preprocessing={}, metrics={"value": value})
    found = checkpoint.read(path)
    assert same(found["metrics"]["value"], value)
    assert torch.equal(found["model"]["weight"], model.weight)


def same(found, given_value):
    """Whether it is the value in plain types."""
    if isinstance(given_value, torch.Tensor):
        return torch.equal(found.nan_to_num(), given_value.nan_to_num())
    if isinstance(given_value, list | tuple):
        return type(found) is list and len(found) == len(given_value) and all(map(same, found, given_value))
    if isinstance(given_value, dict):
        return found.keys() == given_value.keys() and all(same(found[key], given_value[key]) for key in found)
    if isinstance(given_value, float | np.floating) and math.isnan(given_value):
        return type(found) is float and math.isnan(found)
    if isinstance(given_value, np.generic):
        return type(found) in (int, float) and found == given_value.item()
    return found == (str(given_value) if isinstance(given_value, Path) else given_value)


# ---- landmarks

points = arrays(np.float64, (5, 2), elements=st.floats(allow_nan=True, allow_infinity=True))
near = arrays(np.float64, (5, 2), elements=st.floats(-500, 500))
PHOTO = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)


@quick
@given(st.one_of(points, near), st.sampled_from([(40, 50), (1, 1), (1, 50), (40, 1)]))
@example(np.zeros((5, 2)), (40, 50))
@example(np.full((5, 2), np.nan), (40, 50))
@example(np.full((5, 2), 1e300) * np.arange(5)[:, None], (40, 50))
@example(TEMPLATE * 1e-7, (40, 50))
@example(TEMPLATE * 1e7, (40, 50))
@example(np.repeat(np.arange(5.0)[:, None], 2, 1), (40, 50))
def test_any_landmarks_give_a_crop(landmarks, shape):
    photo = PHOTO[: shape[0], : shape[1]]
    crop = Aligner("fixed", 32)._crop(photo, landmarks)
    assert crop.shape == (32, 32, 3) and crop.dtype == np.uint8
    try:
        align(photo, landmarks, 32)
    except ValueError as error:
        assert "no alignment is possible" in str(error)


@quick
@given(near, st.floats(0.01, 100), st.floats(-np.pi, np.pi), st.floats(-99, 99), st.floats(-99, 99))
def test_a_similarity_is_found_again(source, scale, angle, x, y):
    assume(np.ptp(source, axis=0).max() > 1e-2)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(source, source @ turn.T + [x, y])
    np.testing.assert_allclose(matrix, np.column_stack([turn, [x, y]]), rtol=1e-5, atol=1e-4 * scale)


# ---- scores

scores = arrays(np.float64, st.integers(1, 30), elements=st.one_of(
    st.floats(-1, 1), st.sampled_from([0.0, 0.5, 1.0, -np.inf])))  # fmt: skip


@quick
@given(scores, scores, st.sampled_from([0.0, 1e-3, 0.1, 0.5, 1.0]))
def test_any_scores_have_figures(genuine, impostor, far):
    area = metrics.auc(genuine, impostor)
    wins = (genuine[:, None] > impostor).mean() + (genuine[:, None] == impostor).mean() / 2
    assert area == pytest.approx(wins)
    assert 0 <= metrics.eer(genuine, impostor) <= 1
    rate, threshold = metrics.tar_at_far(genuine, impostor, far)
    assert rate == (genuine >= threshold).mean() and (impostor >= threshold).mean() <= far
    rates, accepted, _ = metrics.roc(genuine, impostor)
    assert (np.diff(rates) >= 0).all() and (np.diff(accepted) >= 0).all() and rates[-1] == accepted[-1] == 1


@quick
@given(scores, scores, st.integers(0, 29))
def test_a_score_that_is_none_is_refused(genuine, impostor, place):
    spoilt = genuine.copy()
    spoilt[place % len(spoilt)] = (np.nan, np.inf)[place % 2]
    for call in (metrics.auc, metrics.eer, metrics.roc, lambda a, b: metrics.tar_at_far(a, b, 0.1)):
        for pair in ((spoilt, impostor), (impostor, spoilt)):
            with pytest.raises(ValueError, match="NaN and .infinity are no scores"):
                call(*pair)
    with pytest.raises(ValueError, match="NaN and .infinity are no scores"):
        metrics.ece(np.ones(len(spoilt)), np.where(spoilt < np.inf, 0.5, spoilt))
    with pytest.raises(ValueError, match="NaN and .infinity are no scores"):
        metrics.ranks(spoilt[None], np.ones((1, len(spoilt)), bool))


@quick
@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 1.0, np.nan])), min_size=1, max_size=30))
def test_any_answers_have_figures_between_0_and_1(rows):
    labels, answers = (np.array(column) for column in zip(*rows, strict=True))
    figures = metrics.classification(labels, answers)
    assert all(math.isnan(value) or 0 <= value <= 1 for value in figures.values())
    assert figures["accuracy"] == np.mean(answers == labels)
