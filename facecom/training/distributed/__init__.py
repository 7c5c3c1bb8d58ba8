"""Several processes as one training (data parallel, started by `torchrun`): each sees its part of every batch.

    torchrun --nproc_per_node=2 comsys-hackathon-taskB/train.py --data_dir people

`--batch_size` is that of all processes together, gradients are averaged once a step, so the weights are those of one
process up to rounding, however many there are. Photos are read, and held-back people judged, in parts, too. Only the
first process writes and prints. Without `torchrun` all of this does nothing.

Not torch's `DistributedDataParallel`: that wants to be called in place of the network, whose parts the jobs call, and
its gain, sending gradients while others are still computed, is nothing for networks of a few million parameters.
"""

from facecom.training.distributed.crops import load_crops
from facecom.training.distributed.group import first, from_first, joined
from facecom.training.distributed.parts import (
    Parts,
    average,
    gathered,
    mine,
    part_of,
    synchronise,
    together,
    whole_batch,
)

__all__ = [
    "Parts", "average", "first", "from_first", "gathered", "joined", "load_crops", "mine", "part_of", "synchronise",
    "together", "whole_batch",
]  # fmt: skip
