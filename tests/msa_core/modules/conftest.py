"""What the tests of modules share: a contrast with tensors of its own, outside any model."""

import dataclasses

import pytest
import torch

from msa_core.config.contrast import ContrastConfig
from msa_core.config.fields import MODALITIES
from msa_core.config.kinds import module_of
from msa_core.config.schema import Config
from msa_core.model import fresh_parameters
from msa_core.modules.parts.inputs import EncodedBatch, Sizes, numbers_below
from msa_core.modules.parts.stateful import StatefulModule
from msa_core.modules.parts.stochastic import StochasticModule
from msa_core.tensors.random_streams import Streams
from msa_core.vectorised.pack_key import free_numbers
from spaces.fields.paths import replace


class Contrasting:
    """A contrast in training: its parameters, random numbers, memory and one member's numbers.

    Attributes:
        module: the contrast.
        tensors: name -> what it holds; change them in place, or by `load`.
    """

    def __init__(self, kind, sizes, *, rows=8, seed=0, dtype=torch.float64, **options):
        section = f"loss.contrast.{kind}"
        changes = {f"{section}.{name}": value for name, value in options.items()}
        config = replace(Config(), {f"{section}.use": True, **changes})
        self.numbers = numbers_below(free_numbers(config), section)
        own = dataclasses.replace(getattr(ContrastConfig(), kind), **options)
        with torch.device("meta"):
            self.module = module_of(Config, "contrast", kind)(own, sizes).train()
        tensors = fresh_parameters(self.module, Streams(seed))
        self.parameters = list(tensors)
        for path, module in self.module.named_modules():
            if isinstance(module, StatefulModule):
                tensors |= {f"{path}.{name}": value for name, value in module.initial_state.items()}
            if isinstance(module, StochasticModule):
                generator = Streams(seed).generator("draws", path, device=torch.device("cpu"))
                rate = torch.tensor(module.rate)
                drawn = module.prepare_draws(module.draw(module.rate, rows, generator), rate)
                tensors[f"{path}.drawn"] = drawn if module.rate else torch.empty(0)
        self.load({name: value.to(dtype) for name, value in tensors.items()})

    @property
    def tensors(self):
        return {
            **dict(self.module.named_parameters()),
            **dict(self.module.named_buffers()),
        }

    def load(self, tensors):
        """Put these in the place of those of the same names."""
        modules = dict(self.module.named_modules())
        for path, value in tensors.items():
            owner, _, name = path.rpartition(".")
            if path in self.parameters:
                modules[owner]._parameters[name] = torch.nn.Parameter(value)
            else:
                modules[owner]._buffers[name] = value

    def __call__(self, seen, **numbers):
        return self.module(seen, {**self.numbers, **numbers})


@pytest.fixture
def contrasting():
    """Builds a contrast: kind, sizes, rows of a batch and options -> `Contrasting`."""
    return Contrasting


def sizes(width, features=None, fused=1, bound=3.0, modalities=MODALITIES):
    """Widths of a model."""
    return Sizes(
        features=features or dict.fromkeys(modalities, width),
        encoded=dict.fromkeys(modalities, width),
        projected=width,
        fused=fused,
        bound=bound,
    )


@pytest.fixture
def sized():
    """Builds `Sizes`."""
    return sizes


@pytest.fixture
def seeing():
    """Builds a batch from projected vectors, modality -> [B, D], and anything else of it."""

    def build(projected, **parts):
        first = next(iter(projected.values()))
        return EncodedBatch(
            **{
                "features": projected,
                "lengths": {},
                "encoded": projected,
                "projected": projected,
                "labels": torch.zeros(len(first), dtype=first.dtype),
                **parts,
            }
        )

    return build
