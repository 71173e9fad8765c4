"""The network of a configuration: encoders, projections, fusion and heads.

Shapes: B utterances, T steps, W = width of an encoder, D = projection width, H = head width.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from msa_core.config import MODALITIES, Config
from msa_core.config_paths import fused_entries
from msa_core.data.batching import Batch
from msa_core.modules.dropout import Dropout
from msa_core.modules.encoders import ENCODERS
from msa_core.modules.fusion import FUSIONS
from msa_core.modules.labels import MULTIMODAL
from msa_core.modules.linear import Linear
from msa_core.streams import Streams


@dataclass(frozen=True, slots=True)
class Output:
    """What a model says of a batch.

    Attributes:
        prediction: [B], the multimodal prediction.
        unimodal: modality -> [B], one a unimodal head.
        projected: modality -> [B, D].
        hidden: modality or `multimodal` -> [B, H], the ReLU layer of each head.
    """

    prediction: Tensor
    unimodal: Mapping[str, Tensor]
    projected: Mapping[str, Tensor]
    hidden: Mapping[str, Tensor]


class Head(nn.Module):
    """One ReLU layer, dropout, and a single output: [B, W] -> ([B], [B, H])."""

    def __init__(self, features: int, width: int, dropout: float) -> None:
        super().__init__()
        self.hidden = Linear(features, width)
        self.dropout = Dropout(dropout, width)
        self.output = Linear(width, 1)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The prediction [B] and the hidden layer [B, H] before dropout."""
        hidden_BH = torch.relu(self.hidden(vectors))
        return self.output(self.dropout(hidden_BH)).squeeze(1), hidden_BH


class Model(nn.Module):
    """Late fusion: each modality encoded, projected to a common width, fused, and read by a head.

    A part that the configuration switches off is not built at all.
    """

    def __init__(self, config: Config, features: Mapping[str, int]) -> None:
        """Build the parameters without drawing any random number (see `build_model`).

        Args:
            config: what to build.
            features: modality -> features a frame, for at least the modalities in use.
        """
        super().__init__()
        used = [name for name in MODALITIES if getattr(config.model, name).use]
        width = config.model.projection.width
        self.encoders = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        for name in used:
            branch = getattr(config.model, name)
            self.encoders[name] = ENCODERS[branch.encoder](
                features[name], branch.width, branch.dropout
            )
            self.projections[name] = Linear(branch.width, width)
        self.fuse = FUSIONS[config.model.fusion.kind]
        self.head = Head(
            fused_entries(config),
            config.model.fusion.width,
            config.model.fusion.dropout,
        )
        unimodal = config.loss.unimodal
        self.unimodal_heads = nn.ModuleDict(
            {
                name: Head(width, unimodal.width, 0.0)
                for name in used
                if unimodal.kind != "none" and getattr(unimodal, name).weight > 0
            }
        )

    def forward(self, batch: Batch) -> Output:
        """Predictions and representations of a batch."""
        projected = {
            name: self.projections[name](encoder(batch.features[name], batch.lengths.get(name)))
            for name, encoder in self.encoders.items()
        }
        prediction, fused_hidden = self.head(self.fuse(list(projected.values())))
        unimodal, hidden = {}, {MULTIMODAL: fused_hidden}
        for name, head in self.unimodal_heads.items():
            unimodal[name], hidden[name] = head(projected[name])
        return Output(prediction=prediction, unimodal=unimodal, projected=projected, hidden=hidden)

    def dropouts(self) -> dict[str, Dropout]:
        """Every dropout by its name in the network."""
        return {
            name: module for name, module in self.named_modules() if isinstance(module, Dropout)
        }


def build_model(config: Config, features: Mapping[str, int]) -> Model:
    """The network without storage: what it is made of, but no parameters (see `fresh_parameters`).

    PyTorch's own initialisation would draw from the global generator.
    """
    with torch.device("meta"):
        return Model(config, features)


def fresh_parameters(model: Model, streams: Streams) -> dict[str, Tensor]:
    """Parameters to start from, each drawn from the stream of its own name, on the CPU.

    Every parameter is uniform in +-1/sqrt(fan-in), PyTorch's default range for linear and
    recurrent layers.
    """
    parameters = {}
    for path, module in model.named_modules():
        bound = _initial_bound(module)
        for name, parameter in module.named_parameters(prefix=path, recurse=False):
            generator = streams.generator("init", name, device=torch.device("cpu"))
            drawn = torch.rand(parameter.shape, generator=generator)
            parameters[name] = (2.0 * drawn - 1.0) * bound
    return parameters


def _initial_bound(module: nn.Module) -> float:
    if isinstance(module, nn.Linear):
        return 1.0 / math.sqrt(module.in_features)
    if isinstance(module, nn.LSTM):
        return 1.0 / math.sqrt(module.hidden_size)
    return math.nan  # a module with parameters of its own must be listed above
