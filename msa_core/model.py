"""The network of a configuration: encoders, projections, fusion, heads and what is compared.

Shapes: B utterances, T steps, W = width of an encoder, D = projection width, H = head width.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from msa_core.config.alignment import aligned_pairs
from msa_core.config.fields import used_modalities
from msa_core.config.kinds import chosen, options_of
from msa_core.config.rules import fused_entries, head_width, reads_frames
from msa_core.config.schema import PAIRS, Config
from msa_core.config.unimodal import unimodal_heads
from msa_core.data.batching import Batch
from msa_core.modules.alignment.pairs import PairAlignment
from msa_core.modules.contrast.inference import INFERENCES
from msa_core.modules.contrast.terms import CONTRASTS
from msa_core.modules.encoders import ENCODERS
from msa_core.modules.fusion.simple import FUSIONS
from msa_core.modules.labels import MULTIMODAL
from msa_core.modules.missing import FrameMask, ModalityDropout
from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.parts.inputs import Numbers, Seen, Sizes, below
from msa_core.modules.parts.linear import Linear
from msa_core.modules.parts.stateful import Remembers
from msa_core.modules.parts.stochastic import Draws
from msa_core.tensors.random_streams import Streams


@dataclass(frozen=True, slots=True)
class Output:
    """What a model says of a batch.

    Attributes:
        prediction: [B], the multimodal prediction.
        unimodal: modality -> [B], one a unimodal head.
        projected: modality -> [B, D].
        hidden: modality or `multimodal` -> [B, H], the ReLU layer of each head.
        fused: [B, F], what the multimodal head reads.
        terms: name -> raw value of every term of the loss that the model's modules give, in
            training: `alignment.<pair>`, `contrast.<kind>`, `fusion.<term>`.
        logged: name -> a value worth a curve beside them.
        logits: name -> [B, C] of a classifier beside the prediction, in training.
    """

    prediction: Tensor
    unimodal: Mapping[str, Tensor]
    projected: Mapping[str, Tensor]
    hidden: Mapping[str, Tensor]
    fused: Tensor
    terms: Mapping[str, Tensor] = field(default_factory=dict)
    logged: Mapping[str, Tensor] = field(default_factory=dict)
    logits: Mapping[str, Tensor] = field(default_factory=dict)


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


class LinearHead(nn.Module):
    """A single output that is a weighted sum: [B, W] -> ([B], [B, W])."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.output = Linear(features, 1)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """The prediction [B], and the vectors as they came in place of a hidden layer."""
        return self.output(vectors).squeeze(1), vectors


class Model(nn.Module):
    """Late fusion: each modality encoded, projected to a common width, fused, and read by a head.

    A part that the configuration switches off is not built at all.
    """

    def __init__(self, config: Config, features: Mapping[str, int], bound: float) -> None:
        """Build the parameters without drawing any random number; see `build_model`."""
        super().__init__()
        self.bound = bound
        used = used_modalities(config)
        width = config.model.projection.width
        fused = fused_entries(config)
        self.encoders = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        for name in used:
            branch = getattr(config.model, name)
            encoder = ENCODERS[branch.encoder](
                features[name],
                branch.width,
                branch.dropout,
                options_of(config, "encoder", branch.encoder),
            )
            encoder.gives_frames = reads_frames(config)
            self.encoders[name] = encoder
            self.projections[name] = Linear(branch.width, width)
        kind = config.model.fusion.kind
        self.fusion = FUSIONS[kind](used, width, options_of(config, "fusion", kind))
        self.reads_frames = reads_frames(config)
        own = config.model.fusion
        self.head = (
            LinearHead(fused) if own.head == "linear" else Head(fused, own.width, own.dropout)
        )
        infer = INFERENCES.get(config.procedure.kind)
        self.inference = (
            infer(options_of(config, "procedure", config.procedure.kind), used, head_width(config))
            if infer
            else None
        )
        self.unimodal_heads = nn.ModuleDict(
            {name: Head(width, config.loss.unimodal.width, 0.0) for name in unimodal_heads(config)}
        )
        self.aligned_layer = config.loss.alignment.layer
        self.alignments = nn.ModuleDict(
            {pair: PairAlignment(config, pair) for pair in aligned_pairs(config)}
        )
        sizes = Sizes(
            features={name: features[name] for name in used},
            encoded={name: getattr(config.model, name).width for name in used},
            projected=width,
            fused=fused,
            bound=bound,
        )
        self.contrasts = nn.ModuleDict(
            {
                kind: CONTRASTS[kind](options_of(config, "contrast", kind), sizes)
                for kind in chosen(config, "contrast")
                if options_of(config, "contrast", kind).weight > 0
            }
        )
        missing = config.missing
        self.frame_masks = nn.ModuleDict(
            {name: FrameMask(missing.frames) for name in used if missing.frames > 0}
        )
        self.modality_dropout = (
            ModalityDropout(missing.modalities) if missing.modalities > 0 else None
        )
        if config.control.unused:
            self.unused = Linear(width, config.control.unused)

    def forward(self, batch: Batch, numbers: Numbers, only: Sequence[str] | None = None) -> Output:
        """Predictions, representations and, in training, the modules' terms of the loss.

        Args:
            batch: of the data.
            numbers: the member's `free_numbers` (`vectorised.pack_key`); not read outside training.
            only: modalities to read; None = all of the model.
        """
        seen, hidden = self._seen(batch, only)
        fused_BF, own_terms = self.fusion(self._at_the_fusion(seen, batch))
        prediction_B, hidden[MULTIMODAL] = self.head(fused_BF)
        terms = {f"fusion.{name}": raw for name, raw in own_terms.items()}
        logged: dict[str, Tensor] = {}
        if self.training and only is None:
            of_pairs, logged = self._alignment_terms(seen, hidden, numbers)
            contrasted = self._contrast_terms(dataclasses.replace(seen, fused=fused_BF), numbers)
            terms = {**of_pairs, **contrasted, **terms}
        logits: dict[str, Tensor] = {}
        if self.inference is not None:
            if self.training:
                logits = self.inference.logits(hidden[MULTIMODAL])
            elif only is None:
                prediction_B = self.inference(self.head, seen)
        return Output(
            prediction=prediction_B,
            unimodal=seen.unimodal,
            projected=seen.projected,
            hidden=hidden,
            fused=fused_BF,
            terms=terms,
            logged=logged,
            logits=logits,
        )

    def expect(self, whole: Batch) -> None:
        """Tell the modules that draw something for each frame how many frames train has.

        Args:
            whole: train.
        """
        for name, mask in self.frame_masks.items():
            assert isinstance(mask, FrameMask)
            mask.steps = whole.features[name].shape[1]

    def draws(self) -> dict[str, Draws]:
        """Every module that needs random numbers, by its name in the network."""
        return {name: module for name, module in self.named_modules() if isinstance(module, Draws)}

    def memories(self) -> dict[str, Tensor]:
        """What its modules keep from step to step, as it is at the start, by buffer name."""
        return {
            f"{path}.{name}": value
            for path, module in self.named_modules()
            if isinstance(module, Remembers)
            for name, value in module.fresh.items()
        }

    def _seen(self, batch: Batch, only: Sequence[str] | None) -> tuple[Seen, dict[str, Tensor]]:
        """Every modality up to the fusion, and the hidden layers of the unimodal heads."""
        names = [name for name in self.encoders if only is None or name in only]
        features = {name: batch.features[name] for name in names}
        for name, mask in self.frame_masks.items():
            if name in features:
                features[name] = mask(features[name])
        encoded, projected, frames, unimodal, hidden = {}, {}, {}, {}, {}
        for name in names:
            encoded[name], frames_BTW = self.encoders[name](features[name], batch.lengths.get(name))
            projected[name] = self.projections[name](encoded[name])
            if self.reads_frames:
                frames[name] = self.projections[name](frames_BTW)
            if name in self.unimodal_heads:
                unimodal[name], hidden[name] = self.unimodal_heads[name](projected[name])
        seen = Seen(
            features=features,
            lengths=batch.lengths,
            encoded=encoded,
            projected=projected,
            frames=frames,
            present={name: batch.present[name] for name in names if name in batch.present},
            unimodal=unimodal,
            labels=batch.labels if self.training else batch.labels[:0],
            bound=self.bound,
            encode=lambda name, features: self._vector(name, features, batch),
        )
        return seen, hidden

    def _at_the_fusion(self, seen: Seen, batch: Batch) -> Seen:
        """Without the modalities that are missing there, in training also those taken out."""
        if self.training and self.modality_dropout is not None:
            all_B = torch.ones_like(batch.labels)
            present = {name: seen.present.get(name, all_B) for name in seen.projected}
            seen = dataclasses.replace(seen, present=self.modality_dropout(present))
        return _without_absent(seen) if seen.present else seen

    def _vector(self, name: str, features: Tensor, batch: Batch) -> Tensor:
        encoded_BW, _ = self.encoders[name](features, batch.lengths.get(name))
        projected_BD: Tensor = self.projections[name](encoded_BW)
        return projected_BD

    def _contrast_terms(self, seen: Seen, numbers: Numbers) -> dict[str, Tensor]:
        return {
            f"contrast.{kind}": contrast(seen, below(numbers, f"loss.contrast.{kind}"))
            for kind, contrast in self.contrasts.items()
        }

    def _alignment_terms(
        self, seen: Seen, hidden: Mapping[str, Tensor], numbers: Numbers
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        layers = {"encoder": seen.encoded, "projector": seen.projected, "head": hidden}
        vectors = layers[self.aligned_layer]
        terms, logged = {}, {}
        for pair, alignment in self.alignments.items():
            first, second = PAIRS[pair]
            raw, beside = alignment(vectors[first], vectors[second], numbers)
            terms[f"alignment.{pair}"] = raw
            logged.update({f"alignment.{pair}.{name}": value for name, value in beside.items()})
        return terms, logged


def _without_absent(seen: Seen) -> Seen:
    """Zeros in place of what is not there."""

    def there(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        # Chosen, not multiplied: -1 * 0 is -0, and so a trace of what is not there.
        return {
            name: torch.where(
                seen.present[name].reshape(-1, *[1] * (one.dim() - 1)) > 0,
                one,
                torch.zeros_like(one),
            )
            for name, one in values.items()
        }

    return dataclasses.replace(
        seen,
        encoded=there(seen.encoded),
        projected=there(seen.projected),
        frames=there(seen.frames),
    )


def build_model(config: Config, features: Mapping[str, int], bound: float = 3.0) -> Model:
    """The network without storage: what it is made of, but no parameters (see `fresh_parameters`).

    PyTorch's own initialisation would draw from the global generator.

    Args:
        config: what to build.
        features: modality -> features a frame, for at least the modalities in use.
        bound: labels lie in [-bound, bound]; read in training only.
    """
    with torch.device("meta"):
        return Model(config, features, bound)


def fresh_parameters(model: Model, streams: Streams) -> dict[str, Tensor]:
    """Parameters to start from, each drawn from the stream of its own name, on the CPU.

    Every parameter is uniform in +-1/sqrt(fan-in), PyTorch's default range for linear,
    convolutional and recurrent layers. A module with a method `initial(name, drawn)` makes its own
    from numbers uniform in [-1, 1) of the parameter's shape.
    """
    parameters = {}
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(prefix=path, recurse=False):
            generator = streams.generator("init", name, device=torch.device("cpu"))
            drawn = 2.0 * torch.rand(parameter.shape, generator=generator) - 1.0
            if hasattr(module, "initial"):
                parameters[name] = module.initial(name.removeprefix(path + "."), drawn)
            else:
                parameters[name] = drawn * _initial_bound(module)
    return parameters


def _initial_bound(module: nn.Module) -> float:
    if isinstance(module, nn.Linear):
        return 1.0 / math.sqrt(module.in_features)
    if isinstance(module, nn.Conv1d):
        return 1.0 / math.sqrt(module.in_channels * module.kernel_size[0])
    if isinstance(module, nn.LSTM | nn.GRU):
        return 1.0 / math.sqrt(module.hidden_size)
    return math.nan  # a module with parameters of its own must be listed above
