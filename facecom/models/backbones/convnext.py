"""ConvNeXt (Liu et al., CVPR 2022) as timm's small ones are: state dict, outputs, and weights from a seed."""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

#: Pixels that become one in the stem.
PATCH = 4


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of [B, C, h, w]."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Two 1 x 1 convolutions, four times as wide in between."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, 4 * channels, 1), nn.Conv2d(4 * channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """x + scale * mlp(norm(depthwise convolution(x)))."""

    gamma: nn.Parameter | None

    def __init__(self, channels: int, layer_scale: bool):
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm, self.mlp = LayerNorm2d(channels), Mlp(channels)
        self.gamma = nn.Parameter(1e-6 * torch.ones(channels)) if layer_scale else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        changed = self.mlp(self.norm(self.conv_dw(x)))
        if self.gamma is not None:
            changed = changed.mul(self.gamma.reshape(1, -1, 1, 1))
        return changed + x


class Stage(nn.Module):
    """Halve the map (all but the first stage), then blocks."""

    def __init__(self, before: int, channels: int, depth: int, layer_scale: bool):
        super().__init__()
        self.downsample: nn.Module = nn.Identity()
        if before != channels:
            self.downsample = nn.Sequential(LayerNorm2d(before), nn.Conv2d(before, channels, 2, 2))
        self.blocks = nn.Sequential(*(Block(channels, layer_scale) for _ in range(depth)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.downsample(x))


class Head(nn.Module):
    """The norm behind the pooling, or of every place of the map."""

    def __init__(self, channels: int, pool: bool):
        super().__init__()
        self.pool, self.norm = pool, LayerNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(F.adaptive_avg_pool2d(x, 1)).flatten(1) if self.pool else self.norm(x)


class ConvNeXt(nn.Module):
    """depths: blocks a stage; channels: of each stage; pool: `avg` -> features [B, C], `map` -> [B, C, h, w];
    layer_scale: residual scales, 1e-6 at first."""

    def __init__(self, depths: Sequence[int], channels: Sequence[int], pool: str = "avg", layer_scale: bool = True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels[0], PATCH, PATCH), LayerNorm2d(channels[0]))
        before = [channels[0], *channels]
        self.stages = nn.Sequential(*(Stage(*one, layer_scale) for one in zip(before, channels, depths, strict=False)))
        self.head = Head(channels[-1], pool == "avg")
        self.num_features = self.head_hidden_size = channels[-1]
        #: What `report.explain` goes by, as of timm's networks.
        self.feature_info = [
            {"num_chs": c, "reduction": PATCH * 2**i, "module": f"stages.{i}"} for i, c in enumerate(channels)
        ]
        self.apply(initialise)

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """float [B, 3, H, W] -> the last map."""
        return self.stages(self.stem(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.forward_features(x))


def initialise(module: nn.Module) -> None:
    """The random start of convolutions."""
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
