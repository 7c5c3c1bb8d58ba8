"""The backbones of the shipped weights in plain torch: timm, with its hundreds of networks, takes seconds to import.

Same names, state dicts and outputs as timm's; all other networks are timm's.
"""

from typing import Any

from torch import nn

from facecom.models.backbones.convnext import ConvNeXt
from facecom.models.backbones.residual import Maps


def is_known(name: str) -> bool:
    """Whether there is a network of this name, here or in timm."""
    if name in ("convnext_atto", "test_byobnet"):
        return True
    import timm

    return timm.is_model(name.split(".")[0])


def without_classifier(
    name: str, *, pool: str = "avg", img_size: int = 112, layer_scale: bool = True, **more: Any
) -> nn.Module:
    """A network without its classifier.

    name: any timm name; pool: `avg` -> features [B, F], `map` -> feature map [B, F, h, w] (convolutional backbones);
    img_size: square input in pixels, told to those that must know it (ViT, Swin); layer_scale: False leaves
    ConvNeXt's 1e-6 residual scales out, which a short training from scratch never grows; more: for `timm.create_model`.
    """
    if name == "convnext_atto" and not any(more.values()):
        return ConvNeXt((2, 2, 6, 2), (40, 80, 160, 320), pool=pool, layer_scale=layer_scale)
    import timm

    more |= {"num_classes": 0, "global_pool": "avg" if pool == "avg" else ""}
    try:
        network = timm.create_model(name, img_size=img_size, **more)
    except TypeError:  # convolutional networks take any size and do not know the argument
        network = timm.create_model(name, **more)
    return network if layer_scale else without_layer_scale(network)


def feature_maps(name: str, *, layer_scale: bool = True, **more: Any) -> nn.Module:
    """A network that gives its maps, [B, C, h, w] each, the finest first; more: for `timm.create_model`."""
    if name == "test_byobnet" and not more:
        return Maps()
    import timm

    network = timm.create_model(name, features_only=True, **more)
    return network if layer_scale else without_layer_scale(network)


def without_layer_scale(network: nn.Module) -> nn.Module:
    """timm's ConvNeXt without its residual scales; other networks have none of that name.

    `ls_init_value=None` would not do: `timm.create_model` drops arguments that are None.
    """
    from timm.models.convnext import ConvNeXtBlock

    for block in network.modules():
        if isinstance(block, ConvNeXtBlock):
            block.gamma = None
    return network
