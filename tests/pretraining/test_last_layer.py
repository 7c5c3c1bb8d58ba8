"""The last layer that learns to tell people apart: its pairs, and that nothing else of a network changes."""

import numpy as np
import torch

from facecom.models import checkpoint
from facecom.models.networks import build_model
from pretraining import last_layer
from pretraining.choosing.candidates import open_candidate
from pretraining.targets.people import People
from tests.packed import pack


def test_pairs_are_two_photos_of_one_person():
    photos = np.array([0, 0, 1, 3, 3, 4, 5, 5, 6])
    people = np.array([7, 7, 7, 9, 9, 9, 2, 2, 2])
    pairs = last_layer.Pairs(photos, people, seed=0)
    for _ in range(20):
        one, other = pairs.draw(10)
        assert sorted(people[one]) == [2, 7, 9], "each person once"
        assert (people[one] == people[other]).all() and (photos[one] != photos[other]).all()
    assert len(pairs.draw(2)[0]) == 2


def test_people_come_apart_where_a_nuisance_kept_them_together():
    """Eight numbers say who it is, one much larger one how the photo was taken."""
    rng = np.random.default_rng(0)
    people, photos = np.repeat(np.arange(60), 4), np.arange(240)
    who = rng.normal(size=(60, 8))[people]
    hidden = torch.from_numpy(np.c_[who + 0.3 * rng.normal(size=who.shape), 9 * rng.normal(size=240)]).half()
    args = last_layer.get_args_parser().parse_args("x --crops x --output x --people 60 --steps 60 --lr 0.03".split())
    args.spring = 0.01

    def right(weight, bias):
        rows = torch.nn.functional.normalize(hidden.float() @ weight.T + bias, dim=1)
        near = (rows @ rows.T).fill_diagonal_(-2).argmax(1).numpy()
        return (people[near] == people).mean()

    start = torch.eye(9), torch.zeros(9)
    sources = np.zeros(240, int)
    weight, bias = last_layer.fit(hidden, last_layer.Pairs(photos, people, 0), sources, *start, args)
    assert right(*start) < 0.65 < 0.85 < right(weight, bias)
    args.spring = 1e4  # a hard spring holds it at its start
    held, _ = last_layer.fit(hidden, last_layer.Pairs(photos, people, 0), sources, *start, args)
    assert float((held - start[0]).abs().max()) < 0.1 < float((weight - start[0]).abs().max())


def test_only_the_last_layer_changes(tmp_path):
    (tmp_path / "crops").mkdir()
    crops = pack(tmp_path / "crops")
    config = {"task": "siamese", "backbone": "test_convnext", "img_size": 64, "quality": True}
    model, path, output = build_model(config), tmp_path / "before.pt", tmp_path / "after.pt"
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    about = {"args": {"frame": "close", "seed": 3}, "photos": 12, "minutes": 1.5}
    checkpoint.write({"config": config, "model": state} | about, path)
    words = f"{path} --crops {crops} --output {output} --steps 5 --people 8 --no-amp"
    last_layer.main(last_layer.get_args_parser().parse_args(words.split()))
    after, read_config, told = open_candidate(output)
    assert read_config == config and told["data"] == {"photos_seen": 12, "minutes": 1.5}
    assert told["args"]["last_layer"]["steps"] == 5 and told["args"]["seed"] == 3 and told["frame"] == "close"
    before = {k: v.float() for k, v in state.items()}
    changed = {name for name, value in after.state_dict().items() if not torch.equal(value.float(), before[name])}
    assert changed == {"projection.2.weight", "projection.2.bias"}
    assert (People(crops).labels >= 0).any(), "or nobody was told apart"
