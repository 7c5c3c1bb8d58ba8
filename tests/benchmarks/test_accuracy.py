"""The side-by-side script, on drawn people."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from scripts import module_of

from facecom.data import folders
from facecom.errors import FacecomError
from facecom.evaluation import results

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "accuracy.py"


@pytest.fixture(scope="module")
def accuracy():
    return module_of(SCRIPT)


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> Path:
    """An ONNX embedder as the public ones are: one photo at a time, normalised RGB in, not of unit length out."""
    onnx = pytest.importorskip("onnx")
    helper, numbers = onnx.helper, np.random.default_rng(0).normal(size=(3 * 14 * 14, 16)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["face"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "numbers"], ["embedding"]),
    ]
    face = helper.make_tensor_value_info("face", onnx.TensorProto.FLOAT, [1, 3, 112, 112])
    embedding = helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, [1, 16])
    weights = onnx.numpy_helper.from_array(numbers, "numbers")
    model = helper.make_model(
        helper.make_graph(nodes, "embedder", [face], [embedding], [weights]),
        opset_imports=[helper.make_opsetid("", 13)],
        ir_version=8,
    )
    path = tmp_path_factory.mktemp("onnx") / "public.onnx"
    onnx.save(model, path)
    return path


def run(accuracy, folder, output, *flags):
    argv = ["--data_dir", str(folder), "--output", str(output), "--resamples", "5", "--quiet", "--workers", "0", *flags]
    accuracy.main(accuracy.get_args_parser().parse_args(argv))
    return results.read_rows(output)


def test_side_by_side_and_again(accuracy, embedder, sample_b, tmp_path):
    pytest.importorskip("onnxruntime")
    output = tmp_path / "accuracy.csv"
    rows = run(accuracy, sample_b, output, "--baseline", "--onnx", str(embedder), "--align", "fixed", "off")
    assert list(rows[0])[:3] == ["embedder", "align", "protocol"]
    assert {(row["embedder"], row["align"]) for row in rows} == {
        ("untrained gradients", "off"),
        ("public", "fixed"),
        ("public", "off"),
    }
    clean = {r["protocol"]: r for r in rows if r["embedder"] == "public" and r["condition"] == "clean"}
    assert clean["cross-photo"]["count"] == 4 * 3 * 2  # 4 people in val, 3 photos each
    assert clean["threshold-transfer"]["count"] > 0  # an operating point was fixed on train
    # Again for one of them: its rows are replaced, not doubled, the others stay.
    assert len(run(accuracy, sample_b, output, "--baseline")) == len(rows)


def test_slices_by_severity_and_resolution(accuracy, sample_b, tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "SEVERITIES", (1, 5))
    monkeypatch.setattr(accuracy, "RESOLUTIONS", (56,))
    output = tmp_path / "accuracy.csv"
    rows = run(accuracy, sample_b, output, "--baseline", "--slices")
    sliced = {row["condition"] for row in rows if "@" in row["condition"]}
    assert {"noisy@1", "noisy@5", "occluded@1", "clean@56px"} <= sliced
    found = {(r["condition"], r["protocol"], r["metric"]): r for r in rows}
    assert found["sunny@1", "identification", "rank1"]["count"] == 12
    # A run without slices renews the others and leaves them.
    assert len(run(accuracy, sample_b, output, "--baseline")) == len(rows)


def test_an_onnx_file_is_fed_normalised_rgb(accuracy, embedder, sample_b):
    pytest.importorskip("onnxruntime")
    runner = accuracy.foreign(str(embedder), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    crops = np.random.default_rng(1).integers(0, 256, (3, 112, 112, 3), np.uint8)
    found, quality = runner.forward(crops)
    numbers = np.random.default_rng(0).normal(size=(3 * 14 * 14, 16)).astype(np.float32)
    for crop, embedding in zip(crops, found, strict=True):
        small = cv2.resize(crop.astype(np.float32), (14, 14), interpolation=cv2.INTER_AREA) / 255
        expected = ((small - (0.5, 0.4, 0.3)) / (0.2, 0.25, 0.3)).transpose(2, 0, 1).ravel() @ numbers
        np.testing.assert_allclose(embedding, expected / np.linalg.norm(expected), atol=1e-4)
    assert np.isnan(quality).all()
    with pytest.raises(FacecomError, match="none.onnx"):
        accuracy.foreign("none.onnx", (0.5,) * 3, (0.5,) * 3)


def test_labels_reach_every_copy(accuracy, sample_b, tmp_path):
    table = folders.task_b_table(sample_b / "val")
    files = table[table["condition"] == "clean"]["file"].str.rsplit("/", n=1).str[-1]
    labels = tmp_path / "gender.csv"
    lines = [f"val,{file},{'male' if i % 2 else 'female'},both" for i, file in enumerate(files)]
    labels.write_text("\n".join(["split,file,gender,second_opinion", *lines]))
    labelled = accuracy.labelled(table, "val", str(labels))
    assert labelled["file"].tolist() == table["file"].tolist()
    assert labelled.groupby("photo")["gender"].nunique().eq(1).all()
    assert set(labelled["gender"]) == {"male", "female"}
    assert "gender" not in accuracy.labelled(table, "val", None)


def test_gender_networks_on_every_condition(accuracy, sample_b, gender_file, tmp_path):
    table = folders.task_b_table(sample_b / "val")
    files = table[table["condition"] == "clean"]["file"].str.rsplit("/", n=1).str[-1]
    labels = tmp_path / "gender.csv"
    lines = [f"val,{file},{'male' if i % 2 else 'female'},male" for i, file in enumerate(files)]
    labels.write_text("\n".join(["split,file,gender,second_opinion", *lines]))
    output = tmp_path / "accuracy.csv"
    flags = ("--gender_weights", str(gender_file), "--name", "mine", "--gender_labels", str(labels), "--no-amp")
    rows = run(accuracy, sample_b, output, *flags, "--device", "cpu")
    found = {(r["embedder"], r["align"], r["condition"], r["metric"]): r for r in rows}
    assert found["mine", "off", "all", "accuracy"]["count"] == 96  # 12 photos in 8 conditions
    assert found["mine", "off", "sunny", "always_male"]["value"] == 0.5
    # Random weights know nothing, and a temperature of 2 has them say so more nearly.
    assert 0 <= found["mine", "off", "all", "ece"]["value"] < found["mine", "off", "all", "ece before"]["value"] <= 1
    with pytest.raises(FacecomError, match="--gender_labels"):
        run(accuracy, sample_b, output, "--gender_weights", str(gender_file))


def test_edgefaces_together_are_one_embedder(accuracy, sample_b, tmp_path, monkeypatch):
    from pretraining.targets import teachers

    def open_teacher(path):
        side = {"one.pt": 4, "other.pt": 8}[Path(path).name]

        def look(crops):
            small = np.stack([cv2.resize(crop, (side, side)).ravel() for crop in crops]).astype(np.float32) + 1
            return small / np.linalg.norm(small, axis=1, keepdims=True)

        return look

    monkeypatch.setattr(teachers, "open_teacher", open_teacher)
    flags = ("--edgeface", "one.pt", "other.pt", "--edgeface_weights", "2", "1", "--align", "fixed")
    rows = run(accuracy, sample_b, tmp_path / "accuracy.csv", *flags)
    assert {(row["embedder"], row["align"]) for row in rows} == {("one + other", "fixed")}
    assert any(row["metric"] == "tar@far=1e-4" for row in rows)
