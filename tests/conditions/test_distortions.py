import zipfile

import albumentations as A
import cv2
import numpy as np
import pytest

from facecom.conditions import CONDITIONS, DISTORTIONS, SIMULATED, Distort, condition_of, distort
from facecom.synthetic import draw_person


@pytest.fixture(scope="module")
def photo():
    return draw_person(9, 0)[0]


def plain(value, size=224):
    return np.full((size, size, 3), value, np.uint8)


def test_the_eight_conditions():
    assert CONDITIONS == ("clean", "blurred", "foggy", "lowlight", "noisy", "rainy", "resized", "sunny")
    assert DISTORTIONS == CONDITIONS[1:] and SIMULATED == (*DISTORTIONS, "occluded")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Ann_Lee_0001.jpg", ("Ann_Lee_0001", "clean")),
        ("Ann_Lee_0001_foggy.jpg", ("Ann_Lee_0001", "foggy")),
        ("Ann_Lee/distortion/Ann_Lee_0001_LowLight.PNG", ("Ann_Lee_0001", "lowlight")),
        ("photo.v2_rainy.jpeg", ("photo.v2", "rainy")),
        ("rainy.jpg", ("rainy", "clean")),
        ("_sunny.jpg", ("_sunny", "clean")),
        ("Ann_clean.jpg", ("Ann_clean", "clean")),
        ("Ann_hazy.jpg", ("Ann_hazy", "clean")),
        ("Rainy_Day_0002.jpg", ("Rainy_Day_0002", "clean")),
    ],
)
def test_a_file_name_says_photo_and_condition(name, expected):
    assert condition_of(name) == expected


@pytest.mark.parametrize("condition", SIMULATED)
def test_the_same_seed_gives_the_same_copy(photo, condition):
    before = photo.copy()
    copy = distort(photo, condition, 3, seed=5)
    assert copy.dtype == np.uint8 and copy.shape == photo.shape
    np.testing.assert_array_equal(copy, distort(photo, condition, 3, seed=5))
    assert (copy != distort(photo, condition, 3, seed=6)).any()
    np.testing.assert_array_equal(photo, before)


@pytest.mark.parametrize("condition", SIMULATED)
@pytest.mark.parametrize("shape", [(112, 112), (90, 131), (13, 7), (700, 500)])
def test_any_size_keeps_its_shape(condition, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    for severity in (1, 5):
        assert distort(image, condition, severity, scale=None).shape == image.shape


@pytest.mark.parametrize("condition", SIMULATED)
def test_each_severity_destroys_more(photo, condition):
    change = [
        np.mean([np.abs(distort(photo, condition, severity, seed).astype(int) - photo).mean() for seed in range(6)])
        for severity in (1, 2, 3, 4, 5)
    ]
    assert np.all(np.diff(change) > 0.05 * change[0]), change


def test_clean_is_a_copy(photo):
    copy = distort(photo, "clean")
    np.testing.assert_array_equal(copy, photo)
    assert copy is not photo


def test_unknown_conditions_and_severities_are_named(photo):
    with pytest.raises(ValueError, match="unknown condition 'hazy'"):
        distort(photo, "hazy")
    for severity in (0, 6, 2.5):
        with pytest.raises(ValueError, match="is not one of 1 to 5"):
            distort(photo, "foggy", severity)


def test_lowlight_is_a_gain_about_three_tenths():
    gains = [distort(plain(200), "lowlight", 3, seed) for seed in range(20)]
    assert all(len(np.unique(copy)) == 1 for copy in gains)
    values = [int(copy[0, 0, 0]) for copy in gains]
    assert 200 * 0.3 * 0.85 - 1 <= min(values) and max(values) <= 200 * 0.3 * 1.15


def test_blur_has_the_stated_width():
    """The variance of a spread impulse is the square of sigma."""
    image = plain(0)
    image[112, 112] = 255
    spread = np.mean([distort(image, "blurred", 3, seed)[..., 0].astype(float) for seed in range(30)], 0)
    x = np.arange(224) - 112
    across = spread.sum(0) / spread.sum()
    assert np.sqrt((across * x**2).sum()) == pytest.approx(2.3, rel=0.12)  # 8-bit values cut the tails


def test_fog_mixes_with_its_light():
    black = np.mean([distort(plain(0), "foggy", 3, seed).mean() for seed in range(12)])
    white = np.mean([distort(plain(255), "foggy", 3, seed).mean() for seed in range(12)])
    assert black == pytest.approx(0.5 * 205, rel=0.08)
    assert white == pytest.approx(0.5 * 255 + 0.5 * 205, rel=0.04)


def test_noise_is_black_and_white_in_equal_shares():
    copy = np.stack([distort(plain(100), "noisy", 3, seed) for seed in range(12)]).astype(int)
    assert (np.ptp(copy, axis=-1) == 0).all()  # impulses are grey
    light = (copy[..., 0] - 100)[copy[..., 0] > 100].sum() / 155
    dark = (100 - copy[..., 0])[copy[..., 0] < 100].sum() / 100
    assert light == pytest.approx(dark, rel=0.06)
    assert (light + dark) / copy[..., 0].size == pytest.approx(0.165, rel=0.1)


def test_rain_darkens_and_lays_streaks_on_top():
    copy = distort(plain(100), "rainy", 3, seed=1)
    assert copy.min() == 80 and copy.max() <= 80 + 78
    share = (copy > 80).mean()
    assert 0.1 < share < 0.4
    # Streaks run down rather than across: neighbours below are more alike than neighbours beside.
    grey = copy[..., 0].astype(int)
    assert np.abs(np.diff(grey, axis=0)).mean() < 0.6 * np.abs(np.diff(grey, axis=1)).mean()


def test_resized_loses_the_fine_pattern_and_keeps_the_mean():
    board = (np.indices((224, 224)).sum(0) % 2 * 255).astype(np.uint8)
    copy = distort(np.repeat(board[..., None], 3, 2), "resized", 3, seed=0)
    assert copy.mean() == pytest.approx(127.5, abs=2)
    assert copy.std() < 40


def test_glare_falls_from_the_middle():
    copies = np.stack([distort(plain(20), "sunny", 3, seed)[..., 0] for seed in range(20)]).astype(float).mean(0)
    assert copies[92:132, 92:132].min() > 225  # 20 + 264 - 1.41 r, r up to 28
    assert copies[112, 222] == pytest.approx(20 + 264 - 1.41 * 110, rel=0.1)
    assert (copies[0, 0] < copies[56, 56] < copies[112, 112]) and copies[112, 112] == 255


def test_an_occluded_photo_is_untouched_outside_the_object(photo):
    for seed in range(8):
        changed = (distort(photo, "occluded", 3, seed) != photo).any(-1)
        assert 0.005 < changed.mean() < 0.4
        assert not changed[:20].any()  # it lies on the face


def test_scale_is_that_of_the_frame_not_of_the_crop(photo):
    """What is done to a crop of the same resolution is what is done to the photo it is cut from."""
    crop = photo[56:168, 56:168]
    whole = distort(photo, "blurred", 3, seed=2)[56:168, 56:168]
    np.testing.assert_array_equal(distort(crop, "blurred", 3, seed=2, scale=1.0)[12:-12, 12:-12], whole[12:-12, 12:-12])
    large = cv2.resize(photo, (448, 448), interpolation=cv2.INTER_CUBIC)
    small = cv2.resize(distort(large, "blurred", 3, seed=2), (224, 224), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - distort(photo, "blurred", 3, seed=2)).mean() < 1


def test_in_albumentations_a_seed_gives_the_same_series(photo):
    def series(seed):
        compose = A.Compose([Distort(SIMULATED, (1, 5), scale=1.0, p=0.8), A.HorizontalFlip(p=0.5)], seed=seed)
        return [compose(image=photo)["image"] for _ in range(12)]

    first, again, other = series(3), series(3), series(4)
    assert all(image.dtype == np.uint8 and image.shape == photo.shape for image in first)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))
    assert len({image.tobytes() for image in first}) > 6


def test_the_transform_draws_from_what_it_is_given(photo):
    params = [Distort("foggy", 2).get_params() for _ in range(20)]
    assert {(p["condition"], p["level"]) for p in params} == {("foggy", 2)}
    transform = Distort(("noisy", "sunny"), (2, 4))
    drawn = [transform.get_params() for _ in range(200)]
    assert {p["condition"] for p in drawn} == {"noisy", "sunny"} and {p["level"] for p in drawn} == {2, 3, 4}
    never = Distort(p=0)(image=photo)["image"]
    np.testing.assert_array_equal(never, photo)


def figures(copy, clean):
    """brightness, contrast, noise, gradient of BGR uint8 photos, in grey levels."""
    grey = cv2.cvtColor(copy, cv2.COLOR_BGR2GRAY)
    return [
        grey.mean(),
        grey.std(),
        np.abs(grey.astype(np.float32) - cv2.medianBlur(grey, 3)).mean(),
        np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)).mean(),
        np.abs(copy.astype(np.float32) - clean).mean(),
    ]


def test_severity_3_looks_like_facecom_own_copies(shared):
    """A few clean photos of train, FACECOM's copies against ours, as saved by its JPEG quality."""
    real, simulated = ({condition: [] for condition in DISTORTIONS} for _ in range(2))
    with zipfile.ZipFile(shared / "data/facecom/task_b.zip") as archive:

        def read(name):
            return cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_COLOR)

        names = [n for n in archive.namelist() if n.startswith("train/") and n.endswith(".jpg")]
        for number, name in enumerate([n for n in names if "/distortion/" not in n][::90]):
            clean = read(name)
            folder, file = name.rsplit("/", 1)
            for condition in DISTORTIONS:
                copy = read(f"{folder}/distortion/{file[:-4]}_{condition}.jpg")
                ours = cv2.imencode(".jpg", distort(clean, condition, 3, number), [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
                real[condition].append(figures(copy, clean))
                simulated[condition].append(figures(cv2.imdecode(ours, cv2.IMREAD_COLOR), clean))
    for condition in DISTORTIONS:
        ratio = np.mean(simulated[condition], 0) / np.mean(real[condition], 0)
        brightness, contrast, noise, gradient, difference = ratio
        assert 0.93 < brightness < 1.07, (condition, ratio)
        assert 0.9 < contrast < 1.1, (condition, ratio)
        assert 0.7 < noise < 1.4, (condition, ratio)
        assert 0.8 < gradient < 1.25, (condition, ratio)
        assert 0.85 < difference < 1.15, (condition, ratio)
