"""Several processes as one training: each sees its part of every batch, and their gradients are averaged once a step.

    torchrun --nproc_per_node 2 -m pretraining.encoder.train --workers 0 ...

On a CPU that others use too, threads that wait for each other in every layer spend most of their time waiting;
processes of one thread wait once a step.
"""

import os
from collections.abc import Iterable

import torch
from torch import distributed


def join() -> tuple[int, int]:
    """(rank, how many there are): 0 of 1 where `torchrun` has not started this process."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        return 0, 1
    if not distributed.is_initialized():
        distributed.init_process_group("gloo")
    return distributed.get_rank(), world


def average(parameters: Iterable[torch.nn.Parameter], seconds: float) -> float:
    """Average the gradients of all processes in place. Returns rank 0's `seconds`, so that all agree on the clock."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    rank, world = distributed.get_rank(), distributed.get_world_size()
    clock = gradients[0].new_tensor([seconds * world if rank == 0 else 0.0])
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), clock])
    distributed.all_reduce(flat)
    flat /= world
    parts = flat.split([*(gradient.numel() for gradient in gradients), 1])
    for gradient, part in zip(gradients, parts[:-1], strict=True):
        gradient.copy_(part.view_as(gradient))
    return float(flat[-1])
