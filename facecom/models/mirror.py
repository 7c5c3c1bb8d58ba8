"""Answers from a photo and its mirror image together: they show the same person, and each errs in its own way."""

import torch
from torch import nn
from torch.nn import functional as F


def embed(model: nn.Module, x: torch.Tensor, mirror: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """`SiameseNet.embed_with_quality`; mirror: of the mean embedding, again of unit length, and the mean quality."""
    if not mirror:
        return model.embed_with_quality(x)
    embeddings, quality = (_mean(both) for both in model.embed_with_quality(_both(x)))
    return F.normalize(embeddings, dim=1), quality


def logits(model: nn.Module, x: torch.Tensor, mirror: bool) -> torch.Tensor:
    """A `GenderClassifier`'s logits, float32 [B]; mirror: their mean."""
    return _mean(model(_both(x)).float()) if mirror else model(x).float()


def _both(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([x, x.flip(3)])


def _mean(values: torch.Tensor) -> torch.Tensor:
    count = values.shape[0] // 2
    return (values[:count] + values[count:]) / 2
