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


def hard_pairs(
    embeddings: torch.Tensor, people: torch.Tensor, photos: torch.Tensor, share: float = 0.3, strangers: int = 4
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The hard ones of all pairs of a batch: (rows int [M], rows int [M], same bool [M]), for `contrastive_loss`.

    embeddings: float [B, D], unit length; people: [B], whose photo; photos: [B], copies of one photo have one number
    and are never a pair. Of the genuine pairs the `share` that lie farthest apart, at least one, and `strangers` times
    as many of two people, those that lie closest (batch hard mining: Hermans, Beyer and Leibe, 2017, here of pairs).
    Without a genuine pair as many of two people as there are rows.
    """
    with torch.no_grad():
        first, second = torch.triu_indices(len(people), len(people), 1, device=embeddings.device)
        alike = (embeddings[first] * embeddings[second]).sum(1).float()
        same = people[first] == people[second]
        genuine = torch.nonzero(same & (photos[first] != photos[second])).squeeze(1)
        impostor = torch.nonzero(~same).squeeze(1)
        count = max(1, int(share * len(genuine))) if len(genuine) else 0
        genuine = genuine[alike[genuine].topk(count, largest=False).indices]
        wanted = min(strangers * count if count else len(people), len(impostor))
        impostor = impostor[alike[impostor].topk(wanted).indices]
        kept = torch.cat([genuine, impostor])
    return first[kept], second[kept], same[kept]


def relation_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the cosines of all photos with all, float [B, D] each, unit length: what is like what
    is kept, turning all embeddings together is free (Tung and Mori, ICCV 2019; Park et al., CVPR 2019)."""
    return (student @ student.T - teacher @ teacher.T).square().mean()


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
