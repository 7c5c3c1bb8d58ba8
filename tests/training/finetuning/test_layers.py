import pytest
import torch

from facecom.models.networks import build_model
from facecom.training.finetuning import layers


def network(**more):
    torch.manual_seed(0)
    return build_model({"task": "siamese", "backbone": "test_convnext", "img_size": 32, "quality": True} | more)


def test_the_top_is_the_projection_alone():
    model = network(pool="map")
    (group,) = layers.learning(model, "top", 0.1)
    assert group["lr"] == 0.1
    assert {id(p) for p in group["params"]} == {id(p) for p in model.projection.parameters()}
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {"projection"}


@pytest.mark.parametrize("backbone, pool", [("test_convnext", "map"), ("mobilenetv3_small_050", "avg")])
def test_earlier_layers_learn_slower_and_all_but_the_quality_head_learn(backbone, pool):
    model = network(backbone=backbone, pool=pool)
    groups = layers.learning(model, "all", 1.0)
    rates = [group["lr"] for group in groups]
    assert rates == sorted(rates) and rates[-1] == 1 and len(rates) > 4
    found = [id(p) for group in groups for p in group["params"]]
    expected = [id(p) for name, p in model.named_parameters() if not name.startswith("quality")]
    assert len(found) == len(set(found)) and set(found) == set(expected)
    first = next(iter(model.encoder.parameters()))
    assert any(first is p for p in groups[0]["params"])


def test_batch_norms_hold_what_they_know():
    model = network(pool="map").train()
    norm = model.neck[0]
    before = norm.running_mean.clone()
    layers.hold_statistics(model)
    model.embed(torch.randn(4, 3, 32, 32))
    assert torch.equal(norm.running_mean, before) and model.training
