"""What only a CUDA device can show: half precision with its scaler, NCCL, and the same answers as on a CPU.

    pytest -m cuda

Skipped without a device; `python benchmarks/cuda.py` runs them and the measurements there in five minutes.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scripts import train

from facecom import FaceVerifier, GenderPredictor, cli
from facecom.errors import FacecomError
from facecom.models import checkpoint

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

TINY = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --quiet --batch_size 4 --workers 0"


def run(task, data, folder, *more):
    flags = ["--data_dir", data, "--run_dir", folder / "run", "--output", folder / "best.pt", *TINY.split()]
    train(task, *flags, "--device", "cuda", *more)
    return checkpoint.read(folder / "run" / "last.pt")


def same(one, other, tolerance):
    for name, value in one["model"].items():
        torch.testing.assert_close(value, other["model"][name], atol=tolerance, rtol=1e-3, msg=name)


@pytest.mark.parametrize("task", ["A", "B"])
def test_training_in_half_precision_scales_its_gradients_and_resumes(task, sample_a, sample_b, tmp_path, monkeypatch):
    data = {"A": sample_a, "B": sample_b}[task]
    assert cli.pick_amp(True, torch.device("cuda")) == torch.float16
    whole = run(task, data, tmp_path / "whole", "--epochs", 2, "--amp")
    scaler = whole["training"]["scaler"]
    assert scaler["scale"] > 0 and scaler["_growth_tracker"] >= 0
    assert all(torch.isfinite(value).all() for value in whole["model"].values() if value.is_floating_point())
    assert np.isfinite(whole["metrics"]["train_loss"])

    from facecom.training import loop

    real = loop.write_log

    def stops(path, rows):
        real(path, rows)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "write_log", stops)
    with pytest.raises(KeyboardInterrupt):
        run(task, data, tmp_path / "cut", "--epochs", 2, "--amp")
    monkeypatch.setattr(loop, "write_log", real)
    train(task, "--run_dir", tmp_path / "cut" / "run", "--resume")
    cut = checkpoint.read(tmp_path / "cut" / "run" / "last.pt")
    assert cut["epoch"] == 2 and cut["training"]["scaler"] == scaler
    same(whole, cut, 1e-3)  # kernels of CUDA need not be the same to the bit


@pytest.mark.parametrize("task", ["A", "B"])
def test_one_process_of_torchrun_is_the_run_without_it(task, sample_a, sample_b, tmp_path):
    data = {"A": sample_a, "B": sample_b}[task]
    alone = run(task, data, tmp_path / "alone", "--epochs", 1, "--no-amp")
    folder, script = tmp_path / "nccl", ROOT / f"comsys-hackathon-task{task}" / "train.py"
    flags = ["--data_dir", data, "--run_dir", folder / "run", "--output", folder / "best.pt", *TINY.split()]
    words = [script, *flags, "--device", "cuda", "--epochs", 1, "--no-amp"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=1", "--standalone"]
    done = subprocess.run([*launch, *map(str, words)], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    same(alone, checkpoint.read(folder / "run" / "last.pt"), 1e-3)


def test_more_processes_than_devices_are_refused(sample_b, tmp_path):
    count = torch.cuda.device_count() + 1
    script = ROOT / "comsys-hackathon-taskB" / "train.py"
    launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={count}", "--standalone", script]
    done = subprocess.run([*map(str, launch), "--data_dir", sample_b, "--run_dir", tmp_path / "run", "--output",
                           tmp_path / "best.pt", "--device", "cuda"], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})  # fmt: skip
    assert done.returncode != 0 and "CUDA devices for" in done.stderr and not (tmp_path / "best.pt").exists()


def photos_of(folder):
    return sorted(map(str, folder.rglob("*.jpg")))[:32]


def test_embeddings_are_those_of_a_cpu(sample_b):
    photos = photos_of(sample_b / "val")
    truth = FaceVerifier(device="cpu", amp=False).embed(photos)
    np.testing.assert_allclose(FaceVerifier(device="cuda", amp=False).embed(photos), truth, atol=2e-3)
    half = FaceVerifier(device="cuda", amp=True).embed(photos)
    assert (half * truth).sum(1).min() > 0.99
    faces = [FaceVerifier(device=device, amp=False).faces(photos[:8]) for device in ("cpu", "cuda")]
    assert len(faces[0]) == len(faces[1])
    np.testing.assert_allclose(faces[1].x.to_numpy(float), faces[0].x.to_numpy(float), atol=1)


def test_gender_is_that_of_a_cpu(sample_a):
    photos = photos_of(sample_a / "val")
    truth, found = (GenderPredictor(device=device, amp=False).predict(photos).p_female for device in ("cpu", "cuda"))
    np.testing.assert_allclose(found.astype(float), truth.astype(float), atol=5e-3)


@pytest.mark.parametrize("task", ["A", "B"])
def test_the_test_script_answers_as_on_a_cpu(task, sample_a, sample_b, tmp_path):
    data = {"A": sample_a, "B": sample_b}[task] / "val"
    script = ROOT / f"comsys-hackathon-task{task}" / "test.py"
    tables = []
    for device in ("cpu", "cuda"):
        output = tmp_path / f"{device}.csv"
        words = [script, "--img_dir", data, "--output", output, "--device", device, "--no-amp", "--quiet"]
        subprocess.run([sys.executable, *map(str, words)], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        with open(output, newline="") as file:
            tables.append(list(csv.DictReader(file)))
    column = {"A": "p_female", "B": "distance"}[task]
    first, second = ([float(row[column]) for row in table] for table in tables)
    np.testing.assert_allclose(second, first, atol=5e-3)


def test_a_corpus_is_that_of_a_cpu(sample_b, tmp_path):
    pytest.importorskip("pyarrow", reason="needs the extra ray")
    import pandas as pd

    from facecom.inference.corpus.run import embed_corpus
    from facecom.inference.corpus.shards import Photos

    for device in ("cpu", "cuda"):
        network = {"weights": [], "device": device, "amp": False}
        embed_corpus(Photos(sample_b / "val"), tmp_path / device, network, {"faces": "one", "workers": 0})
    first, second = (pd.read_parquet(tmp_path / device).sort_values("file") for device in ("cpu", "cuda"))
    np.testing.assert_allclose(np.stack(second.embedding), np.stack(first.embedding), atol=2e-3)


def test_a_device_that_is_not_there_is_said(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(FacecomError, match="--device cuda: no CUDA device is usable here"):
        cli.pick_device("cuda")
