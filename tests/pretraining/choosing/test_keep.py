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
    curve = tmp_path / "legs.csv"
    curve.write_text("leg,photos,minutes,condition,tar\n1,2,1,clean,0.1\n2,9,9,clean,0.9\n")
    words = [str(run), "--leg", "2", "--output", str(tmp_path / "ema.pt"), "--curve", str(curve)]
    keep.main(keep.get_args_parser().parse_args(words))
    assert curve.read_text().splitlines()[1:] == ["1,2,1,clean,0.1", *(f"2,{line}" for line in lines[1:])]
    about = json.loads((tmp_path / "ema.json").read_text())
    assert about["photos"] == 7 and about["sha256"] == sha256((tmp_path / "ema.pt").read_bytes()).hexdigest()
    assert {c: row["tar"] for c, row in about["held_back"].items()} == {"clean": 0.7, "foggy": 0.6}
    assert torch.load(tmp_path / "ema.pt", weights_only=True)["photos"] == 7
