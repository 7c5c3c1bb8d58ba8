"""ConvNeXt's layers as a CPU computes them sooner where the channels lie last: same parameters, same results up to
rounding. A sixth of the network's time with bfloat16, a twentieth without."""

from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional as F

from facecom.models.backbones.convnext import LayerNorm2d, Mlp

Network = TypeVar("Network", bound=nn.Module)


class WideNorm(nn.LayerNorm):
    """LayerNorm2d, ours or timm's, in float32, whatever the autocast: over few channels bfloat16 takes three times as
    long."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast(x.device.type, enabled=False):
            x = F.layer_norm(x.permute(0, 2, 3, 1).float(), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class LastMlp(Mlp):
    """Mlp whose GELU is told the order in which the numbers lie: in any other it takes twice the time."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def made_fast(network: Network) -> Network:
    """The network with every such layer changed, in place."""
    faster: dict[type, type] = {LayerNorm2d: WideNorm, Mlp: LastMlp}
    for module in network.modules():
        module.__class__ = faster.get(type(module), type(module))
    return network
