"""What the encoder is trained to do: the teachers' embedding of the clean crop, and telling people apart."""

from functools import partial

import numpy as np
import torch
from torch.nn import functional as F

from pretraining.contrast import Remembered
from pretraining.targets.people import People

MEAN, STD = 127.5, 127.5


def normalised(views: torch.Tensor, device: str) -> torch.Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W], mean and standard deviation 0.5, channels last in memory."""
    return views.to(device, non_blocking=True).permute(0, 3, 1, 2).float().sub_(MEAN).div_(STD)


def objective(model, views, targets, labels, identity_loss, args, told_apart=None) -> tuple[torch.Tensor, dict]:
    """Loss of a batch and its parts. views: float [B, 3, H, W]; targets: float32 [B, 128], unit; labels: int64 [B],
    -1 where nobody knows who it is; told_apart: a further loss of the embeddings [B, 128]."""
    student, quality = model.embed_with_quality(views)
    cosine = (student * targets).sum(1)
    parts = {"distillation": (1 - cosine).mean()}
    loss = args.distillation_weight * parts["distillation"]
    # The quality head predicts how near the embedding is to that of the clean photo.
    loss = loss + F.mse_loss(quality, cosine.detach().clamp(0, 1))
    known = labels >= 0
    if identity_loss is not None:
        parts["identity"] = identity_loss(student[known], labels[known]) if known.any() else loss.new_zeros(())
        loss = loss + args.identity_weight * parts["identity"]
    if told_apart is not None:
        parts["contrast"] = told_apart(student)
        loss = loss + args.contrast_weight * parts["contrast"]
    return loss, {name: float(value.detach()) for name, value in parts.items()}


def first_half(views, targets, labels, averaged, remembered: Remembered) -> tuple:
    """A batch of pairs as one of half as many photos, to be told apart (`objective`) by what the averaged network says
    of the others: (views, targets, labels, told_apart)."""
    half = len(views) // 2
    with torch.no_grad():
        keys = averaged.embed_with_quality(views[half:])[0]
    return views[:half], targets[:half], labels[:half], partial(remembered, keys=keys, people=labels[:half])


def memory_of(people: People, args) -> Remembered | None:
    """What `--contrast_weight` asks for; None without it."""
    if not args.contrast_weight:
        return None
    named = people.labels >= 0
    source = np.zeros(people.labels.max() + 1, int)
    source[people.labels[named]] = np.unique(people.table["source"].to_numpy(str)[named], return_inverse=True)[1]
    return Remembered(torch.from_numpy(source), args.memory, args.temperature)


def margin_softmax(people: People, args, device):
    """CosFace (Wang et al., CVPR 2018) over the training people, whose class weights are their targets' centres;
    None with `none`."""
    if args.identity == "none":
        return None
    from pytorch_metric_learning.losses import CosFaceLoss

    centres = torch.from_numpy(people.centres())
    loss = CosFaceLoss(len(centres), centres.shape[1], margin=args.margin, scale=args.scale).to(device)
    loss.W.data.copy_(centres.T)
    loss.W.requires_grad_(False)
    return loss
