"""ONNX files, ours and strangers': they read nothing else, and one line says what is wrong."""

import json
import re

import numpy as np
import pytest

from facecom.errors import FacecomError
from facecom.models import loading

LOOK = {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "align": "off", "frame": "face", "mirror": False}

#: Ways to write that a text of eight bytes follows as the key of external data.
PLAIN = b"\x0a\x08"
OVERLONG = [PLAIN, b"\x0a\x88\x00", b"\x8a\x00\x08", b"\x8a\x80\x00\x88\x80\x80\x00", b"\x8a\x80\x80\x80\x10\x08"]


def onnx_file(path, task="siamese", out=128, settings=..., external=None, written=PLAIN):
    """A network in ONNX that gives the same for every crop. written: of `OVERLONG`."""
    onnx = pytest.importorskip("onnx", reason="needs the extra export")
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    weights = numpy_helper.from_array(np.ones((3, out), np.float32), "w")
    if external:
        weights = onnx.TensorProto(name="w", data_type=1, dims=[3, out], data_location=1)
    nodes = [
        helper.make_node("Cast", ["crops"], ["x"], to=1),
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["embedding"]),
    ]
    axes = numpy_helper.from_array(np.array([1, 2]), "axes")
    entry = helper.make_tensor_value_info("crops", onnx.TensorProto.UINT8, ["n", 32, 32, 3])
    result = helper.make_tensor_value_info("embedding", 1, ["n", out])
    graph = helper.make_graph(nodes, "g", [entry], [result], [axes] if external else [weights, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    about = {"task": task, "preprocessing": LOOK, "operating_points": [{"threshold": 1.0, "far": None}], "limits": {}}
    text = json.dumps(about) if settings is ... else settings
    if text is not None:
        helper.set_model_props(model, {loading.ONNX_KEY: text})
    raw = model.SerializeToString()
    if external:  # behind the rest: parts of one graph are merged
        told = written + b"location\x12" + field(external.encode())
        raw += b"\x3a" + field(b"\x2a" + field(weights.SerializeToString() + b"\x6a" + field(told)))
    path.write_bytes(raw)
    return path


def field(content):
    """Bytes as Protobuf holds them, fewer than 128."""
    return bytes([len(content)]) + content


def test_onnx_that_works(tmp_path):
    runner = loading.load(onnx_file(tmp_path / "w.onnx"), "siamese")
    assert runner.forward(np.zeros((3, 32, 32, 3), np.uint8))[0].shape == (3, 128)


@pytest.mark.parametrize("written", OVERLONG)
@pytest.mark.parametrize("seen", [True, False])
def test_onnx_that_hides_that_it_reads_other_files(tmp_path, monkeypatch, written, seen):
    """Protobuf takes numbers in more bytes than they need. seen: the bytes are known here, or onnxruntime alone
    refuses, which has no folder to look in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(np.arange(384, dtype=np.float32).tobytes())
    path = onnx_file(tmp_path / "w.onnx", external="secret.bin", written=written)
    if not seen:
        monkeypatch.setattr(loading, "EXTERNAL", re.compile(b"nothing like it"))
    with pytest.raises(FacecomError, match=r"w.onnx: keeps its weights in another file, .* export it as one file"):
        loading.load(path, "siamese")


def test_onnxruntimes_own_format_is_refused(tmp_path):
    """It has ways of its own to name other files."""
    path = onnx_file(tmp_path / "plain.onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.optimized_model_filepath = str(tmp_path / "w.onnx")
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    assert b"ORTM" in (tmp_path / "w.onnx").read_bytes()[:16]
    with pytest.raises(FacecomError, match=r"w\.onnx: not an ONNX file, or a damaged one"):
        loading.load(tmp_path / "w.onnx", "siamese")


@pytest.mark.parametrize("external", ["../secret.bin", "/etc/passwd", "secret.bin"])
def test_onnx_that_reads_other_files(tmp_path, external):
    (tmp_path / "in").mkdir()
    for folder in (tmp_path, tmp_path / "in"):
        (folder / "secret.bin").write_bytes(np.arange(384, dtype=np.float32).tobytes())
    path = onnx_file(tmp_path / "in" / "w.onnx", external=external)
    with pytest.raises(FacecomError, match=r"w.onnx: keeps its weights in another file, .* export it as one file"):
        loading.load(path, "siamese")


@pytest.mark.parametrize(
    "settings, said",
    [
        (None, "not written by `python -m facecom.export`"),
        ("{", "its settings .* are damaged"),
        ("[]", "for the task None"),
        (json.dumps({"task": "siamese"}), "preprocessing is missing"),
        (json.dumps({"task": "siamese", "preprocessing": LOOK | {"std": [0, 1, 1]}}), "preprocessing cannot be"),
        (json.dumps({"task": "siamese", "preprocessing": LOOK | {"size": 48}}), "cannot be run"),
        (json.dumps({"task": "siamese", "preprocessing": LOOK, "limits": {"quality": "x"}}), "limits cannot be"),
        (json.dumps({"task": "gender", "preprocessing": LOOK}), "for the task 'gender'"),
    ],
)
def test_onnx_with_settings_that_cannot_be(tmp_path, settings, said):
    path = onnx_file(tmp_path / "w.onnx", settings=settings)
    with pytest.raises(FacecomError, match=said) as caught:
        loading.load(path, "siamese")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_onnx_that_gives_something_else(tmp_path):
    path = onnx_file(tmp_path / "w.onnx", "gender")
    with pytest.raises(FacecomError, match="does not give what gender needs"):
        loading.load(path, "gender")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(FacecomError, match="not an ONNX file, or a damaged one"):
        loading.load(path, "gender")
