import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from facecom.models import losses
from facecom.models.losses import ContrastiveLoss, FocalLoss, contrastive_loss, distance, distillation_loss, focal_loss


def unit(degrees):
    angle = torch.tensor(degrees, dtype=torch.float64) * math.pi / 180
    return torch.stack([angle.cos(), angle.sin()], 1)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize("gamma, alpha, smoothing", [(2, 1, 0.1), (0, 1, 0), (1.5, 0.25, 0.2)])
def test_focal_loss_against_the_formula(gamma, alpha, smoothing):
    logits, labels, weights = [2.0, -1.0, 0.0, 5.0], [1, 1, 0, 0], [1.0, 2.0, 0.5, 0.0]
    plain, weighted = 0.0, 0.0
    for logit, label, weight in zip(logits, labels, weights, strict=True):
        target = label * (1 - smoothing) + smoothing / 2
        bce = -(target * math.log(sigmoid(logit)) + (1 - target) * math.log(1 - sigmoid(logit)))
        loss = alpha * (1 - math.exp(-bce)) ** gamma * bce
        plain += loss / 4
        weighted += weight * loss / 4
    logits, labels = torch.tensor(logits, dtype=torch.float64), torch.tensor(labels)
    assert FocalLoss(gamma, alpha, smoothing)(logits, labels).item() == pytest.approx(plain, rel=1e-12)
    found = focal_loss(logits, labels, gamma, alpha, smoothing, torch.tensor(weights))
    assert found.item() == pytest.approx(weighted, rel=1e-12)


def test_focal_loss_without_focus_and_smoothing_is_cross_entropy():
    logits, labels = torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])
    assert focal_loss(logits, labels, gamma=0, smoothing=0).item() == pytest.approx(math.log(2))
    # The easy photo counts (1 - p)^2 times as much: p = 1/2 here.
    assert focal_loss(logits, labels, gamma=2, smoothing=0).item() == pytest.approx(math.log(2) / 4)


def test_contrastive_loss_against_the_formula():
    a, b, same = unit([0, 0, 0, 30, 10]), unit([60, 60, 90, 40, 10]), torch.tensor([1, 0, 0, 0, 1])
    for margin in (1.0, 1.2):
        expected = 0.0
        for angle, genuine in zip([60, 60, 90, 10, 0], same.tolist(), strict=True):
            d = 2 * math.sin(math.radians(angle) / 2)
            expected += d**2 if genuine else max(0.0, margin - d) ** 2
        assert ContrastiveLoss(margin)(a, b, same).item() == pytest.approx(expected / 5, abs=1e-9)
    # d = 1 at 60 degrees: nothing left to push apart at margin 1, all of 1 to pull together.
    assert contrastive_loss(a[1:2], b[1:2], torch.zeros(1)).item() == pytest.approx(0, abs=1e-12)
    assert contrastive_loss(a[:1], b[:1], torch.ones(1)).item() == pytest.approx(1)


def test_contrastive_loss_of_equal_photos_has_finite_gradients():
    a = unit([20, 20]).requires_grad_()
    loss = contrastive_loss(a, unit([20, 20]), torch.tensor([0, 1]))
    loss.backward()
    assert loss.item() == pytest.approx(0.5, abs=1e-5)  # the impostor pair has the full margin of 1 to go
    assert torch.isfinite(a.grad).all()
    assert distance(a, a).max() <= 1e-6


def test_distillation_loss_of_known_angles():
    teacher = unit([0, 0, 0, 0])
    student = unit([0, 60, 90, 180]) * torch.tensor([[1.0], [2.0], [3.0], [4.0]])  # length does not matter
    assert distillation_loss(student, teacher).item() == pytest.approx((0 + 0.5 + 1 + 2) / 4)


def test_hard_pairs_by_hand():
    """Angles in degrees: a at 0 and 40 and a copy of the first at 1, b at 50 and 55, c at 120."""
    angles = np.deg2rad([0, 40, 1, 50, 55, 120])
    e = torch.tensor(np.stack([np.cos(angles), np.sin(angles)], 1))
    people, photos = torch.tensor([0, 0, 0, 1, 1, 2]), torch.tensor([0, 1, 0, 2, 3, 4])
    first, second, same = losses.hard_pairs(e, people, photos, share=0.5, strangers=2)
    # Genuine: a's 0-40 and 40-1, b's 5 degrees; half of three is one. Closest strangers: 40-50 and 40-55.
    found = [tuple(row) for row in torch.stack([first, second, same.long()], 1).tolist()]
    assert found == [(0, 1, 1), (1, 3, 0), (1, 4, 0)]
    alone = losses.hard_pairs(e[[0, 3]], people[[0, 3]], photos[[0, 3]])
    assert [part.tolist() for part in alone] == [[0], [1], [False]]  # no genuine pair
    copies = losses.hard_pairs(e[[0, 2]], people[[0, 2]], photos[[0, 2]])
    assert all(len(part) == 0 for part in copies)


def test_the_anchor_is_blind_to_a_turn_and_sees_what_comes_nearer():
    generator = torch.Generator().manual_seed(0)
    before = F.normalize(torch.randn(5, 4, generator=generator), dim=1)
    turn = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    assert losses.relation_loss(before @ turn, before).item() == pytest.approx(0, abs=1e-12)
    after = F.normalize(before + 0.5, dim=1)
    expected = sum(float(after[i] @ after[j] - before[i] @ before[j]) ** 2 for i in range(5) for j in range(5)) / 25
    assert losses.relation_loss(after, before).item() == pytest.approx(expected, abs=1e-6)
