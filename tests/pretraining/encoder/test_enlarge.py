import pytest
import torch

from facecom.models.networks import SiameseNet
from pretraining.encoder.enlarge import area_average, fitted_to


def network(size: int, pool: str = "map") -> SiameseNet:
    return SiameseNet(pool=pool, img_size=size, layer_scale=False, quality=True).eval()


def test_area_average_of_four_cells_on_three():
    expected = [[3 / 4, 1 / 4, 0, 0], [0, 1 / 2, 1 / 2, 0], [0, 0, 1 / 4, 3 / 4]]
    assert torch.allclose(area_average(4, 3), torch.tensor(expected), atol=1e-6)


def test_a_larger_map_is_projected_as_its_average():
    small, large = network(96), network(192)
    large.load_state_dict(fitted_to(large, small.state_dict()))
    features = torch.randn(2, 320, 3, 3)
    doubled = features.repeat_interleave(2, 2).repeat_interleave(2, 3)
    before, after = small.projection(small.neck(features)), large.projection(large.neck(doubled))
    assert torch.allclose(before, after, atol=1e-4)


def test_what_fits_stays_as_it_is():
    model = network(96)
    state = model.state_dict()
    assert fitted_to(model, state) is state


def test_weights_of_another_pooling_are_an_error():
    with pytest.raises(ValueError, match="another backbone or pooling"):
        fitted_to(network(96), network(96, "avg").state_dict())
