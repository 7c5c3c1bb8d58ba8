from collections import Counter

import albumentations as A
import numpy as np
import pytest

from facecom.conditions import SIMULATED, Distort
from facecom.data.augmentation import VaryBorder, derived_seed, eval_transform, reseed, train_transform

MEAN, STD = (0.5, 0.4, 0.3), (0.5, 0.25, 0.2)

#: The steps that only simulated copies go through.
A_FILE = (Distort, A.ImageCompression, A.Lambda)


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)


def test_eval_transform_against_the_formula(picture):
    x = eval_transform(112, MEAN, STD)(image=picture)["image"]
    expected = (picture / 255 - MEAN) / STD
    assert x.shape == (3, 112, 112) and x.dtype.is_floating_point and x.element_size() == 4
    np.testing.assert_allclose(x.numpy(), expected.transpose(2, 0, 1), atol=1e-5)
    assert eval_transform(64, MEAN, STD)(image=picture)["image"].shape == (3, 64, 64)


def test_a_seed_decides_everything(picture):
    transform = train_transform(112, MEAN, STD)
    views = [reseed(transform, seed)(image=picture)["image"] for seed in (7, 8, 7)]
    assert (views[0] == views[2]).all()
    assert not (views[0] == views[1]).all()
    other = train_transform(112, MEAN, STD)  # nothing is kept in the transform itself
    assert (reseed(other, 7)(image=picture)["image"] == views[0]).all()


def test_steps_happen_independently_of_each_other():
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:, :2] = 200
    transform = A.Compose([A.HorizontalFlip(p=0.5), A.InvertImg(p=0.5)])
    seen = {tuple(reseed(transform, seed)(image=picture)["image"][0, (0, 3), 0]) for seed in range(40)}
    assert seen == {(200, 0), (0, 200), (55, 255), (255, 55)}


def test_only_clean_photos_are_brought_into_other_conditions():
    clean, distorted = (
        [step for step in train_transform(112, MEAN, STD, simulate=simulate, scale=0.5) if isinstance(step, Distort)]
        for simulate in (True, False)
    )
    assert distorted == []
    assert set(clean[0].conditions) == set(SIMULATED) and clean[0].severity == (1, 5) and clean[0].scale == 0.5


def test_simulated_copies_come_out_of_a_file_and_through_the_median():
    """In the order of a photo's way: distorted, packed, its impulses taken off."""
    steps = [step for step in train_transform(112, MEAN, STD) if isinstance(step, A_FILE)]
    assert [type(step) for step in steps] == list(A_FILE)
    assert Counter(steps[0].conditions) == dict.fromkeys(SIMULATED, 1)
    dotted = np.full((64, 64, 3), 128, np.uint8)
    dotted[np.random.default_rng(0).random((64, 64)) < 0.08] = 255
    always = A.Compose([A.Lambda(image=steps[2].custom_apply_fns["image"], p=1)])
    assert always(image=dotted)["image"].std() < dotted.std() / 4
    assert not any(isinstance(step, A_FILE) for step in train_transform(112, MEAN, STD, simulate=False))


@pytest.mark.parametrize(
    "task, expected",
    [
        ("gender", {"HorizontalFlip": 0.5, "CoarseDropout": 0.5, "RandomBrightnessContrast": 0.3, "Rotate": 0.3}),
        ("siamese", {"HorizontalFlip": 0.5, "RandomBrightnessContrast": 0.2, "HueSaturationValue": 0.2, "Affine": 0.5}),
    ],
)
def test_published_recipe(task, expected, picture):
    transform = train_transform(224, MEAN, STD, recipe="published", task=task)
    steps = {type(step).__name__: step.p for step in transform}
    assert {"Resize": 1, **expected, "Normalize": 1, "ToTensorV2": 1} == steps
    assert transform(image=picture)["image"].shape == (3, 224, 224)


def test_vary_border_leaves_the_face_and_changes_the_edge(picture):
    transform = A.Compose([VaryBorder(share=(0.1, 0.2), p=1)])
    looks = set()
    for seed in range(30):
        found = reseed(transform, seed)(image=picture)["image"]
        assert found.shape == picture.shape and found.dtype == np.uint8
        assert (found[23:-23, 23:-23] == picture[23:-23, 23:-23]).all()  # at most a fifth of 112 px
        assert (found[:11] != picture[:11]).mean() > 0.9  # at least a tenth
        looks.add("plain" if (found[0] == found[0, 0]).all() else "drawn")
    assert looks == {"plain", "drawn"}


def test_derived_seeds_differ():
    seeds = {derived_seed(*parts) for parts in [(1,), (1, 0, 1), (1, 1), (1, 1, 0, 2), (2, 1), (1, 2)]}
    assert len(seeds) == 6 and derived_seed(1, 2) == derived_seed(1, 2)
