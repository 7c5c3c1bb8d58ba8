"""Batch norms into the convolutions before them."""

from itertools import pairwise
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facecom.models.backbones.residual import ConvNorm

Network = TypeVar("Network", bound=nn.Module)


def fold_norms(network: Network) -> Network:
    """The network, in eval mode, with every norm that follows a convolution folded into it, in place: the same outputs
    up to rounding. Only where the order is known: in `nn.Sequential` and `ConvNorm`."""
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential | ConvNorm):
            for (name, layer), (after, norm) in pairwise(list(module.named_children())):
                if type(layer) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
                    setattr(module, name, fuse_conv_bn_eval(layer, norm))
                    setattr(module, after, nn.Identity())
    return network
