import argparse

import numpy as np
import pandas as pd
import pytest
import torch

from facecom.models import mirror
from facecom.models.initial import initial_model
from facecom.training.adaptation import Gain
from facecom.training.gender import GenderJob, gender_figures
from facecom.training.siamese import SiameseJob

PREPROCESSING = {"size": 32, "mean": (0.5,) * 3, "std": (0.5,) * 3, "align": "fixed", "frame": "face"}
PREPROCESSING |= {"colour": "rgb", "mirror": True}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def people(genders, photos=2):
    rows = [
        (f"P{i}", f"P{i}_{n}", "clean", f"P{i}/P{i}_{n}.jpg", gender)
        for i, gender in enumerate(genders)
        for n in range(photos)
    ]
    table = pd.DataFrame(rows, columns=["identity", "photo", "condition", "file", "gender"])
    return table, np.random.default_rng(len(rows)).integers(0, 256, (len(rows), 32, 32, 3), np.uint8)


def job(kind, **more):
    defaults = {"recipe": "facecom", "amp": False, "conditions": "none", "align": "fixed", "seed": 3, "workers": 0}
    defaults |= {"lr": 0.1, "head_lr": 0.2, "weight_decay": 0.0, "epochs": 4, "batch_size": 4, "margin": 1.0}
    args = argparse.Namespace(**defaults | {"gamma": 2.0, "smoothing": 0.1, "balance": "none"} | more)
    start = initial_model(kind.task, "none", backbone="test_convnext", img_size=32)
    sets = {"train": people("mf" * 3), "held": people("mf"), "val": people("mmf")}
    for table, _ in sets.values():
        table["gender"] = table["gender"].map({"m": "male", "f": "female"})
    return kind(args, start, PREPROCESSING, sets, {}, torch.device("cpu"))


def test_answers_are_of_the_crops_as_they_are_in_their_order():
    one = job(SiameseJob)
    one.model.train()
    found = one.answers(lambda x: x.mean((1, 2, 3)), one.sets["val"][1])
    np.testing.assert_allclose(found, (one.sets["val"][1] / 127.5 - 1).mean((1, 2, 3)), atol=1e-6)
    assert not one.model.training
    embeddings = one.answers(one.model.embed, one.sets["val"][1])
    assert embeddings.shape == (6, 128) and embeddings.dtype == np.float32


@pytest.mark.parametrize("recipe, fresh", [("facecom", True), ("published", False)])
def test_pairs_are_drawn_fresh_each_epoch_or_once_as_published(recipe, fresh, monkeypatch):
    one = job(SiameseJob, recipe=recipe)
    seeds = []
    real = one.pairs
    monkeypatch.setattr(one, "pairs", lambda table, seed: seeds.append(seed) or real(table, seed))
    first, second, again = ([batch for batch in one.batches(epoch)] for epoch in (1, 2, 1))
    assert (seeds[0] != seeds[1]) is fresh and seeds[0] == seeds[2]
    assert not torch.equal(first[0][0], second[0][0])  # at least the order is the epoch's own
    assert torch.equal(first[0][0], again[0][0]) and torch.equal(first[0][2], again[0][2])


def test_siamese_loss_and_answers_of_a_batch():
    one = job(SiameseJob)
    x1, x2, same = next(iter(one.batches(1)))
    loss, close, truth = one.loss((x1, x2, same))
    with torch.no_grad():
        d = (one.model.embed(x1) - one.model.embed(x2)).norm(dim=1)
    expected = (same * d**2 + (1 - same) * (1 - d).clamp(min=0) ** 2).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-4)
    assert close.tolist() == (d <= 0.5).tolist() and truth.tolist() == same.bool().tolist()


def test_the_operating_point_comes_from_held_back_people_only():
    one = job(SiameseJob)
    row = one.evaluate()
    held = one.answers(lambda x: mirror.embed(one.model, x, True)[0], one.sets["held"][1])
    gap = np.linalg.norm(held[:2, None] - held[None, 2:], axis=-1)  # two people of two photos: 4 impostors each way
    point = one.operating_points[0]
    assert point["impostor"] == 8 and point["genuine"] == 4
    assert gap.min() - 1e-3 < point["threshold"] < gap.min() + 1e-6  # none is let in
    assert {name.split("_")[0] for name in row} == {"held", "val"}
    assert one.select in row and one.select == "held_tar@far=1e-3"


def test_published_siamese_recipe_keeps_its_threshold():
    one = job(SiameseJob, recipe="published")
    del one.sets["held"]
    row = one.evaluate()
    assert one.select == "val_accuracy" and one.select in row and one.operating_points[0]["threshold"] == 0.5
    rates = [one.set_lr(epoch + 0.5) for epoch in range(21)]  # the same through an epoch
    assert rates[0] == 0.1 and rates[5] == pytest.approx(0.05)
    assert rates[10] == pytest.approx(0, abs=1e-9) and rates[20] == pytest.approx(0.1)  # down and up in ten epochs each


def test_published_gender_learning_rates_restart_every_ten_epochs():
    one = job(GenderJob, recipe="published")
    body, head = one.optimizer.param_groups
    assert (body["lr"], head["lr"]) == (0.1, 0.2)
    assert len(body["params"]) + len(head["params"]) == len(list(one.model.parameters()))
    assert {id(p) for p in head["params"]} == {id(p) for p in one.model.classifier.parameters()}
    rates = [one.set_lr(epoch) for epoch in range(11)]
    assert rates == sorted(rates[:10], reverse=True) + [0.2] and rates[9] < 0.01
    assert (body["lr"], head["lr"]) == (0.1, 0.2)


@pytest.mark.parametrize("kind", [GenderJob, SiameseJob])
def test_learning_rates_fall_step_by_step_to_nothing_at_the_end_of_the_run(kind):
    one = job(kind, epochs=2)
    last = one.optimizer.param_groups[-1]["lr"]
    assert [one.set_lr(done) for done in (0, 0.5, 1, 2)] == pytest.approx(
        [last, last * (0.5 + 0.125**0.5), last / 2, 0], abs=1e-9
    )
    assert [group["lr"] for group in one.optimizer.param_groups] == pytest.approx([0] * len(one.optimizer.param_groups))


def test_gender_batches_carry_labels_and_weights():
    one = job(GenderJob, balance="weighted")
    one.sets["train"][0].loc[:1, "gender"] = "female"  # 4 photos of men, 8 of women
    batches = list(one.batches(1))
    female, weight = (torch.cat([batch[i] for batch in batches]) for i in (1, 2))
    assert sorted(zip(female.tolist(), weight.tolist(), strict=True)) == [(0, 1.5)] * 4 + [(1, 0.75)] * 8


def test_calibration_is_settled_on_held_back_people_before_val_is_judged():
    one = job(GenderJob)
    row = one.evaluate()
    assert one.temperature != 1.0 and one.select == "held_auc"
    (point,) = one.operating_points
    assert point["threshold"] == 0.5 and point["photos"] == 4 and point["identities"] == 2
    assert point["balanced_accuracy"] == row["held_balanced_accuracy"]
    other = job(GenderJob)
    other.resume(one.content())
    assert other.temperature == one.temperature and other.operating_points == one.operating_points


def test_the_threshold_is_fitted_where_there_are_enough_photos_like_those_to_be_judged():
    one = job(GenderJob)
    table = pd.DataFrame({"gender": ["male", "female"] * 40, "source": ["data_dir"] * 40 + ["other"] * 40})
    table["identity"] = [f"P{i}" for i in range(80)]
    female = (table["gender"] == "female").to_numpy()
    logits = np.where(female, 0.5, -2.5) + np.where(table["source"] == "other", 1.0, 0.0)
    logits += np.random.default_rng(0).normal(0, 0.8, 80)
    one.settle_on(table, logits)
    # Of the own photos the middle between the classes is -1, of the others 0.
    cut = 1 / (1 + np.exp(1 / one.temperature))
    assert one.threshold == pytest.approx(cut, abs=0.1) and one.operating_points[0]["photos"] == 40
    one.settle_on(table[20:], logits[20:])  # too few of them
    assert one.threshold == 0.5


def test_a_network_is_taken_off_the_side_that_it_leans_to():
    one = job(GenderJob)
    one.known = (2.0, 0.5)
    table = pd.DataFrame({"gender": ["male", "female"] * 40, "identity": [f"P{i}" for i in range(80)]})
    female = (table["gender"] == "female").to_numpy()
    logits = np.random.default_rng(0).normal(np.where(female, -2.0, -6.0), 1.5)
    bias = one.model.classifier.bias.item()
    shift = one.settle_on(table, logits)
    assert shift == pytest.approx(4, abs=0.7) and one.model.classifier.bias.item() == pytest.approx(bias + shift)
    # Cut where it was before, the network would call all male; that place has moved along.
    assert one.middle == pytest.approx(shift) and one.threshold == pytest.approx(0.5, abs=0.1)
    assert one.operating_points[0]["balanced_accuracy"] > 0.85
    assert one.settle_on(table, logits + shift) == 0  # once is enough
    assert one.settle_on(table[:30], logits[:30]) == 0 and not one.centred  # too few


def test_where_no_epoch_convinces_the_calibrated_start_is_what_is_told():
    one = job(GenderJob)
    one.known, one.judge_start = (1.0, 0.5), True
    one.sets["held"] = people(["male", "female"] * 10)
    one.evaluate()
    assert not torch.equal(one.model.classifier.bias, one.start_bias)
    one.gain = Gain(0.0, -1.0, 1.0, sure=False)
    assert "no epoch is better" in one.finish()[-1] and "fine-tuned" not in one.stages
    with torch.no_grad():
        one.model.classifier.weight.normal_()  # another scale alone is calibrated away
    one.finish()
    assert "fine-tuned" in one.stages


def test_each_source_counts_the_same_in_balanced_accuracy():
    table = pd.DataFrame({"gender": ["male", "female"] * 3, "source": ["a", "a", "b", "b", "b", "b"]})
    p = np.array([0.1, 0.9, 0.9, 0.9, 0.1, 0.9])  # a: all right; b: half of the men
    figures = gender_figures(table, p)
    assert figures["balanced_accuracy"] == pytest.approx((1 + 0.75) / 2)
    assert figures["auc"] == pytest.approx((1 + 0.75) / 2)  # b: of four pairs two right, two even
    assert figures["accuracy"] == pytest.approx(5 / 6)
    alone = gender_figures(table[table["gender"] == "male"], p[::2])
    assert np.isnan(alone["balanced_accuracy"]) and alone["accuracy"] == pytest.approx(2 / 3)
