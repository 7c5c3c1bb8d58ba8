"""The quality head brought to scale: order kept, figures that mean a cosine."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from facecom.models.networks import build_model
from pretraining.choosing.quality import bring_to_scale, platt


def test_platt_finds_the_scale_and_the_shift():
    logits = np.random.default_rng(0).normal(200, 150, 4000)
    shares = 1 / (1 + np.exp(-(0.01 * logits - 1.5)))
    scale, shift = platt(logits, shares)
    assert scale == pytest.approx(0.01, rel=0.02) and shift == pytest.approx(-1.5, abs=0.03)


def test_logits_that_say_the_opposite_are_an_error():
    logits = np.linspace(-3, 3, 100)
    with pytest.raises(ValueError, match="no better than chance"):
        platt(logits, 1 / (1 + np.exp(logits)))


def test_a_saturated_head_says_a_cosine_again_in_the_same_order():
    torch.manual_seed(0)
    model = build_model({"task": "siamese", "backbone": "test_convnext", "pool": "avg", "quality": True}).eval()
    crops = np.random.default_rng(0).integers(0, 256, (64, 64, 64, 3), np.uint8)
    crops = (crops * np.linspace(0.1, 1, 64)[:, None, None, None]).astype(np.uint8)

    def look(crops):
        with torch.inference_mode():
            return model.embed_with_quality(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1)

    def embed(crops):
        return look(crops)[0].numpy()

    with torch.no_grad():
        model.quality.bias.sub_(torch.logit(look(crops)[1]).mean())
        order = torch.logit(look(crops)[1]).argsort()
        spread = torch.logit(look(crops)[1]).std()
        model.quality.weight.mul_(100 / spread)
        model.quality.bias.mul_(100 / spread).add_(400)
    assert (look(crops)[1] == 1).all()
    own = look(crops)[0]
    away = F.normalize(torch.randn(64, own.shape[1], generator=torch.Generator().manual_seed(1)), dim=1)
    away = F.normalize(away - (away * own).sum(1, keepdim=True) * own, dim=1)
    cosine = torch.empty(64)
    cosine[order] = torch.linspace(0.2, 0.9, 64)
    targets = cosine[:, None] * own + (1 - cosine[:, None] ** 2).sqrt() * away
    bring_to_scale(model, crops, targets.numpy(), embed)
    quality = look(crops)[1]
    assert quality[order].diff().min() >= -1e-3  # float32 has few digits left behind 400
    assert (quality - cosine).abs().mean() < 0.12 and quality.mean() == pytest.approx(0.55, abs=0.02)
    np.testing.assert_array_equal(look(crops)[0], own)
