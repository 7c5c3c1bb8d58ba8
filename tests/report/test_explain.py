import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scripts import run

from facecom.data.folders import task_b_table
from facecom.errors import FacecomError
from facecom.inference import ensemble
from facecom.models import checkpoint, loading
from facecom.models.networks import build_model
from facecom.report import explain

pytest.importorskip("pytorch_grad_cam", reason="the extra `explain` is not installed")

torch.set_num_threads(1)


def runner_of(task, backbone="test_convnext", size=64):
    torch.manual_seed(0)
    config = {"task": task, "backbone": backbone, "img_size": size}
    preprocessing = {"size": size, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}
    loaded = checkpoint.Loaded(build_model(config).eval(), config, preprocessing, [], 1.0, {}, "random")
    return loading.of_checkpoint(loaded, task)


class OneCorner(torch.nn.Module):
    """A network that sees only the upper left quarter: what Grad-CAM must say is known."""

    def __init__(self):
        super().__init__()
        self.stage = torch.nn.Conv2d(3, 4, 8, stride=8)
        torch.nn.init.constant_(self.stage.weight, 0.01)
        torch.nn.init.zeros_(self.stage.bias)
        self.feature_info = [{"module": "stage", "reduction": 8}]

    def forward(self, x):
        return self.stage(x)[:, :, :4, :4].mean((1, 2, 3))


def test_the_heat_lies_where_the_network_looks():
    member = runner_of("gender")
    corner = OneCorner()
    member.network.model = torch.nn.Sequential(corner)
    member.network.model.backbone = corner
    crop = np.full((1, 64, 64, 3), 130, np.uint8)
    crop[0, 8:24, 8:24] = 255  # bright where it looks
    crop[0, 40:56, 40:56] = 255  # and where it does not
    member.network.model.forward = corner.forward
    heat = explain.heatmaps(member, crop, [lambda logit: logit])
    assert heat.shape == (1, 64, 64) and 0 <= heat.min() and heat.max() <= 1
    assert heat[0, 12:20, 12:20].min() > 0.9
    assert heat[0, 26:38, 26:38].max() < 0.2


@pytest.mark.parametrize("backbone", ["test_convnext", "test_vit", "swin_tiny_patch4_window7_224", "resnet10t"])
@pytest.mark.parametrize("task", ["gender", "siamese"])
def test_any_backbone_is_explained(backbone, task):
    size = 112 if backbone.startswith("swin") else 160 if backbone == "test_vit" else 64
    member = runner_of(task, backbone, size)
    crops = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
    heat = explain.heatmaps(member, crops, [lambda output: output.sum()] * 2)
    assert heat.shape == (2, size, size) and np.isfinite(heat).all()
    assert heat.max() == pytest.approx(1, abs=1e-3) or not heat.any()
    assert all(parameter.grad is None for parameter in member.network.parameters())


def test_the_layer_is_the_deepest_with_seven_cells():
    body = build_model({"task": "gender", "backbone": "convnext_atto", "img_size": 112}).backbone
    assert explain.map_layer(body, 224) is body.stages[3]
    assert explain.map_layer(body, 112) is body.stages[2]
    assert explain.map_layer(body, 64) is body.stages[1]


def test_overlay_is_warm_where_the_heat_is():
    heat = np.zeros((64, 64), np.float32)
    heat[:32] = 1
    picture = explain.overlay(np.full((64, 64, 3), 128, np.uint8), heat)
    assert picture.shape == (224, 224, 3) and picture.dtype == np.uint8
    red, blue = picture[:, :, 0].astype(int), picture[:, :, 2].astype(int)
    assert (red > blue)[:100].all() and (red < blue + 30)[-100:].all()


def test_a_pair_is_explained_by_what_makes_it_alike():
    siamese = ensemble.Ensemble([runner_of("siamese")])
    photos = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), np.uint8)
    first, second = explain.explain_pair(siamese, *photos)
    swapped = explain.explain_pair(siamese, *photos[::-1])
    np.testing.assert_array_equal(first, swapped[1])
    np.testing.assert_array_equal(second, swapped[0])


def test_extremes_show_no_key_twice():
    assert explain._extremes(np.array([0.3, 0.9, 0.1]), "abc") == [
        ("certain_1.png", 1), ("certain_2.png", 0), ("uncertain_1.png", 2),
    ]  # fmt: skip
    rows = [row for _, row in explain._extremes(np.arange(100.0), range(100))]
    assert rows == [99, 98, 97, 96, 95, 94, 0, 1, 2, 3, 4, 5]
    assert [row for _, row in explain._extremes(np.array([5.0, 4, 3, 2, 1]), "aabbc")] == [0, 2, 4]


def test_nearest_others_leave_the_own_photo_out():
    table = pd.DataFrame(
        {
            "file": ["a1", "a1_foggy", "b1"], "path": ["A1", "A1f", "B1"], "identity": ["a", "a", "b"],
            "photo": ["a1", "a1", "b1"], "condition": ["clean", "foggy", "clean"],
        }
    )  # fmt: skip
    embeddings = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    pairs = explain.nearest_others(table, embeddings)
    assert pairs.image2.tolist() == ["b1", "b1", "a1"]
    np.testing.assert_allclose(pairs.distance, [np.sqrt(2), np.sqrt(0.8), np.sqrt(2)], rtol=1e-5)
    assert pairs.path1.tolist() == ["A1", "A1f", "B1"] and pairs.path2.tolist() == ["B1", "B1", "A1"]
    alone = explain.nearest_others(table[:2], embeddings[:2])
    assert alone.distance.isna().all()


@pytest.mark.parametrize("way", ["identities", "flat", "gallery", "pairs"])
def test_test_py_explains_task_b(tmp_path, monkeypatch, siamese_file, sample_b, way):
    monkeypatch.chdir(tmp_path)
    table = task_b_table(sample_b / "val")
    one = sample_b / "val" / table.identity[0]
    if way == "pairs":
        names = table.file[table.condition == "clean"]
        lines = [f"{names.iloc[0]},{name}" for name in names.iloc[1:4]]
        (tmp_path / "pairs.csv").write_text("\n".join(["image1,image2", *lines, ""]))
    arguments = {
        "identities": ["--img_dir", sample_b / "val"],
        "flat": ["--img_dir", one],
        "gallery": ["--img_dir", one, "--gallery", sample_b / "val"],
        "pairs": ["--img_dir", sample_b / "val", "--pairs", "pairs.csv"],
    }[way]
    assert run("B", "--weights", siamese_file, *arguments, "--explain", "why") == 0
    listed = pd.read_csv("why/explain.csv")
    assert len(listed) == 3 if way != "identities" else 3 <= len(listed) <= 12
    assert listed.columns.tolist() == ["picture", "image1", "image2", "distance"]
    for name in listed.picture:
        assert np.asarray(Image.open(f"why/{name}")).shape == (224, 896, 3)
    certainty = (listed.distance - 0.8).abs()
    certain = listed.picture.str.startswith("certain")
    assert certainty[certain].min() >= certainty[~certain].max()


def test_test_py_explains_task_a(tmp_path, monkeypatch, gender_file, sample_a):
    monkeypatch.chdir(tmp_path)
    assert run("A", "--weights", gender_file, "--img_dir", sample_a / "val", "--explain", "why") == 0
    listed = pd.read_csv("why/explain.csv")
    assert len(listed) == 12 and listed.columns.tolist() == ["picture", "filename", "p_female"]
    first = np.asarray(Image.open("why/certain_1.png"))
    photo = cv2.imread(str(sample_a / "val" / listed.filename[0]))[:, :, ::-1]
    np.testing.assert_array_equal(first[:, :224], photo)


def test_onnx_weights_cannot_be_explained():
    chosen = ensemble.Ensemble([runner_of("gender")])
    onnx = loading.Runner("gender", "w.onnx", chosen.members[0].forward, chosen.members[0].preprocessing)
    with pytest.raises(FacecomError, match="w.onnx: an ONNX file cannot be explained"):
        explain.explain_gender(ensemble.Ensemble([onnx]), [np.zeros((64, 64, 3), np.uint8)])
