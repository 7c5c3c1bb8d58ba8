"""Which people are held back from training: by a hash of the name, so that every script and data set agrees."""

import hashlib


def is_held_back(identity: str, share: float = 0.1, seed: int = 0) -> bool:
    """Whether this identity (or family) is held back when `share` (0 to 1) of all are.

    The answer depends on nothing but the arguments; whoever is held back at a share is so at every larger one.
    """
    return held_back_position(identity, seed) < share


def held_back_position(identity: str, seed: int = 0) -> float:
    """A number from 0 to 1 that a name hashes to: at a share above it, the identity is held back."""
    digest = hashlib.sha256(f"{seed}/{identity}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def group_of(identity: str, source: str) -> str:
    """What must stay together when people are held back: in `fiw` the family (the part before `m`), else the person."""
    return identity.split("m")[0] if source == "fiw" else identity
