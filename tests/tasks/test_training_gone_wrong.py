"""Training that goes wrong: one line at the first moment it can be known, and the best weights stay."""

import shutil

import pytest
import torch
from scripts import run

from facecom.errors import FacecomWarning
from facecom.models import checkpoint
from facecom.training import siamese
from facecom.training.preparation import open_tables

TINY = "--backbone test_convnext --pool map --img_size 32 --align fixed --init none --no-amp --conditions none"
TINY += " --epochs 2 --batch_size 4 --workers 0"


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def data_of(sample, folder):
    """A copy with clean photos alone, to be spoilt."""
    shutil.copytree(sample, folder / "data", ignore=shutil.ignore_patterns("distortion"))
    return folder / "data"


@pytest.fixture
def data_a(sample_a, here):
    return data_of(sample_a, here)


@pytest.fixture
def data_b(sample_b, here):
    return data_of(sample_b, here)


def train(capsys, task, data, *flags):
    """(exit code, lines on stdout, lines on stderr)."""
    places = ("--data_dir", data, "--run_dir", "run", "--output", "best.pt")
    code = run(task, *places, *TINY.split(), *flags, script="train")
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err.splitlines()


def people(split):
    return sorted(path for path in split.iterdir())


def one_photo_each(split):
    for person in people(split):
        for photo in sorted(person.glob("*.jpg"))[1:]:
            photo.unlink()


@pytest.mark.parametrize(
    "flags", [("--lr", "1e30", "--batch_size", 2), ("--lr", "1e30", "--batch_size", 512), ("--lr", "nan")]
)
def test_a_rate_that_blows_the_weights_up(data_b, capsys, flags):
    code, _, said = train(capsys, "B", data_b, *flags)
    assert code == 2 and len(said) == 1
    assert said[0].startswith("error: epoch ") or said[0].startswith("error: --lr ")
    assert "lower --lr" in said[0] or "must be" in said[0]


@pytest.mark.parametrize("what", ["the loss is no longer a number", "the gradients are no longer numbers"])
def test_the_best_weights_stay(data_b, capsys, monkeypatch, what):
    """The second epoch goes wrong in its first step."""
    real, calls = siamese.contrastive_loss, []

    def loss(a, b, same, margin):
        calls.append(1)
        right = real(a, b, same, margin)
        if len(calls) <= 1:
            return right
        return right * float("nan") if "loss" in what else (right * 1e-30).sqrt() * 1e30 * (right - right).sqrt()

    monkeypatch.setattr(siamese, "contrastive_loss", loss)
    code, _, said = train(capsys, "B", data_b)
    assert code == 2
    advice = "start again with a lower --lr; the best weights so far (epoch 1) are kept in best.pt"
    assert said == [f"error: epoch 2/2: {what} in batch 1: {advice}"]
    stored = checkpoint.load("best.pt", "siamese")
    assert stored.info["epoch"] == 1
    assert checkpoint.read("run/last.pt")["epoch"] == 1


def test_batches_that_are_too_small_or_too_large(data_b, capsys):
    small = ("--backbone", "test_resnet", "--pool", "avg", "--batch_size", 1)
    code, _, said = train(capsys, "B", data_b, *small)
    assert code == 2 and "a batch of 1 is too few for this --backbone" in said[0] and len(said) == 1
    code, out, said = train(capsys, "B", data_b, "--batch_size", 4096)
    assert code == 0 and not said and out[-1].startswith("best epoch")


@pytest.mark.parametrize("count, found", [(1, "1 person"), (2, "2 people")])
def test_too_few_people(data_b, capsys, count, found):
    for person in people(data_b / "train")[count:]:
        shutil.rmtree(person)
    code, out, said = train(capsys, "B", data_b)
    assert code == 2 and said[0].endswith(f"train: photos of {found}; training needs three, one of whom is held back")
    assert len(said) == 1 and not any("epoch" in line for line in out)


def test_people_whose_photos_cannot_be_read_are_none(data_b, capsys):
    held = ("Drawn_Person_000", "Drawn_Person_002")  # by their names
    spoilt = next(person for person in people(data_b / "train") if person.name not in held)
    for photo in spoilt.glob("*.jpg"):
        photo.write_bytes(b"no photo")
    code, out, said = train(capsys, "B", data_b)
    assert code == 2 and len(said) == 1
    assert said[0].startswith("error: training photos: only of 1 person that can be read"), said
    assert not any("epoch" in line for line in out)


def test_a_gender_without_readable_photos(data_a, capsys):
    for photo in (data_a / "train" / "female").iterdir():
        photo.write_bytes(b"no photo")
    code, out, said = train(capsys, "A", data_a)
    assert code == 2 and len(said) == 1
    assert said[0].startswith("error: training photos: only in male/ that can be read and are not held back; training")
    assert not any("epoch" in line for line in out)


def test_a_val_that_says_little(data_b, capsys):
    one_photo_each(data_b / "val")
    with pytest.warns(FacecomWarning, match="val photos: one photo a person, so no two photos of one person can be"):
        code, _, _ = train(capsys, "B", data_b, "--epochs", 1)
    assert code == 0
    shutil.rmtree("run")
    for person in people(data_b / "val")[1:]:
        shutil.rmtree(person)
    with pytest.warns(FacecomWarning, match="val photos: of one person only: .* nothing is reported on them"):
        code, out, _ = train(capsys, "B", data_b, "--epochs", 1)
    assert code == 0 and not any(line.startswith("  val ") for line in out)
    shutil.rmtree("run")
    code, _, said = train(capsys, "B", data_b, "--epochs", 1, "--recipe", "published", "--batch_size", 4)
    assert code == 2 and said[-1].startswith("error: val photos: of one person only: --recipe published selects")


def test_held_back_people_with_one_photo_each(data_b, capsys):
    one_photo_each(data_b / "train")
    with pytest.warns(FacecomWarning, match="held-back photos: one photo a person, .* chosen by accuracy alone"):
        code, _, _ = train(capsys, "B", data_b, "--epochs", 1)
    assert code == 0


def test_men_alone_in_val(data_a, capsys):
    shutil.rmtree(data_a / "val" / "female")
    with pytest.warns(FacecomWarning, match=r"val photos: in male/ only: AUC and balanced accuracy are undefined"):
        code, _, _ = train(capsys, "A", data_a, "--epochs", 1)
    assert code == 0


def test_labels_that_contradict_each_other(data_a, sample_b, here):
    for photo in sorted((data_a / "train" / "male").iterdir())[:2]:
        shutil.copy(photo, data_a / "train" / "female" / f"copy_{photo.name}")
    said = (
        r"train: 2 files have the same content as another with another gender, such as .*: one label of each is wrong"
    )
    with pytest.warns(FacecomWarning, match=said):
        open_tables("A", data_a, False)
    data_b = data_of(sample_b, here / "beside")
    first, second, *_ = people(data_b / "train")
    shutil.copy(next(first.glob("*.jpg")), second / "also.jpg")
    with pytest.warns(FacecomWarning, match=r"train: 1 file has the same content as another with another identity"):
        open_tables("B", data_b, False)
