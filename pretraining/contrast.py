"""Telling people apart by contrast: which of many views is of the same person."""

import torch
from torch.nn import functional as F

#: Views of a source from which on it is said what they have in common.
ENOUGH = 40


def contrast(one: torch.Tensor, other: torch.Tensor, temperature: float, source: torch.Tensor) -> torch.Tensor:
    """InfoNCE (van den Oord et al., 2018; both ways as in CLIP, Radford et al., ICML 2021) of unit rows [C, D] and
    [C, D], of the same people in the same order: the mean over both ways of the cross-entropy of
    softmax(cosine / temperature) to one's own, among people of one source, int [C]."""
    scores, own = one @ other.T / temperature, torch.arange(len(one))
    scores = scores.masked_fill(source[:, None] != source[None], -torch.inf)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def in_common(rows: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """The squared length of the mean of unit rows [C, D] of each source, int [C], summed over those of enough rows."""
    parts = [rows[source == one] for one in source.unique()]
    return sum((part.mean(0).square().sum() for part in parts if len(part) >= ENOUGH), rows.new_zeros(()))


class Remembered:
    """InfoNCE of small batches among thousands: strangers are the keys of this batch and of those before it (MoCo: He
    et al., CVPR 2020). Keys are said by the averaged network, which changes slowly; were they what the network itself
    has said, it could win by moving away from all that it said before.

    source: int64 [people], of each person: strangers are of one's own, for from others they are told by how their
    photos were taken; size: keys remembered; temperature: of the softmax.
    """

    def __init__(self, source: torch.Tensor, size: int, temperature: float):
        self.source, self.size, self.temperature = source, size, temperature
        self.keys, self.people = None, source.new_empty(0)

    def __call__(self, rows: torch.Tensor, keys: torch.Tensor, people: torch.Tensor) -> torch.Tensor:
        """The mean loss of unit rows [B, D] against unit keys [B, D], of the same people in the same order; people:
        int64 [B], those below 0 are left out, for nobody knows who they are. Remembers the keys."""
        known = people >= 0
        rows, keys, people = rows[known].float(), keys[known].float(), people[known]
        everybody = torch.cat([people, self.people.to(people)])
        keys = keys if self.keys is None else torch.cat([keys, self.keys.to(keys)])
        self.keys, self.people = keys[: self.size], everybody[: self.size]
        if not len(rows):
            return rows.sum()
        source, own = self.source.to(people), torch.arange(len(rows), device=rows.device)
        counts = (people[:, None] != everybody) & (source[people][:, None] == source[everybody])
        counts[own, own] = True
        with torch.autocast(rows.device.type, enabled=False):
            scores = rows @ keys.T / self.temperature
        return F.cross_entropy(scores.masked_fill(~counts, -torch.inf), own)
