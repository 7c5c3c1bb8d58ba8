import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import facecom
from facecom.conditions import distort
from facecom.errors import FacecomError
from facecom.inference import ensemble
from facecom.models import checkpoint
from facecom.models.networks import build_model
from facecom.synthetic import draw_person

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def verifier(siamese_file):
    return facecom.FaceVerifier(siamese_file, amp=False, device="cpu")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two people with two photos each, plain colours with noise: {name: [path, path]}."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    people = {}
    for name, colour in {"ann": (200, 40, 40), "bob": (20, 60, 220)}.items():
        (folder / name).mkdir()
        for number in (1, 2):
            path = folder / name / f"{name}_{number:04}.png"
            noise = rng.integers(-20, 20, (64, 64, 3))
            Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8)).save(path)
            people.setdefault(name, []).append(str(path))
    return people


def save_siamese(path, backbone="convnext_atto", size=64, threshold=0.8, seed=1, **info):
    torch.manual_seed(seed)
    config = {"backbone": backbone, "img_size": size}
    model = build_model({"task": "siamese", **config})
    preprocessing = {"size": size, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}
    points = [{"threshold": threshold, "far": 1e-3}]
    checkpoint.save(path, task="siamese", model=model, config=config, preprocessing=preprocessing,
                    operating_points=points, **info)  # fmt: skip
    return path


def test_importing_the_package_does_not_import_torch():
    code = "import sys, facecom; assert not {'torch', 'timm', 'cv2'} & set(sys.modules); facecom.FacecomError"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'FaceVerifyer'"):
        facecom.FaceVerifyer  # noqa: B018
    assert "FaceVerifier" in dir(facecom)


def test_embed_gives_unit_rows_and_a_row_of_nan_with_a_warning(verifier, photos, tmp_path):
    missing = tmp_path / "nobody.jpg"
    with pytest.warns(UserWarning, match="nobody.jpg: no such file"):
        embeddings = verifier.embed([photos["ann"][0], missing, photos["bob"][0]])
    assert embeddings.shape == (3, 128) and embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings[[0, 2]], axis=1), 1, atol=1e-5)
    assert np.isnan(embeddings[1]).all()


def test_verify_compares_the_embeddings_with_the_stored_threshold(verifier, photos):
    a, b = photos["ann"][0], photos["bob"][0]
    answer = verifier.verify(a, b)
    first, second = verifier.embed([a, b])
    assert answer.distance == pytest.approx(float(np.linalg.norm(first - second)), abs=1e-5)
    assert (answer.threshold, answer.far) == (0.8, 1e-3)
    assert answer.same is bool(answer.distance <= 0.8)
    itself = verifier.verify(a, a)
    assert itself.distance == 0 and itself.same is True


def test_another_stored_operating_point_can_be_chosen(siamese_file):
    strict = facecom.FaceVerifier(siamese_file, far=1e-4, device="cpu")
    assert (strict.threshold, strict.far) == (0.6, 1e-4)
    with pytest.raises(FacecomError, match="no operating point for a false accept rate of 0.01.*0.001, 0.0001"):
        facecom.FaceVerifier(siamese_file, far=0.01)


def test_verify_refuses_an_unreadable_photo(verifier, photos, tmp_path):
    with pytest.raises(FacecomError, match="nobody.jpg: no such file"):
        verifier.verify(photos["ann"][0], tmp_path / "nobody.jpg")


def test_rgb_is_not_bgr(verifier, photos):
    rgb = np.asarray(Image.open(photos["ann"][0]))
    assert verifier.verify(rgb, photos["ann"][0]).distance == 0
    assert verifier.verify(rgb[:, :, ::-1], photos["ann"][0]).distance > 0.01


def test_identify_finds_the_nearest_person(verifier, photos, tmp_path):
    probes = [photos["bob"][1], np.asarray(Image.open(photos["ann"][1]))]
    gallery = {name: paths[:1] for name, paths in photos.items()}
    found = verifier.identify(probes, gallery)
    assert found.columns.tolist() == ["probe", "identity", "distance", "same"]
    assert found.identity.tolist() == ["bob", "ann"]
    assert found.probe.tolist() == [photos["bob"][1], "1"]
    for row, name in enumerate(["bob", "ann"]):
        assert found.distance[row] == pytest.approx(verifier.verify(probes[row], gallery[name][0]).distance, abs=1e-5)
        assert bool(found.same[row]) is bool(found.distance[row] <= verifier.threshold)


def test_identify_takes_a_folder_and_leaves_an_unreadable_probe_unanswered(verifier, photos, tmp_path):
    gallery = Path(photos["ann"][0]).parent.parent
    with pytest.warns(UserWarning, match="no such file"):
        found = verifier.identify([photos["ann"][1], tmp_path / "nobody.jpg"], gallery)
    assert found.identity[0] == "ann" and found.distance[0] < 1e-5
    assert found.identity.isna().tolist() == [False, True]
    assert found.same.isna().tolist() == [False, True]


def test_an_empty_gallery_is_an_error(verifier, photos):
    with pytest.raises(FacecomError, match="the gallery is empty"):
        verifier.identify([photos["ann"][0]], {})


def test_an_ensemble_averages_squared_distances_and_squared_thresholds(siamese_file, photos, tmp_path):
    other = save_siamese(tmp_path / "b.pt", size=48, threshold=0.5)
    members = [facecom.FaceVerifier(path, device="cpu", amp=False) for path in (siamese_file, other)]
    together = facecom.FaceVerifier(siamese_file, other, device="cpu", amp=False)
    a, b = photos["ann"][0], photos["bob"][0]
    squares = [member.verify(a, b).distance ** 2 for member in members]
    assert together.verify(a, b).distance == pytest.approx(np.sqrt(np.mean(squares)), abs=1e-5)
    assert together.threshold == pytest.approx(np.sqrt((0.8**2 + 0.5**2) / 2))
    assert together.far == 1e-3
    embeddings = together.embed([a, b])
    assert embeddings.shape == (2, 256)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


def limited(siamese_file, limits):
    chosen = ensemble.load([siamese_file], "siamese")
    chosen.members[0].limits.update(limits)
    return chosen


def test_low_quality_or_face_confidence_means_cannot_tell(siamese_file):
    confidence = np.array([0.9, 0.2, np.nan, 0.9], np.float32)
    quality = np.array([0.9, 0.9, 0.1, np.nan], np.float32)
    assert ensemble.load([siamese_file], "siamese").can_tell(confidence, quality).tolist() == [True] * 4
    both = limited(siamese_file, {"face_confidence": 0.5, "quality": 0.3})
    assert both.can_tell(confidence, quality).tolist() == [True, False, False, True]


def test_verify_and_identify_say_that_they_cannot_tell(siamese_file, photos):
    strict = facecom.FaceVerifier(siamese_file, device="cpu")
    strict.ensemble.members[0].limits["quality"] = 1.1
    assert strict.verify(*photos["ann"]).same is None
    assert strict.identify(photos["ann"], {"ann": photos["bob"]}).same.isna().all()


def test_one_photograph_twice_needs_no_face(siamese_file):
    photo = draw_person(5, 0, 224)[0]
    copy = distort(photo, "rainy", 2)
    strict = facecom.FaceVerifier(siamese_file, device="cpu", amp=False, faces_only=False)
    strict.ensemble.members[0].limits["quality"] = 1.1
    answer = strict.verify(photo, copy)
    assert answer.distance == 0 and answer.same is True
    found = strict.identify([copy], {"other": [draw_person(8, 0, 224)[0]], "own": [photo]}).iloc[0]
    assert (found.identity, found.distance, found.same) == ("own", 0, True)
    faces = facecom.FaceVerifier(siamese_file, device="cpu", amp=False)
    apart = np.linalg.norm(np.subtract(*faces.embed([photo, copy])))
    assert 0 < faces.verify(photo, copy).distance == pytest.approx(apart)
