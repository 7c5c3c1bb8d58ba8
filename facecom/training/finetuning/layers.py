"""Which layers learn, and how fast."""

from torch import nn

#: Each part of the encoder learns so many times slower than the one above it.
SLOWER = 0.7


def learning(model: nn.Module, layers: str, lr: float) -> list[dict]:
    """Parameter groups of an optimizer for a `SiameseNet`; parameters that do not learn need no gradient from then on.

    layers: `top` (the projection) or `all` (the encoder too, the earlier the slower, by `SLOWER` each part). A quality
    head stays as it is: nobody tells it what it should say.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    parts: list = [model.projection]
    if layers == "all":
        parts += [model.neck, *reversed(parts_of(model.encoder))]
    groups = []
    for depth, part in enumerate(parts):
        own = list(part.parameters())
        for parameter in own:
            parameter.requires_grad_(True)
        if own:
            groups.append({"params": own, "lr": lr * SLOWER**depth})
    return groups[::-1]  # the last rate is the one that is shown


def parts_of(encoder) -> list[nn.Module]:
    """The parts of an encoder (a module) from the photo on: its children, those of `stages` or `blocks` one by one."""
    parts: list[nn.Module] = []
    for name, child in encoder.named_children():
        parts += list(child) if name in ("stages", "blocks") and isinstance(child, nn.Sequential) else [child]
    return parts


def hold_statistics(model: nn.Module) -> None:
    """Batch norms keep the statistics they have: those of a few people's photos are not worth more."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
