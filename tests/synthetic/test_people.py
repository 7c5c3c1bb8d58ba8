import time

import cv2
import numpy as np
import pytest

from facecom import synthetic
from facecom.errors import FacecomError
from facecom.evaluation.comparisons import untrained_baseline
from facecom.evaluation.metrics import auc, rank_k
from facecom.faces.alignment import FIXED_BOX, TEMPLATE
from facecom.synthetic import people as drawn_people


@pytest.fixture(scope="module")
def people():
    """Three photos of each of 24 people: uint8 [24, 3, 224, 224, 3] and landmarks float32 [24, 3, 5, 2]."""
    drawn = [[synthetic.draw_person(identity, photo) for photo in range(3)] for identity in range(24)]
    return tuple(np.array([[photo[part] for photo in person] for person in drawn]) for part in (0, 1))


def test_the_same_seeds_draw_the_same_photo(people):
    picture, landmarks = synthetic.draw_person(5, 1)
    assert picture.dtype == np.uint8 and picture.shape == (224, 224, 3)
    assert landmarks.dtype == np.float32 and landmarks.shape == (5, 2)
    np.testing.assert_array_equal(picture, people[0][5, 1])
    np.testing.assert_array_equal(landmarks, people[1][5, 1])


def test_other_seeds_draw_other_photos(people):
    assert len({picture.tobytes() for person in people[0] for picture in person}) == 72


def test_faces_are_framed_like_facecom(people):
    """Its photos are cut so that the alignment template lies in `FIXED_BOX`; no more than 2 px off on average."""
    side = FIXED_BOX[2] * 224
    corner = np.array(FIXED_BOX[:2]) * 224 - side / 2
    np.testing.assert_allclose(people[1].mean((0, 1)), TEMPLATE * side / 112 + corner, atol=2)


def test_landmarks_lie_on_what_is_drawn():
    """The pupils are the darkest spot of each eye."""
    found = 0
    for identity in range(12):
        picture, landmarks = synthetic.draw_person(identity, 0, size=448)
        grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 2)
        distance = np.linalg.norm(landmarks[1] - landmarks[0])
        for x, y in landmarks[:2]:
            reach = 0.16 * distance
            left, top = int(x - reach), int(y - 0.4 * reach)
            eye = grey[top : int(y + 0.4 * reach) + 1, left : int(x + reach) + 1]
            row, column = np.unravel_index(eye.argmin(), eye.shape)
            found += np.hypot(left + column - x, top + row - y) < 0.1 * distance
    assert found >= 18  # of 24: the gaze turns, and dark lashes or frames may win


def test_size_changes_the_resolution_alone():
    small, few = synthetic.draw_person(3, 0, size=112)
    large, many = synthetic.draw_person(3, 0, size=448)
    np.testing.assert_allclose((few + 0.5) * 4, many + 0.5, atol=1e-3)
    shrunk = cv2.resize(large, (112, 112), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(int) - small).mean() < 6


def test_gender_alternates_and_shows_in_the_hair(people):
    assert [drawn_people.person_gender(seed) for seed in range(4)] == ["male", "female", "male", "female"]
    people_of = {seed: drawn_people._person(seed) for seed in range(100)}
    assert not any(person.beard for seed, person in people_of.items() if seed % 2)
    kinds = [{person.hair_kind for seed, person in people_of.items() if seed % 2 == odd} for odd in (0, 1)]
    assert len(kinds[0]) == len(kinds[1]) == 6 and not kinds[0] & kinds[1]


def test_an_untrained_baseline_ranks_people_above_chance_and_not_perfectly(people):
    """Chance is 2 of 71 for rank-1 and .5 for the AUC."""
    features = untrained_baseline(list(people[0].reshape(-1, 224, 224, 3)))
    identity = np.repeat(np.arange(24), 3)
    other = ~np.eye(72, dtype=bool)
    scores = (features @ features.T)[other].reshape(72, 71)
    same = (identity[:, None] == identity)[other].reshape(72, 71)
    assert 0.1 < rank_k(scores, same, 1) < 0.7
    assert 0.6 < auc(scores[same], scores[~same]) < 0.95


def test_write_sample_b_has_the_organisers_layout(sample_b):
    files = sorted(path.relative_to(sample_b).as_posix() for path in sample_b.rglob("*.jpg"))
    assert len(files) == 8 * 3 * 8
    assert "train/Drawn_Person_000/Drawn_Person_000_0001.jpg" in files
    assert "val/Drawn_Person_007/distortion/Drawn_Person_007_0003_sunny.jpg" in files
    people = {split: {path.name for path in (sample_b / split).iterdir()} for split in ("train", "val")}
    assert len(people["train"]) == len(people["val"]) == 4 and not people["train"] & people["val"]


def test_write_sample_a_shows_the_same_people_by_gender(sample_a, sample_b):
    files = sorted(path.relative_to(sample_a).as_posix() for path in sample_a.rglob("*.jpg"))
    assert len(files) == 24 and "val/female/Drawn_Person_007_0001.jpg" in files
    one = (sample_a / "train/male/Drawn_Person_000_0001.jpg").read_bytes()
    assert one == (sample_b / "train/Drawn_Person_000/Drawn_Person_000_0001.jpg").read_bytes()


def test_write_sample_is_deterministic(sample_b, tmp_path):
    synthetic.write_sample(tmp_path / "again", people=2, photos=1, splits=("val",))
    for path in (tmp_path / "again" / "val").rglob("*.jpg"):
        name = path.relative_to(tmp_path / "again" / "val")
        assert path.read_bytes() == (sample_b / "train" / name).read_bytes()
    synthetic.write_sample(tmp_path / "other", people=1, photos=1, seed=1, splits=("val",))
    name = "val/Drawn_Person_000/Drawn_Person_000_0001.jpg"
    assert (tmp_path / "other" / name).read_bytes() != (tmp_path / "again" / name).read_bytes()


def test_write_sample_overwrites_nothing(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    with pytest.raises(FacecomError, match="exists already"):
        synthetic.write_sample(tmp_path, people=1)
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_24_people_take_under_5_seconds(tmp_path):
    start = time.process_time()
    synthetic.write_sample(tmp_path / "sample")
    assert time.process_time() - start < 5


@pytest.mark.parametrize("kind", synthetic.SCENES)
def test_scenes_are_deterministic(kind):
    scene = synthetic.draw_scene(kind, 3)
    assert scene.dtype == np.uint8 and scene.shape == (224, 224, 3) and scene.std() > 10
    np.testing.assert_array_equal(scene, synthetic.draw_scene(kind, 3))
    assert (scene != synthetic.draw_scene(kind, 4)).any()
    with pytest.raises(ValueError, match="unknown scene 'dog': one of wall, landscape, cat"):
        synthetic.draw_scene("dog")


def test_the_public_detector_sees_the_people_and_no_face_in_the_scenes(shared, people):
    detector = cv2.FaceDetectorYN.create(str(shared / "models/yunet_n_dynamic.onnx"), "", (224, 224), 0.6)
    errors = []
    for picture, landmarks in zip(people[0][:, 0], people[1][:, 0], strict=True):
        faces = detector.detect(np.ascontiguousarray(picture[..., ::-1]))[1]
        assert faces is not None
        error = np.linalg.norm(faces[0, 4:14].reshape(5, 2) - landmarks, axis=1)
        errors.append(error.mean() / np.linalg.norm(landmarks[1] - landmarks[0]))
    assert np.median(errors) < 0.15
    for kind in synthetic.SCENES:
        assert detector.detect(np.ascontiguousarray(synthetic.draw_scene(kind, 0)[..., ::-1]))[1] is None
