"""How the encoder's weights move: Muon or AdamW, and the learning rate over a leg."""

import math
from functools import partial

import timm.optim
import torch
from timm.optim import muon as timm_muon

from facecom.cli import cpu_has_bf16

ORTHOGONALISED = timm_muon.zeropower_via_newtonschulz

#: The quality head's learning rate, as a share of the others': at theirs its logits run to hundreds.
QUALITY_RATE = 0.03


def optimizer_for(model, args) -> torch.optim.Optimizer:
    """Matrices by Muon, heads, norms and biases by AdamW; or all by AdamW. A group's `lr_scale` is its share of the
    learning rate."""
    muon = args.optimizer == "muon"
    others = {"weight_decay": 0.0, **({"use_fallback": True} if muon else {})}
    matrices, rest, quality = [], [], []
    for name, parameter in model.named_parameters():
        # The wide projection would cost more in Newton-Schulz steps than it gains.
        flat = parameter.ndim < 2 or (muon and name.startswith("projection"))
        (quality if name.startswith("quality") else rest if flat else matrices).append(parameter)
    groups = [
        {"params": matrices, "weight_decay": args.weight_decay},
        {"params": rest, **others},
        {"params": quality, "lr_scale": QUALITY_RATE, **others},
    ]
    if muon:
        # timm orthogonalises in bf16 and has no argument for it; where that is emulated it takes five times as long as
        # the rest of the step.
        emulated = args.device == "cpu" and not cpu_has_bf16()
        timm_muon.zeropower_via_newtonschulz = (
            partial(ORTHOGONALISED, dtype=torch.float32) if emulated else ORTHOGONALISED
        )
        return timm.optim.Muon(groups, lr=args.lr, betas=(0.9, 0.98), nesterov=True)
    return torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.98))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of all groups, each times its `lr_scale`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def learning_rate(progress: float, args) -> float:
    """Linear warm-up over the first 2 %, then a cosine to nothing. progress: 0 to 1."""
    if progress < 0.02:
        return args.lr * max(progress, 1e-4) / 0.02
    return args.lr * (0.5 + 0.5 * math.cos(math.pi * min(1.0, (progress - 0.02) / 0.98)))
