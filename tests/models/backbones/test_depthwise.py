import pytest
import torch
from torch import nn
from torch.nn import functional as F

from facecom.models.backbones.depthwise import FastDepthwise, speed_up, weight_gradient


@pytest.mark.parametrize("height, width, kernel", [(6, 6, 7), (3, 3, 7), (5, 8, 3), (1, 4, 5)])
def test_weight_gradient_is_autograds(height, width, kernel):
    torch.manual_seed(0)
    x, gradient = torch.randn(2, 4, 5, height, width)
    weight = torch.randn(5, 1, kernel, kernel, requires_grad=True)
    F.conv2d(x, weight, padding=kernel // 2, groups=5).backward(gradient)
    torch.testing.assert_close(weight_gradient(x, gradient, kernel), weight.grad, rtol=1e-4, atol=1e-4)


def test_a_network_gets_the_same_gradients():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 7, padding=3, groups=8), nn.Conv2d(8, 2, 1))
    x = torch.randn(4, 3, 9, 9)
    expected = network(x)
    expected.square().mean().backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    speed_up(network)
    assert [type(m) for m in network] == [nn.Conv2d, FastDepthwise, nn.Conv2d]
    found = network(x)
    torch.testing.assert_close(found, expected)
    found.square().mean().backward()
    for parameter, gradient in zip(network.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("options", [{"stride": 2}, {"padding": 0}, {"bias": False}, {"groups": 4}])
def test_other_convolutions_are_left_alone(options):
    network = nn.Sequential(nn.Conv2d(8, 8, 7, **({"padding": 3, "groups": 8} | options)))
    assert type(speed_up(network)[0]) is nn.Conv2d
