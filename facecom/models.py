"""The networks: gender, face verification, landmarks. Attribute names are the published solution's."""

import timm
import torch
from torch import nn
from torch.nn import functional as F

EMBEDDING_SIZE = 128


def timm_backbone(name: str, *, pool: str = "avg", img_size: int = 112, layer_scale: bool = True, **kwargs) -> nn.Module:
    """A timm network without its classifier.

    name: any timm name; pool: `avg` -> features [B, F], `map` -> feature map [B, F, h, w] (convolutional backbones);
    img_size: square input in pixels, told to those that must know it (ViT, Swin); layer_scale: False leaves
    ConvNeXt's 1e-6 residual scales out, which a short training from scratch never grows.
    """
    if name.startswith("convnext") and not layer_scale:
        kwargs["ls_init_value"] = None
    kwargs |= {"num_classes": 0, "global_pool": "avg" if pool == "avg" else ""}
    try:
        return timm.create_model(name, img_size=img_size, **kwargs)
    except TypeError:  # convolutional networks take any size and do not know the argument
        return timm.create_model(name, **kwargs)


def neck(network: nn.Module, pool: str, img_size: int) -> tuple[nn.Module, int]:
    """What stands between backbone and head, and the number of features that it hands on."""
    if pool == "avg":
        return nn.Identity(), network.num_features
    training = network.training
    with torch.no_grad():
        _, channels, height, width = network.eval()(torch.zeros(1, 3, img_size, img_size)).shape
    network.train(training)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.Flatten()), channels * height * width


class SiameseNet(nn.Module):
    """Two photos through one encoder; unit embeddings to compare by Euclidean distance.

    pool: `avg` as published (encoder -> Linear 512, ReLU, Linear 128, unit length), or `map`: the encoder's spatial map
    is kept (batch norm, flatten), since on aligned faces position carries meaning.
    quality: adds a head that predicts from the hidden layer how far the embedding can be trusted, 0 to 1.
    """

    def __init__(
        self,
        backbone: str = "convnext_atto",
        *,
        pool: str = "avg",
        img_size: int = 112,
        layer_scale: bool = True,
        quality: bool = False,
        pretrained: bool = False,
    ):
        super().__init__()
        self.encoder = timm_backbone(
            backbone, pool=pool, img_size=img_size, layer_scale=layer_scale, pretrained=pretrained
        )
        self.neck, features = neck(self.encoder, pool, img_size)
        self.projection = nn.Sequential(nn.Linear(features, 512), nn.ReLU(), nn.Linear(512, EMBEDDING_SIZE))
        self.quality = nn.Linear(512, 1) if quality else None

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """x: float [B, 3, H, W], normalised. Returns float32 [B, 128], unit length."""
        return self.embed_with_quality(x)[0]

    def embed_with_quality(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(embeddings float32 [B, 128], quality float32 [B] in 0 to 1; NaN where the network has no quality head)."""
        hidden = self.projection[1](self.projection[0](self.neck(self.encoder(x))))
        embeddings = F.normalize(self.projection[2](hidden).float(), dim=1)
        if self.quality is None:
            return embeddings, torch.full_like(embeddings[:, 0], torch.nan)
        # The quality is learned from the features, never the features from the quality.
        return embeddings, torch.sigmoid(self.quality(hidden.detach()).float()).squeeze(1)

    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The embeddings of both photos, float32 [B, 128] each."""
        return self.embed(x1), self.embed(x2)


class GenderClassifier(nn.Module):
    """Backbone and one logit; positive means female."""

    def __init__(
        self,
        backbone: str = "convnext_atto",
        *,
        pool: str = "avg",
        img_size: int = 112,
        layer_scale: bool = True,
        pretrained: bool = False,
    ):
        super().__init__()
        self.backbone = timm_backbone(
            backbone, pool=pool, img_size=img_size, layer_scale=layer_scale, pretrained=pretrained
        )
        self.neck, features = neck(self.backbone, pool, img_size)
        self.classifier = nn.Linear(features, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: float [B, 3, H, W], normalised. Returns logits, float [B]."""
        return self.classifier(self.neck(self.backbone(x))).squeeze(1)


def build_model(config: dict) -> nn.Module:
    """The network that a checkpoint's `config` describes: `task` and the arguments of its class.

    Raises ValueError for an unknown task, RuntimeError for an unknown timm name.
    """
    arguments = dict(config)
    task = arguments.pop("task")
    classes = {"siamese": SiameseNet, "gender": GenderClassifier}
    if task not in classes:
        raise ValueError(f"unknown task {task!r}: one of {', '.join(classes)}")
    return classes[task](**arguments)
