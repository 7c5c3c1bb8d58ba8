"""The quality head brought to scale on people whom the network has never seen.

During training it learns on a moving network and at the network's own rate; its order is good, but its figures drift
until they are 0 or 1 for nearly everyone, and then no limit can be told from another. So before weights are shipped the
logit is scaled and shifted (Platt, 1999), which keeps the order, until it predicts held-back people's cosines.
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression


def platt(logits: np.ndarray, shares: np.ndarray) -> tuple[float, float]:
    """(scale, shift) with which `sigmoid(scale * logit + shift)` predicts the shares: least cross entropy.

    logits: float [N]; shares: float [N], 0 to 1. The scale is positive, or ValueError: the logits say nothing.
    """
    spread = max(float(np.std(logits)), 1e-12)
    twice = np.concatenate([logits, logits])[:, None] / spread
    labels, weights = np.repeat([1, 0], len(logits)), np.concatenate([shares, 1 - shares])
    fitted = LogisticRegression(C=np.inf).fit(twice, labels, sample_weight=weights)
    scale, shift = float(fitted.coef_[0, 0]) / spread, float(fitted.intercept_[0])
    if scale <= 0:
        raise ValueError("the quality head knows good photos from bad ones no better than chance")
    return scale, shift


def logits_of(model, crops: np.ndarray, embed) -> tuple[np.ndarray, np.ndarray]:
    """(embeddings float32 [N, 128], the quality head's logits float32 [N]). embed: crops -> embeddings of the model."""
    found = []
    hook = model.quality.register_forward_hook(lambda head, given, out: found.append(out.detach().float().squeeze(1)))
    try:
        embeddings = embed(crops)
    finally:
        hook.remove()
    return embeddings, torch.cat(found).cpu().numpy()


def bring_to_scale(model, crops: np.ndarray, targets: np.ndarray, embed) -> tuple[float, float]:
    """Scales and shifts `model.quality` in place. crops: RGB uint8 [N, S, S, 3] of people it has never seen, in all
    conditions; targets: float32 [N, 128], unit, the teacher's embeddings of the clean crops. Returns (scale, shift)."""
    embeddings, logits = logits_of(model, crops, embed)
    scale, shift = platt(logits, np.clip((embeddings * targets).sum(1), 0, 1))
    with torch.no_grad():
        model.quality.weight.mul_(scale)
        model.quality.bias.mul_(scale).add_(shift)
    return scale, shift
