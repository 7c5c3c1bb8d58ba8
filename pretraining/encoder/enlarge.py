"""Weights learned on crops of one size, for crops of another: the projection is stretched over the larger map.

Convolutions take any size; only the projection behind the spatial map has a weight a place. A larger map is projected
as its area average on the smaller map would have been, so that a leg on larger crops starts near where the last ended.
"""

import torch
from torch import nn

PROJECTION = "projection.0.weight"


def fitted_to(model: nn.Module, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of a `SiameseNet` with its projection as wide as the model's; unchanged where it fits.

    Raises ValueError when it does not stand on a square map of the model's channels (another backbone or pooling).
    """
    weight, wanted = state[PROJECTION], model.state_dict()[PROJECTION]
    if weight.shape == wanted.shape:
        return state
    before, after = (side_of(columns, state) for columns in (weight.shape[1], wanted.shape[1]))
    share = area_average(after, before)
    maps = weight.float().unflatten(1, (-1, before, before))
    return state | {PROJECTION: torch.einsum("ocij,ik,jl->ockl", maps, share, share).flatten(1)}


def area_average(source: int, target: int) -> torch.Tensor:
    """How much each of `source` cells of a line counts in each of `target` cells of the same line: float32
    [target, source], rows that add up to 1."""
    edges = torch.arange(source + 1) / source
    starts = torch.arange(target)[:, None] / target
    overlap = torch.minimum(edges[1:], starts + 1 / target) - torch.maximum(edges[:-1], starts)
    return overlap.clamp(min=0) * target


def side_of(columns: int, state: dict[str, torch.Tensor]) -> int:
    """Side of the square map that so many columns of the projection stand on."""
    channels = len(state["neck.0.weight"]) if "neck.0.weight" in state else 0
    side = round((columns / channels) ** 0.5) if channels else 0
    if not side or side * side * channels != columns:
        raise ValueError("the weights are of another backbone or pooling than the network")
    return side
