"""The networks: gender, face verification, landmarks, photographs. Attribute names are the published solution's."""

import contextlib
import threading
from collections.abc import Iterator, Mapping

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_parameter_registration_hook,
)

from facecom.models import backbones
from facecom.models.detector import FaceDetector

EMBEDDING_SIZE = 128

#: Pictures that a network sees at once on a CPU: more take memory, and no less time.
AT_ONCE = 32

#: Eyes, nose tip, mouth corners.
LANDMARKS = 5


def parts_of(rows, device: str | torch.device) -> list:
    """What a network sees one after the other of these rows, a list or a tensor: `AT_ONCE` on a CPU, all of them
    elsewhere, where more at once take less time."""
    size = AT_ONCE if torch.device(device).type == "cpu" else max(1, len(rows))
    return [rows[start : start + size] for start in range(0, max(1, len(rows)), size)]


def neck(network: nn.Module, pool: str, img_size: int) -> tuple[nn.Module, int]:
    """What stands between backbone and head, and the number of features that it hands on."""
    if pool == "avg":
        # Not `num_features`: some networks (MobileNetV3, VGG) have a layer behind the pooling.
        return nn.Identity(), network.head_hidden_size  # type: ignore[return-value]
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
        self.encoder = backbones.without_classifier(
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
        hidden = self.hidden(x)
        return F.normalize(self.projection[2](hidden).float(), dim=1), self.quality_of(hidden)

    def hidden(self, x: torch.Tensor) -> torch.Tensor:
        """The layer that embedding and quality are made of: [B, 512]. x: as for `embed`."""
        return self.projection[1](self.projection[0](self.neck(self.encoder(x))))

    def quality_of(self, hidden: torch.Tensor) -> torch.Tensor:
        """Quality float32 [B], 0 to 1, of what `hidden` gives; NaN where the network has no quality head."""
        if self.quality is None:
            return torch.full_like(hidden[:, 0], torch.nan, dtype=torch.float32)
        # The quality is learned from the features, never the features from the quality.
        return torch.sigmoid(self.quality(hidden.detach()).float()).squeeze(1)

    def forward(self, x1: torch.Tensor, x2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The embeddings of both photos, float32 [B, 128] each."""
        return self.embed(x1), self.embed(x2)


#: A normalised pixel counts as white from here on (with mean and std 0.5: 250 of 255).
WHITE = 0.96


def white_share(x: torch.Tensor) -> torch.Tensor:
    """Share of the middle of a crop that is white in all channels.

    x: float [B, 3, H, W], normalised. Returns float32 [B], 0 to 1.
    """
    height, width = x.shape[-2] // 4, x.shape[-1] // 4
    middle = x[..., height : x.shape[-2] - height, width : x.shape[-1] - width]
    return (middle.amin(1) >= WHITE).float().mean((1, 2))


class GenderClassifier(nn.Module):
    """Backbone and one logit; positive means female.

    overexposure: weights of version 0.1.0 add to the logit so many times the share of the crop that is white; new ones
    do not.
    """

    def __init__(
        self,
        backbone: str = "convnext_atto",
        *,
        pool: str = "avg",
        img_size: int = 112,
        layer_scale: bool = True,
        overexposure: bool = False,
        pretrained: bool = False,
    ):
        super().__init__()
        self.backbone = backbones.without_classifier(
            backbone, pool=pool, img_size=img_size, layer_scale=layer_scale, pretrained=pretrained
        )
        self.neck, features = neck(self.backbone, pool, img_size)
        self.classifier = nn.Linear(features, 1)
        self.register_buffer("overexposure", torch.zeros(()) if overexposure else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: float [B, 3, H, W], normalised. Returns logits, float [B]."""
        logits = self.classifier(self.neck(self.backbone(x))).squeeze(1)
        return logits if self.overexposure is None else logits + self.overexposure * white_share(x)


class LandmarkNet(nn.Module):
    """Five landmarks of the face in a roughly centred head photo, how far each may be off, and whether it is a face.

    A heatmap a landmark on the stride-8 map, which sees the deeper, wider maps through a top-down path (FPN, Lin et
    al., CVPR 2017); its soft-argmax (Sun et al., ECCV 2018) is the landmark, and the features that the heatmap points
    at refine it and say its error. The heatmap is one cell wider than the picture all round, so that a landmark
    at its edge, or just outside, can be said.

    backbone: any timm network that gives feature maps; channels: width of the merged map; backbone_arguments: more for
    `timm.create_model` (`dims`, `depths`).
    """

    def __init__(
        self,
        backbone: str = "convnext_atto",
        *,
        img_size: int = 112,
        channels: int = 64,
        layer_scale: bool = True,
        backbone_arguments: dict | None = None,
    ):
        super().__init__()
        self.img_size = img_size
        self.backbone = backbones.feature_maps(backbone, layer_scale=layer_scale, **(backbone_arguments or {}))
        info = self.backbone.feature_info
        self.levels = [level for level, stride in enumerate(info.reduction()) if stride >= 8]
        self.laterals = nn.ModuleList(nn.Conv2d(info.channels()[level], channels, 1) for level in self.levels)
        self.mix = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=3, groups=channels),
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, 2 * channels, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * channels, channels, 1),
        )
        self.heatmaps = nn.Conv2d(channels, LANDMARKS, 1)
        last = nn.Linear(128, LANDMARKS * 3 + 1)
        self.refine = nn.Sequential(nn.Linear(LANDMARKS * channels, 128), nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """x: float [B, 3, S, S], normalised.

        Returns landmarks float32 [B, 5, 2] (pixels of x), log of the expected error float32 [B, 5] (shares of the
        distance between the eyes: scale of a Laplace distribution), and a logit float32 [B], positive for a face.
        """
        maps = self.backbone(x)
        merged = None
        for level, lateral in zip(reversed(self.levels), reversed(self.laterals), strict=True):
            current = lateral(maps[level])
            if merged is not None:
                current = current + F.interpolate(merged, size=current.shape[-2:], mode="nearest")
            merged = current
        mixed = self.mix(merged)
        # Positions need more digits than bfloat16 has: landmarks moved by .8 % of the eye distance, now by .04 %.
        with torch.autocast(x.device.type, enabled=False):
            return self._locate(mixed.float())

    def _locate(self, merged: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        attention = self.heatmaps(merged).flatten(2).softmax(2)  # [B, 5, h * w]
        stride = self.img_size / (merged.shape[-1] - 2)
        cells = (torch.arange(merged.shape[-1], device=merged.device) - 0.5) * stride - 0.5  # centres, in pixels
        grid = torch.stack(torch.meshgrid(cells, cells, indexing="xy"), -1).flatten(0, 1)  # [h * w, 2]
        pointed_at = attention @ merged.flatten(2).transpose(1, 2)  # [B, 5, channels]
        offset, log_error, face = self.refine(pointed_at.flatten(1)).split((2 * LANDMARKS, LANDMARKS, 1), 1)
        return attention @ grid + stride * offset.unflatten(1, (LANDMARKS, 2)), log_error - 2, face.squeeze(1)


def face_confidence(log_error: torch.Tensor, face: torch.Tensor) -> torch.Tensor:
    """Probability that there is a face and that a landmark is within a tenth of the distance between the eyes.

    log_error: float [B, 5], face: logit [B], as `LandmarkNet` gives them. Returns float [B].
    """
    # A Laplace distribution in the plane: P(r < t) = 1 - (1 + t / b) exp(-t / b), t a tenth of the eye distance.
    ratio = 0.1 / log_error.exp().mean(1)
    return face.sigmoid() * (1 - (1 + ratio) * (-ratio).exp())


class PhotoDescriptor(nn.Module):
    """From the gradients of a small picture (`same_photo.gradients`) to numbers that tell photographs apart.

    side: of that picture in pixels; size: numbers a photo.
    """

    def __init__(self, side: int = 32, size: int = 128):
        super().__init__()
        self.discriminant = nn.Linear(2 * side * side, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: float [B, 2 * side * side]. Returns float [B, size], unit length."""
        return F.normalize(self.discriminant(x), dim=1)


@contextlib.contextmanager
def no_larger_than(state: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Networks that are built here must about fit these weights: a small file may name a network of any size.

    Raises ValueError at the first weight too many, before its memory is touched; in this thread only. Some more than
    the file holds is let through, for what timm builds and then leaves out.
    """
    stored = sum(
        {one.data_ptr(): one.untyped_storage().nbytes() // one.element_size() for one in state.values()}.values()
    )
    most, most_tensors = 10_000_000 + 4 * stored, 1000 + 4 * len(state)
    thread, built = threading.get_ident(), [0, 0]

    def count(module, name, value):
        if value is None or threading.get_ident() != thread:
            return
        built[0] += value.numel()
        built[1] += 1
        if built[0] > most or built[1] > most_tensors:
            raise ValueError(f"it is far larger than the {stored:,} numbers in the file")

    hooks = [hook(count) for hook in (register_module_parameter_registration_hook,
                                      register_module_buffer_registration_hook)]  # fmt: skip
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def build_model(config: dict) -> nn.Module:
    """The network that a checkpoint's `config` describes: `task` and the arguments of its class.

    Raises ValueError for an unknown task, RuntimeError for an unknown timm name.
    """
    arguments = dict(config)
    task = arguments.pop("task")
    classes = {"siamese": SiameseNet, "gender": GenderClassifier, "landmarks": LandmarkNet}
    classes |= {"same_photo": PhotoDescriptor, "detector": FaceDetector}
    if task not in classes:
        raise ValueError(f"unknown task {task!r}: one of {', '.join(classes)}")
    return classes[task](**arguments)
