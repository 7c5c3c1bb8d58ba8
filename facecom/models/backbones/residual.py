"""The small residual network of the face finder, as timm's `test_byobnet` with `features_only`: four stages of a block,
each of another kind, which halve the map, with squeeze and excitation (Hu et al., CVPR 2018)."""

import math

import torch
from torch import nn


class ConvNorm(nn.Module):
    """Convolution, batch norm, and, where asked, ReLU."""

    def __init__(self, before: int, channels: int, kernel: int, stride: int = 1, act: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False)
        self.bn, self.act = nn.BatchNorm2d(channels), act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn(self.conv(x))
        return x.relu_() if self.act else x


class Excitation(nn.Module):
    """Channels weighed by what all of them are on average."""

    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Shortcut(nn.Module):
    """Halved by averages, then as many channels as behind the block."""

    def __init__(self, before: int, channels: int):
        super().__init__()
        self.pool = nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)
        self.conv = ConvNorm(before, channels, 1, act=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.pool(x))


#: The blocks, a stage each: (channels behind it; its steps in turn).
#: A step is a name and (channels, kernel, stride) of a convolution, or a name and (channels, inner) of an excitation.
STAGES: tuple[tuple[int, dict[str, tuple[int, ...]]], ...] = (
    (32, {"conv1_kxk": (16, 3, 2), "attn": (16, 8), "conv2_1x1": (32, 1, 1)}),
    (64, {"conv1_1x1": (32, 1, 1), "conv2_kxk": (64, 3, 2), "attn_last": (64, 16)}),
    (128, {"conv1_kxk": (32, 3, 2), "conv2_kxk": (128, 3, 1), "attn_last": (128, 32)}),
    (256, {"conv1_1x1": (64, 1, 1), "conv2_kxk": (64, 3, 2), "attn": (64, 16), "conv3_1x1": (256, 1, 1)}),
)

STEM = 24


class Block(nn.Module):
    """ReLU(shortcut + steps); no ReLU behind the last convolution, whose norm begins at zero."""

    def __init__(self, before: int, channels: int, steps: dict[str, tuple[int, ...]]):
        super().__init__()
        self.shortcut, self.steps = Shortcut(before, channels), tuple(steps)
        last = [name for name in steps if name.startswith("conv")][-1]
        for name, (width, *shape) in steps.items():
            if name.startswith("conv"):
                self.add_module(name, ConvNorm(before, width, shape[0], shape[1], name != last))
                before = width
            else:
                self.add_module(name, Excitation(width, shape[0]))
        self.last = last

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = x
        for name in self.steps:
            found = getattr(self, name)(found)
        return (found + self.shortcut(x)).relu_()


class FeatureInfo:
    """What the maps are, as timm's networks say it."""

    def channels(self) -> list[int]:
        """Of each map."""
        return [STEM, *(channels for channels, _ in STAGES)]

    def reduction(self) -> list[int]:
        """Pixels of the picture for one of each map."""
        return [2 ** (level + 1) for level in range(len(STAGES) + 1)]


class Maps(nn.Module):
    """float [B, 3, H, W] -> five maps, strides 2 to 32."""

    def __init__(self):
        super().__init__()
        self.stem, before = ConvNorm(3, STEM, 3, 2), STEM
        for number, (channels, steps) in enumerate(STAGES):
            self.add_module(f"stages_{number}", nn.Sequential(Block(before, channels, steps)))
            before = channels
        self.feature_info = FeatureInfo()
        self.apply(initialise)
        for module in self.modules():
            if isinstance(module, Block):
                nn.init.zeros_(getattr(module, module.last).bn.weight)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = [self.stem(x)]
        for number in range(len(STAGES)):
            maps.append(getattr(self, f"stages_{number}")(maps[-1]))
        return maps


def initialise(module: nn.Module) -> None:
    """The random start of convolutions."""
    if isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
        nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
