"""The last layer fitted anew, and layers that train faster."""

import copy

import numpy as np
import torch

from facecom.models.backbones.pointwise import Pointwise
from facecom.models.networks import SiameseNet
from pretraining.encoder.pace import WideNorm, speed_up
from pretraining.encoder.refit import least_squares, refit


def test_least_squares_find_a_linear_map():
    rng = np.random.default_rng(0)
    features, weight, bias = rng.standard_normal((500, 6)), rng.standard_normal((3, 6)), rng.standard_normal(3)
    found = least_squares(features, features @ weight.T + bias)
    np.testing.assert_allclose(found[0], weight, atol=0.01)
    np.testing.assert_allclose(found[1], bias, atol=0.01)


class Batches:
    """The targets are another network's embeddings, turned."""

    def __init__(self, model):
        rng = torch.Generator().manual_seed(0)
        self.views = torch.randint(0, 256, (3, 200, 64, 64, 3), generator=rng, dtype=torch.uint8)
        turn = torch.linalg.qr(torch.randn(128, 128, generator=rng))[0]
        x = self.views.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad():
            self.targets = (model.eval().embed(x) @ turn).unflatten(0, (3, 200))

    def __len__(self):
        return 3

    def __getitem__(self, step):
        return self.views[step], self.targets[step], torch.zeros(200)


def test_a_network_is_fitted_to_a_turned_target():
    torch.manual_seed(0)
    model = SiameseNet("test_convnext", pool="map", img_size=64, quality=True)
    batches = Batches(copy.deepcopy(model))
    assert refit(model, batches, "cpu", False) > 0.95


def test_faster_layers_compute_the_same():
    torch.manual_seed(0)
    plain = SiameseNet("convnext_atto", pool="map", img_size=64, layer_scale=False).train()
    fast = speed_up(copy.deepcopy(plain))
    kinds = [type(module) for module in fast.modules()]
    assert Pointwise in kinds and WideNorm in kinds
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for model in (plain, fast):
        (model.embed(x) * torch.arange(128)).sum().backward()
    torch.testing.assert_close(fast.embed(x), plain.embed(x), atol=1e-5, rtol=1e-4)
    for (name, one), other in zip(plain.named_parameters(), fast.parameters(), strict=True):
        if one.grad is not None and float(one.grad.norm()) > 1e-3:
            torch.testing.assert_close(other.grad, one.grad, rtol=1e-2, atol=1e-3, msg=name)
    assert list(fast.state_dict()) == list(plain.state_dict())
