"""Random streams with names, so that one module's draws never move another's (laws 1 and 2)."""

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one training, keyed by its seed, a salt and a name.

    A stream never depends on how much another one has drawn, on the epoch reached, or on what
    else trains beside it.

    Attributes:
        seed: the cell's seed.
        salt: the placebo's name; `off` = no placebo.
    """

    seed: int
    salt: str = "off"

    def generator(self, *name: str | int, device: torch.device) -> torch.Generator:
        """A fresh generator for the stream of this name, e.g. `("dropout", "head", epoch)`."""
        text = "/".join(str(part) for part in (self.seed, self.salt, *name))
        digest = hashlib.sha256(text.encode()).digest()
        generator = torch.Generator(device=device)
        generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return generator
