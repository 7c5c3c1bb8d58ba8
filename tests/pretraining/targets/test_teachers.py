"""Teachers: their files, and what they say together."""

import numpy as np
import pytest
import timm
import torch

from facecom.errors import FacecomError
from pretraining.targets import teachers
from pretraining.targets.teachers import of_both, side_by_side


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model("edgenext_xx_small", num_classes=512).eval()


@pytest.fixture(scope="module")
def file(network, tmp_path_factory):
    """A random EdgeFace-XXS as the published files are: keys begin with `model.`, linear layers are int8."""
    state, linear = {}, {n for n, m in network.named_modules() if isinstance(m, torch.nn.Linear)}
    for name, value in network.state_dict().items():
        layer, _, kind = name.rpartition(".")
        if layer not in linear:
            state[f"model.{name}"] = value
        elif kind == "weight":
            scale = float(value.abs().max() / 127)
            weight = torch.quantize_per_tensor(value, scale, 0, torch.qint8)
            bias = network.get_submodule(layer).bias
            state[f"model.{layer}._packed_params._packed_params"] = weight, bias
            state[f"model.{layer}.scale"] = torch.tensor(1.0)
            state[f"model.{layer}.zero_point"] = torch.tensor(0)
            state[f"model.{layer}._packed_params.dtype"] = torch.qint8
    path = tmp_path_factory.mktemp("teacher") / "edgeface.pt"
    torch.save(state, path)
    return path


def test_an_edgeface_file_is_read_with_its_int8_layers(network, file):
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), dtype=np.uint8)
    found = teachers.open_teacher(file)(crops)
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.no_grad():
        expected = torch.nn.functional.normalize(network(x), dim=1).numpy()
    assert found.shape == (3, 512) and found.dtype == np.float32
    assert (found * expected).sum(1).min() > 0.999  # int8
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)


def test_any_other_state_dict_is_an_error(tmp_path):
    torch.save({"model.fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(FacecomError, match="no state dict of EdgeFace"):
        teachers.edgeface(tmp_path / "other.pt")


def left_and_right(crops):
    """A teacher that looks at the left and the right edge."""
    found = np.stack([crops[:, 0, 0, 0], crops[:, 0, -1, 0]], 1).astype(np.float32) + 1
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_a_photo_and_its_mirror_image_are_told_alike():
    crops = np.random.default_rng(0).integers(0, 256, (4, 112, 112, 3), dtype=np.uint8)
    found = of_both(left_and_right, crops)
    np.testing.assert_allclose(found, of_both(left_and_right, crops[:, :, ::-1]))
    np.testing.assert_allclose(found, np.sqrt(0.5), rtol=1e-5)


def test_weights_are_shares_of_the_squared_length():
    found = side_by_side([np.eye(2, dtype=np.float32), np.eye(3, dtype=np.float32)[:2]], [2, 1])
    assert found.shape == (2, 5) and found.dtype == np.float32
    np.testing.assert_allclose((found**2).sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose((found[:, :2] ** 2).sum(1), 2 / 3, rtol=1e-6)


def test_many_crops_are_told_in_their_order(monkeypatch):
    monkeypatch.setattr(teachers, "open_teacher", lambda path, amp: left_and_right)
    crops = np.random.default_rng(0).integers(0, 256, (150, 8, 8, 3), dtype=np.uint8)
    found = teachers.teacher_embeddings(crops, ["a", "b"])
    np.testing.assert_allclose(found, side_by_side([of_both(left_and_right, crops)] * 2, [1, 1]))
