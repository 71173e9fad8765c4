"""Random streams with names: what one module draws never changes what another one draws."""

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Streams:
    """The random streams of one training, keyed by its seed, a salt and a name.

    A stream never depends on how much another one has drawn, on the epoch reached, or on what
    else trains beside it.

    Attributes:
        seed: Seed of the cell.
        salt: Name of the placebo; `off` for none.
    """

    seed: int
    salt: str = "off"

    def generator(self, *name: str | int, device: torch.device) -> torch.Generator:
        """Create a fresh generator for a stream, named e.g. `("dropout", "head", epoch)`."""
        text = "/".join(str(part) for part in (self.seed, self.salt, *name))
        # A hash and no counter: equal names give equal streams in any process and in any order.
        digest = hashlib.sha256(text.encode()).digest()
        generator = torch.Generator(device=device)
        # One bit less than 64: PyTorch's seeds are signed.
        generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
        return generator
