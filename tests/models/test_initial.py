from pathlib import Path

import pytest
import torch

from facecom.errors import FacecomError
from facecom.models import checkpoint, initial
from facecom.models.initial import initial_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def test_from_nothing_keeps_the_map_and_leaves_layer_scale_out():
    start = initial_model("siamese", "none")
    assert start.config == {"backbone": "convnext_atto", "pool": "map", "img_size": 112, "layer_scale": False}
    assert not start.whole and start.model.training and start.preprocessing is None
    assert not any(name.endswith("gamma") for name in start.model.state_dict())
    assert initial_model("gender", "none", backbone="test_vit", img_size=64).config["pool"] == "avg"
    published = initial_model("gender", "none", pool="avg", layer_scale=True)
    assert any(name.endswith("gamma") for name in published.model.state_dict())


def test_a_network_goes_on_as_it_was_with_its_limits(siamese_file, tmp_path):
    loaded = checkpoint.load(siamese_file, "siamese")
    start = initial_model("siamese", str(siamese_file))
    assert start.whole and start.config["quality"] and start.preprocessing == loaded.preprocessing
    for name, value in loaded.model.state_dict().items():
        assert torch.equal(value, start.model.state_dict()[name]), name
    config = {name: value for name, value in loaded.config.items() if name != "task"}
    limits = {"quality": 0.3, "face_confidence": 0.1}
    path = tmp_path / "limited.pt"
    checkpoint.save(
        path, task="siamese", model=loaded.model, config=config, preprocessing=loaded.preprocessing, limits=limits
    )
    assert initial_model("siamese", str(path)).limits == limits
    assert initial_model("gender", str(path)).limits is None


def test_body_and_neck_carry_over_to_the_other_task(siamese_file, gender_file):
    encoder = checkpoint.load(siamese_file, "siamese").model.encoder.state_dict()
    start = initial_model("gender", str(siamese_file))
    assert "new: classifier" in start.said and "quality" not in start.config and not start.whole
    assert all(torch.equal(value, start.model.backbone.state_dict()[name]) for name, value in encoder.items())
    assert "new: projection" in initial_model("siamese", str(gender_file)).said


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"backbone": "convnext_pico"}, "--backbone convnext_pico: .* has test_convnext: leave --backbone out"),
        ({"pool": "map"}, "--pool map: .* has avg"),
    ],
)
def test_flags_that_contradict_the_checkpoint(asked, message, siamese_file):
    with pytest.raises(FacecomError, match=message):
        initial_model("siamese", str(siamese_file), **asked)


def test_another_size_is_fine_for_an_average_and_not_for_a_map(siamese_file, tmp_path):
    assert initial_model("siamese", str(siamese_file), img_size=96).config["img_size"] == 96
    start = initial_model("siamese", "none", backbone="test_convnext", pool="map", img_size=64)
    preprocessing = {"size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "fixed", "colour": "rgb"}
    path = tmp_path / "map.pt"
    checkpoint.save(path, task="siamese", model=start.model, config=start.config, preprocessing=preprocessing)
    with pytest.raises(FacecomError, match="weights are for 64 px and not for 128: leave --img_size out"):
        initial_model("siamese", str(path), img_size=128)
    # A new head fits any size.
    assert (
        initial_model("gender", str(path), img_size=128).model.classifier.in_features
        == 16 * start.model.neck[0].num_features
    )


def test_networks_that_there_are_not():
    with pytest.raises(FacecomError, match="timm has no network of that name"):
        initial_model("siamese", "none", backbone="convnext_zero")
    with pytest.raises(FacecomError, match="test_vit gives no feature map: use --pool avg"):
        initial_model("siamese", "none", backbone="test_vit", pool="map")


def test_imagenet_without_a_network_says_what_to_do(monkeypatch):
    def offline(config):
        assert config["pretrained"] is True
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(initial, "build_model", offline)
    with pytest.raises(FacecomError, match=r"convnext_atto could not be downloaded .*no route to host.*--init none"):
        initial_model("siamese", "imagenet")


def test_networks_behind_the_finder_do_not_answer_where_it_sees_no_face(monkeypatch, tmp_path):
    shipped = checkpoint.read(checkpoint.SHIPPED / "siamese.pt")["limits"]
    assert initial.face_limit("finder") == {"face_confidence": shipped["face_confidence"]}
    assert initial.face_limit("off") is None and initial.face_limit("yunet") is None
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    assert initial.face_limit("finder") is None


def test_what_weights_of_0_1_0_knew_of_white_crops_is_not_trained_on():
    """It was fitted after training; a network that starts from such weights is without it."""
    old = ROOT / "tests" / "fixtures" / "gender_0.1.0.pt"
    assert checkpoint.load(old, "gender").model.overexposure == 1.5
    start = initial_model("gender", str(old))
    assert start.whole and start.model.overexposure is None and "overexposure" not in start.config
    assert "new" not in start.said
