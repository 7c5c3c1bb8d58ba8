from types import SimpleNamespace

import pytest
import torch
from timm.optim import muon as timm_muon

from facecom.models.networks import SiameseNet
from pretraining.encoder import optimizers
from pretraining.encoder.optimizers import QUALITY_RATE, learning_rate, optimizer_for, set_rate


def settings(optimizer: str = "muon", lr: float = 1.0) -> SimpleNamespace:
    return SimpleNamespace(optimizer=optimizer, lr=lr, weight_decay=0.05, device="cpu")


def test_learning_rate_warms_up_and_ends_at_nothing():
    args = settings()
    assert learning_rate(0.01, args) == pytest.approx(0.5)
    assert learning_rate(0.51, args) == pytest.approx(0.5)
    assert learning_rate(1, args) == pytest.approx(0)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_every_weight_is_in_one_group_and_the_quality_head_moves_slowly(optimizer):
    model = SiameseNet("test_convnext", pool="map", img_size=64, quality=True)
    made = optimizer_for(model, settings(optimizer))
    set_rate(made, 0.5)
    found = [(id(p), group["lr"], group["weight_decay"]) for group in made.param_groups for p in group["params"]]
    assert sorted(one for one, _, _ in found) == sorted(id(p) for p in model.parameters())
    rates = {one: rate for one, rate, _ in found}
    decays = {one: decay for one, _, decay in found}
    for name, parameter in model.named_parameters():
        assert rates[id(parameter)] == pytest.approx(0.5 * (QUALITY_RATE if name.startswith("quality") else 1))
    assert decays[id(model.projection[0].bias)] == 0
    assert decays[id(model.encoder.stem[0].weight)] == 0.05


def test_muon_leaves_the_wide_projection_to_adamw():
    model = SiameseNet("test_convnext", pool="map", img_size=64, quality=True)
    made = optimizer_for(model, settings())
    body = {id(p) for group in made.param_groups if not group.get("use_fallback") for p in group["params"]}
    assert id(model.projection[0].weight) not in body and id(model.encoder.stem[0].weight) in body


@pytest.mark.parametrize(("fast", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_muon_computes_in_bf16_only_where_that_is_fast(monkeypatch, fast, expected):
    monkeypatch.setattr(optimizers, "cpu_has_bf16", lambda: fast)
    monkeypatch.setattr(timm_muon, "zeropower_via_newtonschulz", optimizers.ORTHOGONALISED)
    model = SiameseNet("test_convnext", pool="map", img_size=64)
    optimizer_for(model, settings())
    matrix = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    found = timm_muon.zeropower_via_newtonschulz(matrix, 3, [(3.4445, -4.775, 2.0315)] * 3)
    assert found.dtype == expected
