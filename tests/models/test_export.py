import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import rows_of, run

import facecom
from facecom.errors import FacecomError
from facecom.models import checkpoint, export, loading
from facecom.models.networks import build_model

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

torch.set_num_threads(1)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def siamese_onnx(siamese_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "siamese.onnx"
    assert export.export(siamese_file, "siamese", path).keys() == {"embedding", "quality"}
    return path


@pytest.fixture(scope="module")
def gender_onnx(gender_file, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "gender.onnx"
    assert export.export(gender_file, "gender", path).keys() == {"p_female"}
    return path


def session_of(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def test_takes_any_number_of_rgb_uint8_crops_and_agrees_with_torch(siamese_onnx, siamese_file):
    session = session_of(siamese_onnx)
    (given,) = session.get_inputs()
    assert given.name == "crops" and given.type == "tensor(uint8)" and given.shape[1:] == [64, 64, 3]
    crops = np.random.default_rng(1).integers(0, 256, (5, 64, 64, 3), np.uint8)
    embedding, quality = loading.load(siamese_file, "siamese").forward(crops)
    for count in (1, 5):
        found = session.run(["embedding", "quality"], {"crops": crops[:count]})
        np.testing.assert_allclose(found[0], embedding[:count], atol=1e-4)
        np.testing.assert_allclose(found[1], quality[:count], atol=1e-4)


def test_the_file_says_how_it_is_to_be_used(siamese_onnx):
    model = onnx.load(str(siamese_onnx))
    assert [(entry.domain, entry.version) for entry in model.opset_import if entry.domain == ""] == [("", export.OPSET)]
    settings = json.loads({entry.key: entry.value for entry in model.metadata_props}["facecom"])
    assert settings["task"] == "siamese"
    assert settings["preprocessing"]["size"] == 64 and settings["preprocessing"]["align"] == "off"
    assert [point["threshold"] for point in settings["operating_points"]] == [0.8, 0.6]


def test_the_python_interface_takes_it(siamese_onnx, siamese_file, gender_onnx, gender_file):
    photos = list(np.random.default_rng(2).integers(0, 256, (3, 80, 70, 3), np.uint8))
    pair = [facecom.FaceVerifier(path, device="cpu", amp=False) for path in (siamese_onnx, siamese_file)]
    np.testing.assert_allclose(pair[0].embed(photos), pair[1].embed(photos), atol=1e-4)
    assert (pair[0].threshold, pair[0].far) == (pair[1].threshold, pair[1].far)
    both = [facecom.GenderPredictor(path, device="cpu", amp=False) for path in (gender_onnx, gender_file)]
    np.testing.assert_allclose(both[0].predict(photos).p_female, both[1].predict(photos).p_female, atol=1e-4)
    assert both[0].threshold == 0.45


def test_test_py_takes_it_and_mixes_it_with_a_checkpoint(tmp_path, monkeypatch, siamese_onnx, siamese_file, sample_b):
    monkeypatch.chdir(tmp_path)
    arguments = ("--img_dir", sample_b / "val", "--no-amp")
    for name, weights in {"onnx": [siamese_onnx], "pt": [siamese_file], "both": [siamese_onnx, siamese_file]}.items():
        assert run("B", *arguments, "--weights", *weights, "--output", f"{name}.csv") == 0
    expected = rows_of("pt.csv")
    for name in ("onnx", "both"):
        found = rows_of(f"{name}.csv")
        assert [row["identity"] for row in found] == [row["identity"] for row in expected]
        for ours, theirs in zip(found, expected, strict=True):
            assert float(ours["distance"]) == pytest.approx(float(theirs["distance"]), abs=1e-3)


def test_weights_without_a_quality_head_have_no_quality_output(tmp_path):
    config = {"backbone": "test_convnext", "img_size": 32, "pool": "map"}
    preprocessing = {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}
    model = build_model({"task": "siamese", **config})
    checkpoint.save(tmp_path / "w.pt", task="siamese", model=model, config=config, preprocessing=preprocessing)
    assert export.export(tmp_path / "w.pt", "siamese", tmp_path / "w.onnx").keys() == {"embedding"}
    loaded = loading.load(tmp_path / "w.onnx", "siamese")
    embedding, quality = loaded.forward(np.zeros((2, 32, 32, 3), np.uint8))
    assert embedding.shape == (2, 128) and np.isnan(quality).all()


def test_the_mirror_image_is_looked_at_inside_the_graph(tmp_path):
    config = {"backbone": "test_convnext", "img_size": 32, "pool": "map", "quality": True}
    preprocessing = {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb", "mirror": True}
    model = build_model({"task": "siamese", **config})
    checkpoint.save(tmp_path / "w.pt", task="siamese", model=model, config=config, preprocessing=preprocessing)
    export.export(tmp_path / "w.pt", "siamese", tmp_path / "w.onnx")
    loaded = loading.load(tmp_path / "w.onnx", "siamese")
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    (found, quality), (mirrored, _) = loaded.forward(crops), loaded.forward(np.ascontiguousarray(crops[:, :, ::-1]))
    assert found.shape == (5, 128) and quality.shape == (5,)
    np.testing.assert_allclose(found, mirrored, atol=1e-5)


def test_the_face_finder(tmp_path):
    torch.manual_seed(0)
    config = {"backbone": "test_convnext", "img_size": 64, "channels": 16}
    model = build_model({"task": "landmarks", **config})
    preprocessing = {"size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}
    checkpoint.save(tmp_path / "l.pt", task="landmarks", model=model, config=config, preprocessing=preprocessing)
    differences = export.export(tmp_path / "l.pt", "landmarks", tmp_path / "l.onnx")
    assert differences.keys() == {"landmarks", "confidence"} and max(differences.values()) <= 1e-3
    crops = np.random.default_rng(3).integers(0, 256, (3, 64, 64, 3), np.uint8)
    landmarks, confidence = session_of(tmp_path / "l.onnx").run(["landmarks", "confidence"], {"crops": crops})
    assert landmarks.shape == (3, 5, 2) and ((confidence >= 0) & (confidence <= 1)).all()


def test_a_network_that_differs_from_torch_is_not_written(siamese_file, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(FacecomError, match="w.onnx: .* differs from torch by .*not written"):
        export.export(siamese_file, "siamese", tmp_path / "w.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_command(siamese_file, tmp_path):
    command = [sys.executable, "-m", "facecom.export", "--task", "siamese", "--weights", siamese_file, "--output"]
    ran = subprocess.run([*command, tmp_path / "w.onnx"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.splitlines()
    assert first.startswith(f"wrote {tmp_path / 'w.onnx'} (") and first.endswith("opset 18)")
    assert second.startswith("largest difference from torch: embedding ")


def test_an_onnx_file_of_somebody_elses(tmp_path, siamese_onnx):
    model = onnx.load(str(siamese_onnx))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "other.onnx"))
    with pytest.raises(FacecomError, match="other.onnx: not written by `python -m facecom.export`"):
        facecom.FaceVerifier(tmp_path / "other.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(FacecomError, match="text.onnx: not an ONNX file, or a damaged one"):
        facecom.FaceVerifier(tmp_path / "text.onnx")
    with pytest.raises(FacecomError, match="these weights are for the task 'siamese', not 'gender'"):
        facecom.GenderPredictor(siamese_onnx)
