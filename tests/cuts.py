"""A training of four short epochs, and whether two of them are the same to the bit."""

import torch
from scripts import run

from facecom.models import checkpoint

TINY = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --no-amp --conditions none"
TINY += " --epochs 4 --batch_size 2 --workers 0"


def train(task, data, folder, *flags):
    where = ("--data_dir", data, "--run_dir", folder / "run", "--output", folder / "w" / "best.pt")
    assert run(task, *where, *TINY.split(), *flags, script="train") == 0


def same_run(one, other):
    """Bit for bit: weights, optimizer, figures, counters."""
    for name in ("run/last.pt", "run/best.pt", "w/best.pt"):
        left, right = checkpoint.read(one / name), checkpoint.read(other / name)
        for content in (left, right):
            content.pop("args")
        assert equal(left, right), name
    assert (one / "run/log.csv").read_bytes() == (other / "run/log.csv").read_bytes()


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other or (one != one and other != other)
