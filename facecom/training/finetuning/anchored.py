"""The published loss on the hard pairs of a batch of people, and an anchor: what the network said before."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from facecom.models.losses import contrastive_loss, hard_pairs, relation_loss
from facecom.training import distributed
from facecom.training.finetuning.layers import hold_statistics

#: Photos of a person in a batch.
PHOTOS = 3

#: How much the anchor counts beside the contrastive loss.
ANCHOR = 5.0


class Anchored:
    """Loss of batches of people. model: a `SiameseNet` as it is when training starts; layers: `top` or `all`."""

    def __init__(self, model: nn.Module, layers: str, margin: float, anchor: float = ANCHOR):
        self.model, self.layers, self.margin, self.anchor = model, layers, margin, anchor
        #: What the start is known by: all of it, or where nothing else changes, the projection.
        self.start = copy.deepcopy(model.projection if layers == "top" else model).eval()
        for parameter in self.start.parameters():
            parameter.requires_grad_(False)

    def __call__(
        self, x: torch.Tensor, people: torch.Tensor, photos: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(loss, embeddings float32 [B, 128]) of photos float [B, 3, S, S]. people, photos: [B], see `hard_pairs`.
        Where several processes train, the loss is that of all their photos: hard pairs are looked for among them all.
        """
        hold_statistics(self.model)
        embeddings, before = self.looks(x)
        with torch.autocast(x.device.type, enabled=False):  # of cosines bfloat16 keeps three digits
            found, before, people, photos = distributed.whole_batch(embeddings.float(), before, people, photos)
            loss = self.anchor * relation_loss(found, before)
            first, second, same = hard_pairs(found, people, photos)
            if len(first):
                loss = loss + contrastive_loss(found[first], found[second], same, self.margin)
        return loss, embeddings

    def looks(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings float32 [B, 128] by the network, and by what it was."""
        if self.layers == "all":
            with torch.no_grad():
                before = self.start.embed(x)
            return self.model.embed(x), before
        self.model.encoder.eval()
        with torch.no_grad():
            features = self.model.neck(self.model.encoder(x))
            before = self.start(features)
        return F.normalize(self.model.projection(features).float(), dim=1), F.normalize(before.float(), dim=1)

    def state(self) -> dict[str, torch.Tensor]:
        """What `resume` needs: the start's weights."""
        return dict(self.start.state_dict())

    def resume(self, state: dict[str, torch.Tensor]) -> None:
        self.start.load_state_dict(state)
