"""What is changed, one at a time, in training on one's own people."""

from pathlib import Path
from types import SimpleNamespace

import cv2
import torch
from scripts import module_of

from facecom.training.finetuning import anchored, layers
from facecom.training.siamese import SiameseJob

ROOT = Path(__file__).resolve().parents[2]
ingredients = module_of(ROOT / "benchmarks" / "ingredients.py")


def test_every_pair_is_every_pair_of_two_photos():
    embeddings = torch.nn.functional.normalize(torch.arange(15.0).view(5, 3) - 4, dim=1)
    people, photos = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 0, 1, 2, 3])  # the first two: one photo twice
    first, second, same = ingredients.every_pair(embeddings, people, photos)
    found = {(min(a, b), max(a, b)): bool(one) for a, b, one in zip(first.tolist(), second.tolist(), same, strict=True)}
    assert len(first) == len(found)
    assert {pair for pair, one in found.items() if one} == {(0, 2), (1, 2), (3, 4)}
    assert {pair for pair, one in found.items() if not one} == {(a, b) for a in (0, 1, 2) for b in (3, 4)}


def test_one_thing_is_changed_for_as_long_as_it_is_measured():
    usual = SiameseJob, anchored.hard_pairs, layers.SLOWER, anchored.Anchored.__init__.__defaults__
    seen = {}
    for way in ingredients.WAYS:
        with ingredients.changed(way) as flags:
            now = (
                ingredients.job.SiameseJob, anchored.hard_pairs, layers.SLOWER, anchored.Anchored.__init__.__defaults__,
            )  # fmt: skip
            seen[way] = flags, sum(a is not b and a != b for a, b in zip(usual, now, strict=True))
    assert all(bool(flags) + changes == (way != "as it is") for way, (flags, changes) in seen.items())
    assert (ingredients.job.SiameseJob, anchored.hard_pairs, layers.SLOWER) == usual[:3]


def test_weights_between_and_averages():
    before, now = {"w": torch.tensor([0.0, 2.0])}, {"w": torch.tensor([1.0, 0.0])}
    between = ingredients.Between.others(SimpleNamespace(before=before, trained=now))
    assert [one["w"].tolist() for one in between] == [[0.25, 1.5], [0.5, 1.0], [0.75, 0.5], [1.0, 0.0]]
    averaged = ingredients.Averaged.__new__(ingredients.Averaged)
    averaged.model = SimpleNamespace(state_dict=lambda: now)
    averaged.average = {"w": torch.tensor([0.0, 2.0])}
    with ingredients.mock.patch.object(SiameseJob, "loss", lambda self, batch: batch):
        for _ in range(ingredients.HALF_LIFE):
            averaged.loss(None)
    torch.testing.assert_close(averaged.average["w"], torch.tensor([0.5, 1.0]))


def test_an_update_of_low_rank_learns_what_the_chain_rule_says():
    """Against a layer that computes with up and down themselves."""
    weight = torch.nn.Parameter(torch.randn(6, 5, 1, 1))
    before, x = weight.detach().clone(), torch.randn(4, 5, 3, 3)
    one = ingredients.Update(weight, lr=0.1)
    with torch.no_grad():
        one.up.normal_()
    one.put()
    up, down = (part.detach().clone().requires_grad_() for part in (one.up, one.down))
    for _ in range(2):  # what one step leaves behind does not count in the next
        torch.nn.functional.conv2d(x, weight).pow(2).sum().backward()
        one.take()
    torch.nn.functional.conv2d(x, before + (up @ down)[:, :, None, None]).pow(2).sum().backward()
    torch.testing.assert_close(one.up.grad, up.grad)
    torch.testing.assert_close(one.down.grad, down.grad)
    assert torch.linalg.matrix_rank((weight - before).detach().flatten(1)) <= ingredients.RANK


def test_of_low_rank_only_the_projection_learns_whole(tmp_path):
    """A run of an epoch on drawn people: the 1 x 1 convolutions change by so low a rank, other layers do not."""
    from facecom.models import checkpoint
    from facecom.synthetic import draw_person

    for person in range(14):
        for photo in range(3):
            place = tmp_path / "own" / "train" / f"p{person}" / f"{photo}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(place), draw_person(person, photo, 96)[0])
    last = ingredients.trained("updates of low rank", tmp_path / "own", 1)["last"]
    shipped, made = checkpoint.load(None, "siamese").model, checkpoint.load(last, "siamese").model
    changed = {name for name, value in made.named_parameters() if not torch.equal(value, shipped.get_parameter(name))}
    assert {name for name in changed if name.startswith("projection")}
    inner = [name for name in changed if name.startswith("encoder")]
    assert inner and all(shipped.get_parameter(name).shape[2:] == (1, 1) for name in inner)
    for name in inner:
        update = (made.get_parameter(name) - shipped.get_parameter(name)).detach().flatten(1)
        values = torch.linalg.svdvals(update)
        assert values[ingredients.RANK] < 0.01 * values[0]  # what is left is float32's
