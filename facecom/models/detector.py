"""The face detector: a score and five landmarks for every cell of a photo, fully convolutional."""

import torch
from torch import nn
from torch.nn import functional as F

#: Pixels between the cells of the three maps on which faces are looked for.
STRIDES = (8, 16, 32)


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class Block(nn.Module):
    """5 x 5 depthwise, then two 1 x 1 convolutions, added to what came in."""

    def __init__(self, channels: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * channels, channels, 1),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class FaceDetector(nn.Module):
    """Every face of a photo, without anchors: each cell says whether a face's middle lies in it, and where that face's
    landmarks are. A small backbone and a top-down path (FPN, Lin et al., CVPR 2017) with one head for all maps; its
    size and its purpose are YuNet's (Wu et al., Machine Intelligence Research 2023).

    widths: channels of the maps at stride 2, 4, 8, 16 and 32; depth: blocks a map from stride 8 on; turns: 4 to say
    which side of a face is up, and the landmarks for each (landmarks alone, turns 1, would lie between those of two
    sides wherever the network doubts between them).
    """

    def __init__(
        self, widths: tuple[int, ...] = (16, 32, 64, 96, 96), depth: int = 2, channels: int = 64, turns: int = 1
    ):
        super().__init__()
        self.turns = turns
        self.stem = nn.Sequential(convolution(3, widths[0], 2), convolution(widths[0], widths[1], 2))
        inputs = (widths[1], *widths[2:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(convolution(before, after, 2), *(Block(after) for _ in range(depth)))
            for before, after in zip(inputs, widths[2:], strict=True)
        )
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths[2:])
        self.mix = nn.Sequential(Block(channels), nn.ReLU(inplace=True))
        self.score = nn.Sequential(Block(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, turns + (turns > 1), 1))
        self.place = nn.Sequential(Block(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, 10 * turns, 1))
        with torch.no_grad():
            self.score[-1].bias[0] = -4.0  # faces are rare (Lin et al., ICCV 2017)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x: float [B, 3, H, W], -1 to 1, H and W multiples of 32.

        Returns logits float32 [B, N] and landmarks float32 [B, N, 5, 2] in pixels of x, for the N cells of all maps,
        in the order of `cells`.
        """
        logits, turns, landmarks = self.each_turn(x)
        if self.turns == 1:
            return logits, landmarks[:, :, 0]
        likely = turns.argmax(2)[:, :, None, None, None].expand(-1, -1, 1, 5, 2)
        return logits, landmarks.gather(2, likely)[:, :, 0]

    def each_turn(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What the network says of each side that may be up, T of them, by quarters clockwise.

        x: as for `forward`. Returns logits [B, N] of a face, logits [B, N, T] of its turn (zeros where T is 1) and
        landmarks [B, N, T, 5, 2], each if that turn is right; all float32.
        """
        maps, x = [], self.stem(x)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        merged = None
        scores, landmarks = [], []
        for level in reversed(range(len(maps))):
            current = self.laterals[level](maps[level])
            merged = current if merged is None else current + F.interpolate(merged, scale_factor=2.0)
            mixed = self.mix(merged)
            scores.append(self.score(mixed).float().flatten(2).transpose(1, 2))
            offsets = self.place(mixed).float().flatten(2).transpose(1, 2).unflatten(2, (self.turns, 5, 2))
            height, width = mixed.shape[-2:]
            centres = _centres(height, width, STRIDES[level], x.device)
            landmarks.append(centres[:, None, None] + STRIDES[level] * offsets)
        score = torch.cat(scores[::-1], 1)
        turns = score[:, :, 1:] if self.turns > 1 else torch.zeros_like(score)
        return score[:, :, 0], turns, torch.cat(landmarks[::-1], 1)


def _centres(height: int, width: int, stride: int, device: torch.device | str = "cpu") -> torch.Tensor:
    down, right = torch.arange(height, device=device), torch.arange(width, device=device)
    grid = torch.stack(torch.meshgrid(right, down, indexing="xy"), -1).flatten(0, 1)
    return (grid + 0.5) * stride - 0.5


def cells(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The middles of all cells of a photo, float [N, 2] pixels (x, y), and their strides, float [N]. height, width:
    multiples of 32."""
    centres = [_centres(height // stride, width // stride, stride) for stride in STRIDES]
    strides = [torch.full((len(part),), float(stride)) for part, stride in zip(centres, STRIDES, strict=True)]
    return torch.cat(centres), torch.cat(strides)
