"""Each process's part of batches and photos, and what they make of them together."""

from collections.abc import Iterator, Sequence
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import distributed, nn
from torch.utils.data import DataLoader, Subset

from facecom.training.distributed.group import for_objects, rank, size


class _Sum(torch.autograd.Function):
    """The sum over all processes of a float tensor of one shape; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, part):
        return _Sum.of(part)

    @staticmethod
    def backward(ctx, gradient):
        return _Sum.of(gradient)

    @staticmethod
    def of(part: torch.Tensor) -> torch.Tensor:
        whole = part.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(whole)
        return whole


class Parts:
    """This process's part of every batch of a loader whose order is the same in all processes.

    Iterates over (batch, counted, weight). counted: how many of its first samples count, None for all; it is 0 where a
    batch has fewer samples than there are processes and none is left for this one, which then looks at one that does
    not count. weight: of the loss of these samples, so that the mean over processes is the mean over samples.
    """

    def __init__(self, loader: DataLoader):
        self.loader = loader
        self.counted: list[int] | None = None
        if size() == 1 or loader.batch_sampler is None:
            return
        batches: list[list] = [list(batch) for batch in loader.batch_sampler]
        parts = [batch[rank() :: size()] for batch in batches]
        self.counted = [len(part) for part in parts]
        self.weights = [size() * len(part) / len(batch) for part, batch in zip(parts, batches, strict=True)]
        same = ("num_workers", "collate_fn", "pin_memory", "worker_init_fn", "multiprocessing_context")
        options = {name: getattr(loader, name) for name in same}
        sampler = [part or batch[:1] for part, batch in zip(parts, batches, strict=True)]
        self.loader = DataLoader(loader.dataset, batch_sampler=sampler, **options)

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple]:
        for number, batch in enumerate(self.loader):
            if self.counted is None:
                yield batch, None, 1.0
            else:
                yield batch, self.counted[number], self.weights[number]


def mine(count: int) -> range:
    """This process's part of so many photos."""
    return range(rank(), count, size())


def part_of(photos: Sequence) -> Any:
    """Those of the photos that are `mine`."""
    return photos if size() == 1 else Subset(photos, mine(len(photos)))  # type: ignore[arg-type]


def gathered(part: np.ndarray | None, count: int) -> np.ndarray:
    """What all processes say about so many photos, [count, ...]. part: of those that are `mine`; None without any."""
    if size() == 1:
        assert part is not None
        return part
    parts: list = [None] * size()
    distributed.all_gather_object(parts, part, group=for_objects())
    some = next(one for one in parts if one is not None)
    whole = np.empty((count, *some.shape[1:]), some.dtype)
    for number, one in enumerate(parts):
        if one is not None:
            whole[number :: size()] = one
    return whole


def together(*arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Arrays of all processes, one after the other, in the same order everywhere."""
    if size() == 1:
        return arrays
    parts: list = [None] * size()
    distributed.all_gather_object(parts, arrays, group=for_objects())
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def whole_batch(*parts: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """From what each process has of a batch, all of it, in the same order everywhere: tensors [B, ...] of floats.

    Gradients go back to the process that a row is of, from all that use it. So where every process computes the loss of
    the whole batch, the mean of its gradients over the processes (`average`) is that loss's.
    """
    if size() == 1:
        return parts
    counts: list = [None] * size()
    distributed.all_gather_object(counts, len(parts[0]), group=for_objects())
    before, behind = sum(counts[: rank()]), sum(counts[rank() + 1 :])
    around = [
        (part.new_zeros(before, *part.shape[1:]), part, part.new_zeros(behind, *part.shape[1:])) for part in parts
    ]
    return tuple(_Sum.apply(torch.cat(one)) for one in around)


def average(model: nn.Module) -> None:
    """Make the gradients their mean over all processes."""
    if size() == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= size()
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def synchronise(model: nn.Module) -> None:
    """Give all processes the first one's weights, and batch normalisation the statistics of the whole batch."""
    if size() == 1:
        return
    with torch.no_grad():
        for tensor in model.state_dict().values():
            whole = tensor.contiguous()
            distributed.broadcast(whole, 0)
            tensor.copy_(whole)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.forward = MethodType(_normalise, module)  # type: ignore[method-assign]


def _normalise(self, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation by mean and variance over the parts of all processes (torch's own is for CUDA alone)."""
    if not self.training:
        return type(self).forward(self, x)
    dims, shape = [0, *range(2, x.dim())], [1, -1, *[1] * (x.dim() - 2)]
    with torch.autocast(x.device.type, enabled=False):
        wide = x.float()
        count = wide.new_tensor([wide.numel() / wide.shape[1]])
        sums = _Sum.apply(torch.cat([wide.sum(dims), count]))
        mean, count = sums[:-1] / sums[-1], sums[-1].detach()
        apart = wide - mean.view(shape)
        variance = _Sum.apply(apart.square().sum(dims)) / count
        if self.track_running_stats:
            with torch.no_grad():
                self.num_batches_tracked += 1
                share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean.detach(), share)
                self.running_var.lerp_(variance.detach() * count / (count - 1).clamp(min=1), share)
        found = apart * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            found = found * self.weight.view(shape) + self.bias.view(shape)
    return found.to(x.dtype)
