"""Losses: pure functions of tensors, and thin modules on top of those that carry settings."""

import torch
from torch import nn
from torch.nn import functional as F


def focal_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    gamma: float = 2.0,
    alpha: float = 1.0,
    smoothing: float = 0.1,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Binary focal loss (Lin et al., ICCV 2017, eq. 5) on smoothed targets, as in the published solution.

    logits, targets: float [B], targets 0 or 1; weight: float [B], what each photo counts. With
    t = targets (1 - smoothing) + smoothing / 2 and p = exp(-bce(logits, t)): mean of alpha (1 - p)^gamma bce.
    """
    targets = targets.to(logits.dtype) * (1 - smoothing) + smoothing / 2
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    loss = alpha * (1 - torch.exp(-bce)) ** gamma * bce
    return (loss if weight is None else loss * weight).mean()


def distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Euclidean distance of row and row, float [B] from two float [B, D]; its gradient at 0 is 0, not NaN."""
    return (a - b).square().sum(1).clamp_min(1e-12).sqrt()


def contrastive_loss(a: torch.Tensor, b: torch.Tensor, same: torch.Tensor, margin: float = 1.0) -> torch.Tensor:
    """Contrastive loss (Hadsell, Chopra and LeCun, CVPR 2006, eq. 4; without its factor 1/2, as published).

    a, b: float [B, D], unit length; same: [B], 1 for two photos of one person, 0 otherwise.
    Mean of same d^2 + (1 - same) max(0, margin - d)^2, with d the Euclidean distance.
    """
    same = same.to(a.dtype)
    apart = (margin - distance(a, b)).clamp_min(0).square()
    return (same * (a - b).square().sum(1) + (1 - same) * apart).mean()


def distillation_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean of 1 - cosine between what the student and the teacher say, float [B, D] each; 0 to 2."""
    return (1 - F.cosine_similarity(student, teacher, dim=1)).mean()


class FocalLoss(nn.Module):
    """`focal_loss` with its settings."""

    def __init__(self, gamma: float = 2.0, alpha: float = 1.0, smoothing: float = 0.1):
        super().__init__()
        self.gamma, self.alpha, self.smoothing = gamma, alpha, smoothing

    def forward(self, logits, targets, weight=None):
        return focal_loss(logits, targets, self.gamma, self.alpha, self.smoothing, weight)


class ContrastiveLoss(nn.Module):
    """`contrastive_loss` with its margin."""

    def __init__(self, margin: float = 1.0):
        super().__init__()
        self.margin = margin

    def forward(self, a, b, same):
        return contrastive_loss(a, b, same, self.margin)
