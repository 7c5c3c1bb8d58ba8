"""Depthwise convolutions whose weight gradient is fast on a CPU.

On small maps the library's own weight gradient takes longer than everything else of ConvNeXt's backward pass. All its
49 taps are sums over diagonals of one matrix product a channel: `M[p, q] = sum_n x[n, p] g[n, q]`, `dW[k] = sum_i
M[i + k - pad, i]`.
"""

import torch
from torch import nn
from torch.nn import functional as F

LARGEST_MAP = 24  # pixels a side; beyond, the matrix costs more than it saves


def weight_gradient(x: torch.Tensor, gradient: torch.Tensor, kernel: int) -> torch.Tensor:
    """Gradient of a depthwise kernel (stride 1, zero padding kernel // 2).

    x, gradient: [N, C, H, W], input and gradient of the output. Returns [C, 1, kernel, kernel], float32.
    """
    count, channels, height, width = x.shape
    pairs = torch.bmm(
        x.permute(1, 2, 3, 0).reshape(channels, height * width, count),
        gradient.permute(1, 0, 2, 3).reshape(channels, count, height * width),
    ).view(channels, height, width, height, width)
    pad = kernel // 2
    rows = []
    for row in range(-pad, pad + 1):
        if abs(row) >= height:
            rows.append(torch.zeros(channels, kernel))
            continue
        lines = pairs.diagonal(-row, 1, 3).float().sum(-1)
        taps = [
            lines.diagonal(-column, 1, 2).sum(-1) if abs(column) < width else torch.zeros(channels)
            for column in range(-pad, pad + 1)
        ]
        rows.append(torch.stack(taps, 1))
    return torch.stack(rows, 1).unsqueeze(1)


class DepthwiseConvolution(torch.autograd.Function):
    """`F.conv2d(x, weight, bias, padding=kernel // 2, groups=channels)` with the gradient above."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        weight = weight.to(x.dtype)
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, bias.to(x.dtype), padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx, gradient):
        x, weight = ctx.saved_tensors
        kernel = weight.shape[-1]
        back = F.conv2d(gradient, weight.flip(2, 3), padding=kernel // 2, groups=len(weight))
        return back, weight_gradient(x, gradient, kernel), gradient.float().sum((0, 2, 3))


class FastDepthwise(nn.Conv2d):
    """A depthwise nn.Conv2d, same parameters, same results."""

    def forward(self, x):
        if max(x.shape[2:]) > LARGEST_MAP or not self.training:
            return super().forward(x)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return DepthwiseConvolution.apply(x, self.weight, self.bias)


def speed_up(network: nn.Module) -> nn.Module:
    """Give every odd-kernel, stride 1 depthwise convolution of the network the fast gradient. Returns the network."""
    for module in network.modules():
        if type(module) is nn.Conv2d and module.groups == module.in_channels == module.out_channels > 1:
            kernel = module.kernel_size[0]
            plain = module.stride == (1, 1) and module.padding == (kernel // 2, kernel // 2)
            if plain and kernel % 2 and module.bias is not None:
                module.__class__ = FastDepthwise
    return network
