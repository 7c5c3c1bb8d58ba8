"""The last layer fitted anew to another target by least squares: where a network starts that learned from others."""

import numpy as np
import torch

from pretraining.encoder.objective import normalised

#: Views that the layer is fitted on, and the ridge, as a share of the features' mean variance.
VIEWS, RIDGE = 20_000, 1e-3


def least_squares(features: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(weight [D, F], bias [D]) of the ridge regression from features float [N, F] to targets float [N, D]."""
    features, targets = features.astype(np.float64), targets.astype(np.float64)
    mean, middle = features.mean(0), targets.mean(0)
    centred = features - mean
    products = centred.T @ centred
    ridge = RIDGE * np.trace(products) / len(products) * np.eye(len(products))
    weight = np.linalg.solve(products + ridge, centred.T @ (targets - middle)).T
    return weight, middle - weight @ mean


def refit(model, batches, device: str, amp: bool, views: int = VIEWS) -> float:
    """Fits `model.projection[2]` in place on the first batches. Returns the mean cosine to the targets there."""
    model.eval()
    features, targets, seen = [], [], 0
    for step in range(len(batches)):
        pictures, wanted, _ = batches[step]
        with torch.inference_mode(), torch.autocast(device, dtype=torch.bfloat16, enabled=amp):
            hidden = model.projection[:2](model.neck(model.encoder(normalised(pictures, device))))
        features.append(hidden.float().cpu().numpy())
        targets.append(wanted.numpy())
        seen += len(wanted)
        if seen >= views:
            break
    features, targets = np.concatenate(features), np.concatenate(targets)
    weight, bias = least_squares(features, targets)
    found = features @ weight.T + bias
    cosine = float(((found * targets).sum(1) / np.linalg.norm(found, axis=1)).mean())
    with torch.no_grad():
        model.projection[2].weight.copy_(torch.from_numpy(weight))
        model.projection[2].bias.copy_(torch.from_numpy(bias))
    print(f"last layer fitted to the target on {len(targets)} views: cosine {cosine:.3f}", flush=True)
    return cosine
