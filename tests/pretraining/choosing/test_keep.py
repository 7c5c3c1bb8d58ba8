"""Weights of a leg kept for the next one."""

import json
from hashlib import sha256

import torch

from pretraining.choosing import keep


def test_a_leg_is_kept_with_its_figures(tmp_path):
    run = tmp_path / "leg"
    run.mkdir()
    content = {
        "model": {"x": torch.ones(2).half()},
        "config": {"task": "siamese"},
        "photos": 7,
        "minutes": 1.0,
        "args": {},
    }
    torch.save(content, run / "ema.pt")
    lines = ["photos,minutes,condition,tar", "3,1,clean,0.5", "3,1,foggy,0.4", "7,2,clean,0.7", "7,2,foggy,0.6"]
    (run / "validation.csv").write_text("\n".join(lines) + "\n")
    keep.main(keep.get_args_parser().parse_args([str(run), "--output", str(tmp_path / "ema.pt")]))
    about = json.loads((tmp_path / "ema.json").read_text())
    assert about["photos"] == 7 and about["sha256"] == sha256((tmp_path / "ema.pt").read_bytes()).hexdigest()
    assert {c: row["tar"] for c, row in about["held_back"].items()} == {"clean": 0.7, "foggy": 0.6}
    assert torch.load(tmp_path / "ema.pt", weights_only=True)["photos"] == 7
