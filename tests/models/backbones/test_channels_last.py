import copy

import torch

from facecom.models import loading
from facecom.models.backbones.channels_last import LastMlp, WideNorm, made_fast
from facecom.models.backbones.convnext import ConvNeXt


def network() -> ConvNeXt:
    torch.manual_seed(0)
    return ConvNeXt((1, 1), (8, 16), pool="map").eval()


def photos(size: int = 32) -> torch.Tensor:
    x = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    return x.contiguous(memory_format=torch.channels_last)


def test_the_answers_and_the_names_stay():
    plain = network()
    fast = made_fast(copy.deepcopy(plain))
    kinds = {type(module) for module in fast.modules()}
    assert {LastMlp, WideNorm} <= kinds
    assert list(fast.state_dict()) == list(plain.state_dict())
    for x in (photos(), photos().contiguous(), photos(48)):
        torch.testing.assert_close(fast(x), plain(x))


def test_norms_are_in_float32_under_autocast():
    fast = made_fast(network())
    exact = network()(photos())
    with torch.autocast("cpu", torch.bfloat16):
        found = fast(photos())
    assert found.dtype == torch.float32  # the last layer is a norm
    torch.testing.assert_close(found, exact, atol=0.05, rtol=0.05)


def test_loaded_weights_are_fast_and_those_to_compare_with_are_not():
    def kinds(runner: loading.Runner) -> set[type]:
        return {type(module) for module in runner.network.modules()}

    assert {LastMlp, WideNorm} <= kinds(loading.load(None, "siamese"))
    assert not {LastMlp, WideNorm} & kinds(loading.untrained("siamese"))
