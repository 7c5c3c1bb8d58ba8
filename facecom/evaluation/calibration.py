"""Probabilities that mean what they say (temperature scaling, Guo et al., ICML 2017), and where to cut them."""

import numpy as np
from sklearn.linear_model import LogisticRegression


def fit_temperature(logits: np.ndarray, labels: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The temperature in 0.05 to 20 with the least negative log likelihood of labels under sigmoid(logits / T).

    logits: float [N]; labels: 0 or 1 [N]; weight: float [N], what each photo counts. The likelihood has a single
    optimum in 1 / T, so golden-section search on its logarithm finds it.
    """
    signed = np.where(np.asarray(labels) > 0, 1.0, -1.0) * np.asarray(logits, float)
    weight = np.ones(len(signed)) if weight is None else weight

    def loss(log_t: float) -> float:
        return float((weight * np.logaddexp(0, -signed / np.exp(log_t))).sum())

    low, high = np.log(0.05), np.log(20.0)
    golden = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return float(np.exp((low + high) / 2))


def fit_platt(logits: np.ndarray, labels: np.ndarray, balanced: bool = False) -> tuple[float, float] | None:
    """(temperature, shift) with which `sigmoid((logit + shift) / temperature)` says how likely a photo is of class 1
    (Platt, 1999): what a temperature alone cannot mend is a network that leans to one side on photos of another camera.

    logits: float [N]; labels: 0 or 1 [N], both present; balanced: how likely it is where both are equally frequent,
    however rare one is here. None where the logits do not rise with the labels.
    """
    logits = np.asarray(logits, float)
    spread = max(float(logits.std()), 1e-9)
    fit = LogisticRegression(C=100.0, class_weight="balanced" if balanced else None, max_iter=1000, tol=1e-8)
    fit.fit(logits[:, None] / spread, labels)
    slope, intercept = float(fit.coef_[0, 0]) / spread, float(fit.intercept_[0])
    return (1 / slope, intercept / slope) if slope > 0 else None


def balanced_logit(logits: np.ndarray, labels: np.ndarray) -> float:
    """The logit at which both classes are equally likely where both are equally frequent; varies less than the cut with
    the fewest errors on the same photos. Arguments as for `fit_platt`; 0 where the logits do not rise with the labels.
    """
    found = fit_platt(logits, labels, balanced=True)
    return -found[1] if found else 0.0
