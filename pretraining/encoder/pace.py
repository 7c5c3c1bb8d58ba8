"""The same network, trained faster on a CPU with bfloat16: same parameters, same results up to rounding.

Convolutions of 1 x 1 are matrix products when the channels lie last, and their gradient as such takes a third of the
time on small maps; LayerNorm over few channels is three times as fast in float32.
"""

import timm.layers
import torch
from torch import nn
from torch.nn import functional as F

from facecom.models.backbones.convnext import LayerNorm2d
from facecom.models.backbones.depthwise import speed_up as fast_depthwise
from facecom.models.backbones.pointwise import as_products


class WideNorm(nn.LayerNorm):
    """LayerNorm2d, ours or timm's, in float32, whatever the autocast."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            x = F.layer_norm(x.permute(0, 2, 3, 1).float(), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


def speed_up(network: nn.Module) -> nn.Module:
    """Change the layers of the network that have a faster way, in place. Returns the network."""
    for module in network.modules():
        if type(module) in (LayerNorm2d, timm.layers.LayerNorm2d):
            module.__class__ = WideNorm
    return fast_depthwise(as_products(network))
