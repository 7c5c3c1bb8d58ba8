"""The backbones of the shipped weights are timm's: state dicts, outputs, what they say about themselves."""

import pytest
import timm
import torch

from facecom.models import backbones
from facecom.models.backbones import convnext, residual
from facecom.models.backbones.folding import fold_norms
from facecom.models.networks import LandmarkNet, SiameseNet


def random_state(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """A state in which nothing is left out by chance: no scale is small, no bias zero."""
    generator = torch.Generator().manual_seed(0)
    state = network.state_dict()
    for name, value in state.items():
        if value.is_floating_point():
            value.copy_(0.5 * torch.randn(value.shape, generator=generator))
            if name.endswith("running_var"):
                value.abs_().add_(0.1)
    return state


@pytest.mark.parametrize("layer_scale", [True, False])
@pytest.mark.parametrize("pool", ["avg", "map"])
def test_convnext_is_that_of_timm(pool, layer_scale):
    own = backbones.without_classifier("convnext_atto", pool=pool, layer_scale=layer_scale)
    theirs = timm.create_model("convnext_atto", num_classes=0, global_pool="avg" if pool == "avg" else "")
    if not layer_scale:
        backbones.without_layer_scale(theirs)
    assert isinstance(own, convnext.ConvNeXt) and own.feature_info == theirs.feature_info
    assert (own.num_features, own.head_hidden_size) == (theirs.num_features, theirs.head_hidden_size)
    # A checkpoint's optimizer knows parameters by their places.
    assert [name for name, _ in own.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    theirs.load_state_dict(random_state(own))
    x = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        for network in (own, theirs):
            network.eval()
        assert torch.equal(own(x), theirs(x)) and torch.equal(own.forward_features(x), theirs.forward_features(x))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(own(x), theirs(x))


@pytest.mark.parametrize("size", [112, 97])
def test_the_finders_backbone_is_that_of_timm(size):
    own, theirs = backbones.feature_maps("test_byobnet"), timm.create_model("test_byobnet", features_only=True)
    assert isinstance(own, residual.Maps) and list(own.state_dict()) == list(theirs.state_dict())
    assert [name for name, _ in own.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    for what in ("channels", "reduction"):
        assert getattr(own.feature_info, what)() == getattr(theirs.feature_info, what)()
    theirs.load_state_dict(random_state(own))
    x = torch.randn(2, 3, size, size)
    with torch.no_grad():
        for train in (False, True):
            maps = zip(own.train(train)(x), theirs.train(train)(x), strict=True)
            assert all(torch.equal(a, b) for a, b in maps)


def test_a_random_start_is_like_that_of_timm():
    torch.manual_seed(0)
    pairs = [
        (backbones.without_classifier("convnext_atto"), timm.create_model("convnext_atto", num_classes=0)),
        (backbones.feature_maps("test_byobnet"), timm.create_model("test_byobnet", features_only=True)),
    ]
    for own, theirs in pairs:
        expected = theirs.state_dict()
        for name, value in own.state_dict().items():
            value, other = value.float(), expected[name].float()
            if value.numel() < 500:  # all the same number, or too few to tell
                assert value.unique().numel() > 1 or torch.equal(value, other), name
                continue
            assert value.std().item() == pytest.approx(other.std().item(), rel=0.15, abs=1e-9), name


def test_what_these_do_not_have_is_timms():
    assert type(backbones.without_classifier("convnext_atto", drop_path_rate=0.1)) is timm.models.convnext.ConvNeXt
    assert type(backbones.without_classifier("test_convnext")) is timm.models.convnext.ConvNeXt
    assert not isinstance(backbones.feature_maps("convnext_atto"), residual.Maps)
    assert backbones.is_known("convnext_atto") and backbones.is_known("resnet18") and not backbones.is_known("resnet0")


@pytest.mark.parametrize("backbone", ["test_byobnet", "test_resnet"])
def test_folded_norms_change_nothing_but_the_time(backbone):
    model = LandmarkNet(backbone, img_size=64, channels=16)
    random_state(model)
    model.eval()
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before, after = model(x), fold_norms(model)(x)
    for a, b in zip(before, after, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)
    left = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert not left or backbone != "test_byobnet"


def test_the_shipped_networks_need_no_timm():
    assert isinstance(SiameseNet().encoder, convnext.ConvNeXt)
    assert isinstance(LandmarkNet("test_byobnet").backbone, residual.Maps)
