"""Weight files from strangers: whatever they say, nothing runs, nothing is fetched, and one line says what is wrong."""

import copy
import os
import socket
import zipfile

import numpy as np
import pytest
import torch

from facecom.errors import FacecomError
from facecom.inference.ensemble import Ensemble
from facecom.models import checkpoint, initial, loading
from facecom.models.networks import build_model

CONFIG = {"task": "siamese", "backbone": "test_convnext", "pool": "map", "img_size": 32}
LOOK = {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3, "align": "off", "frame": "face", "mirror": False}
ODD = ["text", -1, [0, 0, 0], float("nan"), torch.zeros(3)]


@pytest.fixture(scope="module")
def good():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return {
        "format": 1, "task": "siamese", "model": build_model(CONFIG).state_dict(), "config": CONFIG,
        "preprocessing": LOOK, "operating_points": [{"threshold": 0.8, "far": 1e-3}], "temperature": None,
        "limits": None,
    }  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def reach(*_):
        raise AssertionError("a weight file reached for the network")

    monkeypatch.setattr(socket.socket, "connect", reach)
    monkeypatch.setattr(socket, "getaddrinfo", reach)


def changed(content, *where, to):
    """A copy of the content with one place in it changed; to: the value, or nothing to leave the place out."""
    content = {name: copy.copy(value) for name, value in content.items()}
    place = content
    for name in where[:-1]:
        place = place[name]
    place.pop(where[-1], None)
    if to is not ...:
        place[where[-1]] = to
    return content


def answer(content, folder):
    """What the file says about a photo: it either works, or is refused in a line that names it."""
    path = folder / "w.pt"
    torch.save(content, path)
    try:
        runner = loading.load(path, "siamese")
    except FacecomError as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error) and len(str(error)) < 400 + len(str(path))
        return str(error)
    ensemble = Ensemble([runner])
    answers = ensemble([np.zeros((40, 40, 3), np.uint8)])
    ensemble.templates(answers)
    assert np.isfinite(answers.outputs).all()
    return None


def test_the_file_that_the_others_are_made_from_works(good, tmp_path):
    assert answer(good, tmp_path) is None


@pytest.mark.parametrize("part", ["format", "task", "model", "config", "preprocessing", "operating_points",
                                  "temperature", "limits"])  # fmt: skip
def test_a_part_that_is_missing_or_odd(good, part, tmp_path):
    harmless = ("temperature", "limits", "operating_points")
    missing = answer(changed(good, part, to=...), tmp_path)
    assert missing is None if part in harmless else missing
    for value in ODD:
        assert answer(changed(good, part, to=value), tmp_path), value


@pytest.mark.parametrize("part", sorted(LOOK))
def test_preprocessing_that_is_missing_or_odd(good, part, tmp_path):
    missing = answer(changed(good, "preprocessing", part, to=...), tmp_path)
    assert missing is None if part in ("frame", "mirror") else "preprocessing cannot be as it says" in missing
    for value in ODD:
        if part == "mean" and value == [0, 0, 0]:
            continue
        if part == "frame" and value == "text":  # said where the crops are cut
            continue
        assert "preprocessing cannot be as it says" in answer(changed(good, "preprocessing", part, to=value), tmp_path)


@pytest.mark.parametrize(
    "name, value",
    [
        *(("backbone", name) for name in ("hf-hub:some/one", "hf_hub:a/b", "local-dir:/tmp", "a/b", "../x", None, 5)),
        ("pretrained", True),
        ("pretrained_cfg", {"url": "http://127.0.0.1/x"}),
        ("backbone_arguments", {"checkpoint_path": "/etc/passwd"}),
        ("backbone_arguments", {"pretrained": True}),
        ("backbone", "no_such_network"),
        ("backbone", "test_resnet"),
        ("unknown", 1),
        ("task", "gender"),
    ],
)
def test_a_network_from_elsewhere_is_not_built(good, name, value, tmp_path):
    found = answer(changed(good, "config", name, to=value), tmp_path)
    assert "config cannot be as it says" in found or "do not fit the network they name" in found
    if name != "backbone" or not str(value).isidentifier():
        assert name == "unknown" or "config cannot" in found


@pytest.mark.parametrize(
    "more",
    [
        {"backbone": "convnext_xxlarge"}, {"backbone": "eva_giant_patch14_224", "pool": "avg", "img_size": 224},
        {"backbone": "convnext_atto", "img_size": 1024}, {"img_size": 100_000}, {"img_size": 10**30},
        {"backbone": "vit_base_patch16_224", "pool": "avg", "img_size": 2048},
    ],
)  # fmt: skip
def test_a_small_file_that_names_a_huge_network(good, more, tmp_path):
    """Refused before its memory is touched: the largest of these would take 4 GB, or 600 GB."""
    resource = pytest.importorskip("resource", reason="memory is measured as on Unix")
    import timm  # its own memory does not count

    assert timm
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = answer(good | {"config": CONFIG | more}, tmp_path)
    assert "far larger than the" in found or "config cannot be as it says" in found
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # kB


@pytest.mark.parametrize(
    "points", [[{}], [1], "x", [{"threshold": "x"}], [{"threshold": float("nan")}], [{"threshold": 1, "far": 5}]]
)
def test_operating_points_that_cannot_be(good, points, tmp_path):
    assert "operating_points cannot be" in answer(good | {"operating_points": points}, tmp_path)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda w: torch.full_like(w, float("nan")), "some weights are not numbers"),
        (lambda w: torch.full_like(w, float("inf")), "some weights are not numbers"),
        (lambda w: torch.zeros(1).expand(10**12), "do not fit the network"),
        (lambda w: w[:1], "do not fit the network"),
        (lambda w: w.to_sparse(), "model cannot be"),
        (lambda w: w.to(torch.complex64), "model cannot be"),
        (lambda w: (w * 100).to(torch.int8), "model cannot be"),
        (lambda w: w.to("meta"), "not a weight file|do not fit|model cannot be"),
        (lambda w: "text", "model cannot be"),
        (lambda w: ..., "do not fit the network"),
    ],
)
def test_weights_that_cannot_be(good, change, said, tmp_path):
    name = "projection.0.weight"
    found = answer(changed(good, "model", name, to=change(good["model"][name])), tmp_path)
    assert any(part in found for part in said.split("|"))
    assert answer(changed(good, "model", "one.more", to=torch.zeros(1)), tmp_path)


def test_weights_packed_smaller_than_they_are(good, tmp_path):
    """torch would unpack them: 40 MB from a few kilobytes here, any amount from a stranger."""
    content = good | {"model": {name: torch.zeros_like(value) for name, value in good["model"].items()}}
    torch.save(content | {"more": torch.zeros(10_000_000)}, tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain:
        with zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
    assert (tmp_path / "packed.pt").stat().st_size < 1_000_000
    with pytest.raises(FacecomError, match=r"packed\.pt: 4\d,\d+,\d+ bytes packed into fewer"):
        loading.load(tmp_path / "packed.pt", "siamese")
    loading.load(tmp_path / "plain.pt", "siamese")


def test_bare_files_of_nonsense(tmp_path):
    for content in ({"encoder.stem.0.weight": "x", "projection.0.weight": 1}, {5: torch.zeros(2)}, {"format": 2}):
        assert answer(content, tmp_path)


@pytest.mark.parametrize("name", ["pipe.pt", "pipe.onnx"])
@pytest.mark.timeout(20)
def test_a_pipe_is_not_waited_for(name, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    os.mkfifo(tmp_path / name)
    with pytest.raises(FacecomError, match=rf"{name}: that is a pipe, not a file: save the weights as a file"):
        loading.load(tmp_path / name, "siamese")


@pytest.mark.timeout(20)
def test_a_training_does_not_wait_for_a_pipe_either(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(FacecomError, match=r"pipe\.pt: that is a pipe, not a file"):
        initial.initial_model("siamese", str(tmp_path / "pipe.pt"))


@pytest.mark.parametrize("path, kind", [("/dev/null", "device"), ("socket", "socket")])
def test_what_else_is_no_file(path, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket")
        with pytest.raises(FacecomError, match=f"^{path}: that is a {kind}, not a file"):
            checkpoint.read(path)


@pytest.mark.parametrize("protocol", [4, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_late_pickle_protocol_is_named(good, protocol, zipped, tmp_path):
    path = tmp_path / "w.pt"
    torch.save(good["model"], path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(FacecomError, match=rf"w\.pt: saved with pickle protocol {protocol}, .*torch\.save's default$"):
        checkpoint.read(path)
    torch.save(good["model"], path, _use_new_zipfile_serialization=zipped)
    checkpoint.read(path)


def test_a_torchscript_program_is_called_one(tmp_path):
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(tmp_path / "w.pt"))
    with pytest.raises(FacecomError, match=r"w\.pt: a TorchScript program, .*: save its state_dict by torch\.save$"):
        checkpoint.read(tmp_path / "w.pt")


@pytest.mark.parametrize("name", ["w.pt", "w.onnx"])
def test_a_file_that_may_not_be_read(name, tmp_path, monkeypatch):
    """Root may read everything: such a test becomes somebody else for a moment."""
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / name).chmod(0)
    mine = os.geteuid()
    os.seteuid(mine or 65534)
    try:
        with pytest.raises(FacecomError, match=rf"{name}: cannot be read \(Permission denied\): check the path"):
            loading.load(name, "siamese")
    finally:
        os.seteuid(mine)


@pytest.mark.parametrize("suffix", [".pt", ".onnx"])
def test_a_name_that_is_too_long(suffix):
    pytest.importorskip("onnxruntime", reason="needs the extra export")
    with pytest.raises(FacecomError, match=r"xx\.\w+: cannot be read \(File name too long\): check the path"):
        loading.load("x" * 300 + suffix, "siamese")
