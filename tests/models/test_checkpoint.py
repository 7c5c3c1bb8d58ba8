import argparse
import os
import pickle

import numpy as np
import pytest
import torch

from facecom.errors import FacecomError
from facecom.models import checkpoint
from facecom.models.networks import GenderClassifier, SiameseNet, build_model

CONFIG = {"backbone": "test_convnext", "pool": "map", "img_size": 32}
PREPROCESSING = {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "fixed", "colour": "rgb"}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def saved(tmp_path, **more):
    torch.manual_seed(0)
    model = build_model({"task": "siamese", **CONFIG})
    path = tmp_path / "a.pt"
    checkpoint.save(path, task="siamese", model=model, config=CONFIG, preprocessing=PREPROCESSING, **more)
    return path, model


def test_round_trip_needs_nothing_but_the_file(tmp_path):
    point = {"threshold": np.float64(0.75), "far": 1e-3, "genuine": np.int64(7), "impostor": 9000, "identities": 20}
    path, model = saved(tmp_path, operating_points=[point], args={"data_dir": tmp_path, "lr": 1e-4}, epoch=3)
    loaded = checkpoint.load(path, "siamese")
    assert loaded.config == {"task": "siamese", **CONFIG}
    assert loaded.preprocessing == {**PREPROCESSING, "mean": [0.5] * 3, "std": [0.5] * 3}
    assert loaded.operating_points == [{**point, "threshold": 0.75, "genuine": 7}]
    assert type(loaded.operating_points[0]["threshold"]) is float
    assert loaded.temperature == 1.0
    assert loaded.info["args"] == {"data_dir": str(tmp_path), "lr": 1e-4}
    assert loaded.info["epoch"] == 3 and loaded.info["versions"]["torch"] == torch.__version__.split("+")[0]
    assert not loaded.model.training
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.model.state_dict()[name]), name


def test_half_is_half_as_large_and_loads_as_float32(tmp_path):
    path, model = saved(tmp_path)
    full = path.stat().st_size
    checkpoint.save(path, task="siamese", model=model, config=CONFIG, preprocessing=PREPROCESSING, half=True)
    assert path.stat().st_size < 0.7 * full
    weight = checkpoint.load(path, "siamese").model.projection[0].weight
    assert weight.dtype == torch.float32
    assert torch.equal(weight, model.projection[0].weight.half().float())


def test_the_file_is_readable_by_the_safe_loader_alone(tmp_path):
    path, _ = saved(tmp_path)
    assert set(torch.load(path, weights_only=True)) == {
        "format", "task", "model", "config", "preprocessing", "operating_points", "temperature", "limits", "args",
        "epoch", "metrics", "data", "adaptation", "versions", "training",
    }  # fmt: skip


def test_what_is_not_plain_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="plain values only, not object"):
        saved(tmp_path, args={"x": object()})
    assert list(tmp_path.iterdir()) == []


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("bomb",)


@pytest.mark.parametrize(
    "write", [lambda p: torch.save({"model": Bomb()}, p), lambda p: p.write_bytes(pickle.dumps(Bomb()))]
)
def test_a_pickle_that_runs_code_is_not_run(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "bad.pt")
    with pytest.raises(FacecomError, match=r"bad\.pt: holds more than weights .*and could run code"):
        checkpoint.load(tmp_path / "bad.pt", "siamese")
    assert not (tmp_path / "bomb").exists()


@pytest.mark.parametrize("content", [b"", b"hello, this is a text file\n", b"PK\x03\x04 broken zip", b"\x80\x02broken"])
def test_a_file_that_is_no_weight_file(tmp_path, content):
    path = tmp_path / "photo.pt"
    path.write_bytes(content)
    with pytest.raises(FacecomError, match=r"photo\.pt: not a weight file"):
        checkpoint.load(path, "siamese")


def test_a_truncated_checkpoint(tmp_path):
    path, _ = saved(tmp_path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(FacecomError, match="not a weight file, or a damaged one"):
        checkpoint.load(path, "siamese")


def test_missing_folder_and_wrong_task(tmp_path):
    with pytest.raises(FacecomError, match="no such weight file"):
        checkpoint.load(tmp_path / "none.pt", "siamese")
    with pytest.raises(FacecomError, match="that is a folder"):
        checkpoint.load(tmp_path, "siamese")
    path, _ = saved(tmp_path)
    with pytest.raises(FacecomError, match="for the task 'siamese', not 'gender'"):
        checkpoint.load(path, "gender")
    torch.save(torch.zeros(3), path)
    with pytest.raises(FacecomError, match="holds no weights"):
        checkpoint.load(path, "siamese")


def test_weights_that_do_not_fit(tmp_path):
    path, model = saved(tmp_path)
    checkpoint.save(path, task="siamese", model=model, config={**CONFIG, "pool": "avg"}, preprocessing=PREPROCESSING)
    with pytest.raises(FacecomError, match="do not fit the network they name"):
        checkpoint.load(path, "siamese")


def test_published_siamese_weights(tmp_path):
    torch.manual_seed(1)
    model = SiameseNet("convnext_atto", img_size=224).eval()
    torch.save(model.state_dict(), tmp_path / "best_siamese_convnext.pt")
    loaded = checkpoint.load(tmp_path / "best_siamese_convnext.pt", "siamese")
    assert loaded.config["backbone"] == "convnext_atto"
    assert loaded.preprocessing["size"] == 224 and loaded.preprocessing["align"] == "off"
    assert tuple(loaded.preprocessing["mean"]) == (0.5, 0.5, 0.5) == tuple(loaded.preprocessing["std"])
    assert loaded.operating_points[0]["threshold"] == 0.5
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded.model.embed(x), model.embed(x))


@pytest.mark.parametrize("backbone", ["convnext_atto", "convnext_tiny"])
def test_published_gender_weights(tmp_path, backbone):
    model = GenderClassifier(backbone, img_size=224)
    torch.save(model.state_dict(), tmp_path / "best.pth")
    loaded = checkpoint.load(tmp_path / "best.pth", "gender")
    assert loaded.config["backbone"] == backbone
    assert tuple(loaded.preprocessing["mean"]) == (0, 0, 0) and tuple(loaded.preprocessing["std"]) == (1, 1, 1)
    assert loaded.operating_points == []
    with pytest.raises(FacecomError, match="not 'siamese'"):
        checkpoint.load(tmp_path / "best.pth", "siamese")


def test_a_state_dict_of_another_network(tmp_path):
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "linear.pt")
    with pytest.raises(FacecomError, match="neither a facecom checkpoint nor the published"):
        checkpoint.load(tmp_path / "linear.pt", "gender")
    torch.save(GenderClassifier("test_resnet").state_dict(), tmp_path / "resnet.pt")
    with pytest.raises(FacecomError, match="none of timm's ConvNeXt sizes"):
        checkpoint.load(tmp_path / "resnet.pt", "gender")


@pytest.mark.parametrize("wrapper", [None, "model_state_dict", "state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_published_weights_as_people_save_them(tmp_path, wrapper, prefix):
    """By DataParallel, by torch.compile, with the optimizer and NumPy's numbers beside them."""
    torch.manual_seed(1)
    model = SiameseNet("convnext_atto", img_size=224).eval()
    state = {prefix + name: value for name, value in model.state_dict().items()}
    beside = {"epoch": 3, "best_acc": np.float64(0.9), "history": np.arange(3.0), "steps": np.int64(7)}
    optimizer = {"optimizer": torch.optim.AdamW(model.parameters()).state_dict()}
    torch.save(state if wrapper is None else {wrapper: state} | beside | optimizer, tmp_path / "w.pt")
    loaded = checkpoint.load(tmp_path / "w.pt", "siamese")
    assert torch.equal(loaded.model.projection[2].weight, model.projection[2].weight)


def test_what_is_in_the_way_of_a_safe_load_is_named(tmp_path):
    torch.save({"model": {}, "args": argparse.Namespace(lr=1)}, tmp_path / "w.pt")
    with pytest.raises(FacecomError, match=r"holds more than weights \(argparse.Namespace\) and could run code"):
        checkpoint.load(tmp_path / "w.pt", "siamese")
    torch.save(SiameseNet("test_convnext", img_size=32), tmp_path / "module.pt")
    with pytest.raises(FacecomError, match=r"holds more than weights \(facecom.models.networks.SiameseNet\)"):
        checkpoint.load(tmp_path / "module.pt", "siamese")


WRAPPED = {
    "one in another": lambda state: {"model": {"state_dict": state}, "optimizer": {"lr": 1.0}},
    "three deep": lambda state: {"checkpoint": {"model": {"model_state_dict": state}}, "epoch": 3},
    "capitals": lambda state: {"MODEL": state, "EPOCH": 3},
    "Lightning's": lambda state: {"state_dict": {f"model.{name}": value for name, value in state.items()}},
    "twice parallel": lambda state: {f"module.module.{name}": value for name, value in state.items()},
    "all at once": lambda state: {
        "Checkpoint": {"weights": {f"module._orig_mod.net.{n}": v for n, v in state.items()}}
    },
}


@pytest.mark.parametrize("way", WRAPPED)
def test_wrappers_round_wrappers_are_opened(way, tmp_path, siamese_file):
    """Of the published weights, of a checkpoint of facecom, and of the weights in one."""
    state = {n: v for n, v in SiameseNet("convnext_atto", img_size=32).state_dict().items() if "quality" not in n}
    torch.save(WRAPPED[way](state), tmp_path / "published.pt")
    found = checkpoint.load(tmp_path / "published.pt", "siamese").model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    own = checkpoint.read(siamese_file)
    weights = checkpoint.load(siamese_file, "siamese").model.state_dict()
    inside = WRAPPED[way](own["model"])
    whole = [own | {"model": inside}, WRAPPED["three deep"](own | {"model": inside})]
    for content in whole:
        torch.save(content, tmp_path / "own.pt")
        loaded = checkpoint.load(tmp_path / "own.pt", "siamese")
        assert all(torch.equal(value, weights[name]) for name, value in loaded.model.state_dict().items())
        assert loaded.operating_points == own["operating_points"]


def test_a_wrapper_does_not_hide_a_newer_format_or_a_circle(tmp_path, siamese_file):
    own = checkpoint.read(siamese_file)
    torch.save({"model": {"checkpoint": own | {"format": 99}}}, tmp_path / "new.pt")
    with pytest.raises(FacecomError, match="checkpoint format 99 is not known here"):
        checkpoint.load(tmp_path / "new.pt", "siamese")
    circle: dict = {"epoch": 3}
    circle["model"] = circle
    torch.save(circle, tmp_path / "circle.pt")
    with pytest.raises(FacecomError, match="circle.pt: "):
        checkpoint.load(tmp_path / "circle.pt", "siamese")


def test_no_shipped_weights_lose_a_name():
    for path in sorted(checkpoint.SHIPPED.glob("*.pt")):
        assert checkpoint.read(path)["model"].keys() == torch.load(path, weights_only=True)["model"].keys(), path


def test_what_cannot_be_written_leaves_the_older_file(tmp_path, monkeypatch):
    path, link = tmp_path / "a.pt", tmp_path / "link.pt"
    link.symlink_to(path)
    checkpoint.write({"step": 1, "place": (1, 2)}, link)
    assert torch.load(path, weights_only=True) == {"step": 1, "place": (1, 2)}  # as it was given

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("facecom.files.os.fsync", full)
    with pytest.raises(FacecomError, match="the disk is full"):
        checkpoint.write({"step": 2}, link)
    assert torch.load(path, weights_only=True)["step"] == 1
    assert sorted(tmp_path.iterdir()) == [path, link]
