import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import facecom
from facecom.data.augmentation import eval_transform
from facecom.inference import gender
from facecom.models import checkpoint
from facecom.models.networks import build_model

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def predictor(gender_file):
    return facecom.GenderPredictor(gender_file, device="cpu", amp=False)


@pytest.fixture(scope="module")
def photos():
    return list(np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8))


def by_hand(path, photos, mean, std, temperature):
    """Probabilities from network and transform, without the pipeline."""
    model, transform = checkpoint.load(path, "gender").model, eval_transform(photos[0].shape[0], mean, std)
    with torch.inference_mode():
        logits = model(torch.stack([transform(image=photo)["image"] for photo in photos]))
    return 1 / (1 + np.exp(-logits.numpy() / temperature))


def test_predict_gives_calibrated_probabilities_and_the_stored_threshold(predictor, gender_file, photos, tmp_path):
    Image.fromarray(photos[0]).save(tmp_path / "a.png")
    table = predictor.predict([tmp_path / "a.png", *photos[1:]])
    assert table.columns.tolist() == ["filename", "gender", "p_female", "face_confidence"]
    expected = by_hand(gender_file, photos, (0.5, 0.45, 0.4), (0.5, 0.25, 0.3), 2.0)
    np.testing.assert_allclose(table.p_female, expected, atol=1e-5)
    assert table.filename.tolist() == [str(tmp_path / "a.png"), "1", "2", "3"]
    assert table.gender.tolist() == ["female" if p >= 0.45 else "male" for p in expected]
    assert table.face_confidence.isna().all()


def test_an_unreadable_photo_is_a_row_without_an_answer_and_a_warning(predictor, photos, tmp_path):
    with pytest.warns(UserWarning, match="nobody.jpg: no such file"):
        table = predictor.predict([tmp_path / "nobody.jpg", photos[0]])
    assert table.gender[0] == "" and np.isnan(table.p_female[0])
    assert table.gender[1] in ("male", "female")


def test_an_ensemble_averages_probabilities_and_thresholds(gender_file, photos, tmp_path):
    torch.manual_seed(1)
    config = {"backbone": "convnext_femto", "img_size": 64}
    preprocessing = {"size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}
    checkpoint.save(tmp_path / "b.pt", task="gender", model=build_model({"task": "gender", **config}), config=config,
                    preprocessing=preprocessing, operating_points=[{"threshold": 0.55}])  # fmt: skip
    members = [facecom.GenderPredictor(path, device="cpu", amp=False) for path in (gender_file, tmp_path / "b.pt")]
    together = facecom.GenderPredictor(gender_file, tmp_path / "b.pt", device="cpu", amp=False)
    expected = np.mean([member.predict(photos).p_female for member in members], axis=0)
    np.testing.assert_allclose(together.predict(photos).p_female, expected, atol=1e-6)
    assert together.threshold == pytest.approx(0.5)


@pytest.mark.parametrize("backbone", ["convnext_atto", "convnext_tiny"])
def test_published_weights_see_photos_as_published_or_normalised(photos, tmp_path, backbone):
    from facecom.inference import ensemble

    torch.manual_seed(0)
    model = build_model({"task": "gender", "backbone": backbone, "img_size": 224})
    torch.save(model.state_dict(), tmp_path / "published.pth")
    photo = np.ascontiguousarray(np.tile(photos[0], (4, 4, 1))[:224, :224])
    plain = facecom.GenderPredictor(tmp_path / "published.pth", device="cpu", amp=False)
    assert plain.threshold == 0.5
    expected = by_hand(tmp_path / "published.pth", [photo], (0.0,) * 3, (1.0,) * 3, 1)
    np.testing.assert_allclose(plain.predict([photo]).p_female, expected, atol=1e-5)
    normalised = ensemble.load([tmp_path / "published.pth"], "gender", normalize=True)
    expected = by_hand(tmp_path / "published.pth", [photo], (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1)
    np.testing.assert_allclose(normalised([photo]).outputs, expected, atol=1e-5)


def test_words():
    assert gender.words(np.array([1, 0, np.nan])).tolist() == ["female", "male", ""]


def test_low_face_confidence_means_cannot_tell(gender_file, photos, monkeypatch):
    careful = facecom.GenderPredictor(gender_file, device="cpu")
    answers = careful.ensemble(photos)
    careful.ensemble.members[0].limits["face_confidence"] = 0.5
    answers.confidence[:] = [0.4, 0.5, 0.9, np.nan]
    assert np.isnan(gender.verdicts(answers, careful.ensemble, 0.0)).tolist() == [True, False, False, False]


def test_the_table_is_what_pandas_writes(predictor, photos, tmp_path):
    predictor.predict(photos).to_csv(tmp_path / "out.csv", index=False)
    assert pd.read_csv(tmp_path / "out.csv").shape == (4, 4)
