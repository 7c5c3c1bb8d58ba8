import numpy as np
import torch
from torch.nn import functional as F

from facecom.models import mirror
from facecom.models.loading import CropNetwork
from facecom.models.networks import build_model

torch.set_num_threads(1)

PREPROCESSING = {"size": 64, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "off", "colour": "rgb"}
CROPS = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8))


def network(task, mirror):
    torch.manual_seed(0)
    config = {"task": task, "backbone": "test_convnext", "img_size": 64, "layer_scale": False}
    model = build_model(config | ({"quality": True} if task == "siamese" else {})).eval()
    return CropNetwork(model, task, PREPROCESSING | {"mirror": mirror}, temperature=2.0)


def test_an_embedding_is_the_mean_of_both_sides_and_a_mirrored_photo_has_the_same():
    one, both = network("siamese", False), network("siamese", True)
    with torch.inference_mode():
        left, quality_left = one(CROPS)
        right, quality_right = one(CROPS.flip(2))
        found, quality = both(CROPS)
        torch.testing.assert_close(found, F.normalize(left + right, dim=1))
        torch.testing.assert_close(quality, (quality_left + quality_right) / 2)
        torch.testing.assert_close(both(CROPS.flip(2))[0], found)
        assert (left - found).abs().max() > 1e-3  # the two sides do differ


def test_a_probability_comes_from_the_mean_logit():
    one, both = network("gender", False), network("gender", True)
    with torch.inference_mode():
        logits = [torch.logit(one(crops)[0]) for crops in (CROPS, CROPS.flip(2))]
        torch.testing.assert_close(torch.logit(both(CROPS)[0]), sum(logits) / 2)
        x = one.prepare(CROPS)
        torch.testing.assert_close(mirror.logits(one.model, x, False), one.model(x))
