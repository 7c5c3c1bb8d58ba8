import pytest
import torch

from facecom.models.losses import contrastive_loss, hard_pairs, relation_loss
from facecom.models.networks import build_model
from facecom.training.finetuning import layers
from facecom.training.finetuning.anchored import Anchored


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def network():
    torch.manual_seed(0)
    return build_model({"task": "siamese", "backbone": "test_convnext", "img_size": 32, "pool": "map"})


X = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
PEOPLE, PHOTOS = torch.tensor([0, 0, 1, 1, 2, 2]), torch.arange(6)


def step(model, loss, which, rate=0.05):
    found = loss(X, PEOPLE, PHOTOS)[0]
    optimizer = torch.optim.SGD(layers.learning(model, which, rate), lr=rate)
    optimizer.zero_grad()
    loss(X, PEOPLE, PHOTOS)[0].backward()
    optimizer.step()
    return found.item()


@pytest.mark.parametrize("which", ["top", "all"])
def test_the_loss_is_the_published_one_and_the_anchor(which):
    model = network()
    layers.learning(model, which, 0.1)
    loss = Anchored(model, which, margin=1.4, anchor=3.0)
    with torch.no_grad():
        model.projection[2].bias += 0.3
        e = model.eval().embed(X)
        model.projection[2].bias -= 0.3
        before = model.embed(X)
        model.projection[2].bias += 0.3
        first, second, same = hard_pairs(e, PEOPLE, PHOTOS)
        expected = contrastive_loss(e[first], e[second], same, 1.4) + 3 * relation_loss(e, before)
    found, embeddings = loss(X, PEOPLE, PHOTOS)
    assert found.item() == pytest.approx(expected.item(), abs=1e-5)
    torch.testing.assert_close(embeddings, e)


def test_a_strong_anchor_holds_what_a_weak_one_lets_go():
    moved = {}
    for anchor in (0.0, 50.0):
        model = network().train()
        loss = Anchored(model, "all", margin=1.4, anchor=anchor)
        with torch.no_grad():
            before = loss.start.embed(X)
        for _ in range(8):
            step(model, loss, "all")
        with torch.no_grad():
            moved[anchor] = relation_loss(model.eval().embed(X), before).item()
    assert 0 < moved[50.0] < moved[0.0] / 2


def test_of_one_photo_alone_there_is_nothing_to_learn():
    loss = Anchored(network(), "top", margin=1.4)
    found, _ = loss(X[:2], torch.tensor([4, 4]), torch.tensor([7, 7]))
    assert found.item() == pytest.approx(0, abs=1e-9)


def test_going_on_it_knows_its_start():
    model = network()
    loss = Anchored(model, "top", margin=1.4)
    state = {name: value.clone() for name, value in loss.state().items()}
    with torch.no_grad():
        model.projection[0].weight.zero_()
    again = Anchored(model, "top", margin=1.4)
    again.resume(state)
    assert all(torch.equal(value, again.state()[name]) for name, value in loss.state().items())
