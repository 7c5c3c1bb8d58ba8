import pytest
import torch

from facecom.models.networks import (
    EMBEDDING_SIZE,
    GenderClassifier,
    LandmarkNet,
    SiameseNet,
    build_model,
    parts_of,
    white_share,
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("pool", ["avg", "map"])
def test_siamese_embeddings_have_unit_length(pool):
    model = SiameseNet("test_convnext", pool=pool, img_size=64).eval()
    x1, x2 = torch.rand(2, 5, 3, 64, 64)
    a, b = model(x1, x2)
    assert a.shape == b.shape == (5, EMBEDDING_SIZE) and a.dtype == torch.float32
    assert torch.allclose(a.norm(dim=1), torch.ones(5), atol=1e-6)
    assert torch.equal(b, model.embed(x2))  # one encoder for both
    assert torch.isnan(model.embed_with_quality(x1)[1]).all()


def test_the_map_knows_where_things_are_and_the_average_does_not():
    x = torch.rand(4, 3, 64, 64)
    with torch.no_grad():
        for pool, same in (("avg", True), ("map", False)):
            model = SiameseNet("test_convnext", pool=pool, img_size=64).eval()
            features = model.encoder.forward_features(x)
            flipped = features.flip(-1)
            pooled = [model.neck(model.encoder.forward_head(f, pre_logits=True)) for f in (features, flipped)]
            assert torch.allclose(*pooled, atol=1e-5) is same


def test_quality_is_learned_from_the_features_and_never_the_other_way_round():
    model = SiameseNet("test_convnext", img_size=64, quality=True)
    _, quality = model.embed_with_quality(torch.rand(3, 3, 64, 64))
    assert quality.shape == (3,) and (quality > 0).all() and (quality < 1).all()
    quality.sum().backward()
    assert model.quality.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in model.encoder.parameters())


def test_gender_gives_a_logit_a_photo():
    model = GenderClassifier("test_convnext", img_size=64, pool="map").eval()
    logits = model(torch.rand(3, 3, 64, 64))
    assert logits.shape == (3,)
    with torch.no_grad():
        model.classifier.bias += 5
        assert torch.allclose(model(torch.ones(1, 3, 64, 64)) - 5, model(torch.ones(1, 3, 64, 64)) - 5)
        assert model.classifier.weight.shape == (1, model.neck[0].num_features * 2 * 2)


def test_white_is_counted_in_the_middle_where_all_channels_are():
    x = torch.full((3, 3, 8, 8), 0.5)
    x[1, :, :4] = 1.0
    x[1, 0, 2] = 0.9  # yellowish
    x[2] = 1.0
    x[2, :, 2:6, 2:6] = 0.5  # a white wall behind the face
    torch.testing.assert_close(white_share(x), torch.tensor([0.0, 0.25, 0.0]))


def test_weights_of_0_1_0_move_the_logit_of_white_crops():
    torch.manual_seed(0)
    model = build_model({"task": "gender", "backbone": "test_convnext", "img_size": 32, "overexposure": True}).eval()
    x = torch.stack([torch.zeros(3, 32, 32), torch.ones(3, 32, 32)])
    before = model(x)
    model.overexposure.fill_(-3)
    torch.testing.assert_close(model(x) - before, torch.tensor([0.0, -3.0]))
    assert "overexposure" in model.state_dict() and not [n for n, _ in model.named_parameters() if "over" in n]
    plain = build_model({"task": "gender", "backbone": "test_convnext", "img_size": 32})
    assert "overexposure" not in plain.state_dict()


def test_published_names():
    siamese = set(SiameseNet("convnext_atto").state_dict())
    assert {"encoder.stem.0.weight", "projection.0.weight", "projection.2.bias"} <= siamese
    assert {name.split(".")[0] for name in siamese} == {"encoder", "projection"}
    gender = set(GenderClassifier("convnext_atto").state_dict())
    assert {name.split(".")[0] for name in gender} == {"backbone", "classifier"}
    assert SiameseNet("convnext_atto").projection[0].weight.shape == (512, 320)


def test_layer_scale_can_be_left_out():
    with_scale = SiameseNet("convnext_atto").state_dict()
    without = SiameseNet("convnext_atto", layer_scale=False).state_dict()
    assert set(with_scale) - set(without) == {name for name in with_scale if name.endswith(".gamma")} != set()


def test_layer_scale_can_be_left_out_of_the_finder():
    for scales in (True, False):
        model = LandmarkNet("test_convnext", layer_scale=scales, channels=8)
        assert any("gamma" in name for name in model.state_dict()) is scales


def test_any_timm_network_of_any_size():
    for backbone in ("test_vit", "test_resnet", "mobilenetv3_small_050"):
        model = build_model({"task": "siamese", "backbone": backbone, "img_size": 96}).eval()
        assert model.embed(torch.rand(1, 3, 96, 96)).shape == (1, 128)


def test_build_model_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="unknown task 'age'"):
        build_model({"task": "age"})
    with pytest.raises(RuntimeError, match="convnext_zero"):
        build_model({"task": "gender", "backbone": "convnext_zero"})


def test_landmarks_are_located_in_float32_even_under_half_precision():
    model = build_model({"task": "landmarks", "backbone": "test_convnext", "img_size": 64, "channels": 16}).eval()
    seen = []
    for part in (model.heatmaps, model.refine):
        part.register_forward_hook(lambda module, given, output: seen.append(output.dtype))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        landmarks, _, _ = model(torch.zeros(1, 3, 64, 64))
    assert seen == [torch.float32] * 2 and landmarks.dtype == torch.float32


def test_a_processor_sees_32_at_once_and_another_device_all():
    rows = torch.arange(70)
    assert [len(part) for part in parts_of(rows, "cpu")] == [32, 32, 6]
    assert torch.equal(torch.cat(parts_of(rows, torch.device("cpu"))), rows)
    assert [len(part) for part in parts_of(rows, "cuda:0")] == [70]
    assert parts_of(rows[:0], "cpu")[0].shape == (0,) and parts_of([1, 2], "cpu") == [[1, 2]]
