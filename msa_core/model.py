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
from msa_core.config.fields import PAIRS, used_modalities
from msa_core.config.kinds import chosen_kinds, import_named, module_of, options_of
from msa_core.config.rules import fused_entries, head_width, reads_frames
from msa_core.config.schema import Config
from msa_core.config.unimodal import unimodal_heads
from msa_core.data.batching import Batch
from msa_core.modules.alignment.pairs import PairAlignment
from msa_core.modules.missing import FrameMask, ModalityDropout
from msa_core.modules.parts.dropout import Dropout
from msa_core.modules.parts.inputs import EncodedBatch, Numbers, Sizes, numbers_below
from msa_core.modules.parts.linear import Linear
from msa_core.modules.parts.stateful import StatefulModule
from msa_core.modules.parts.stochastic import StochasticModule
from msa_core.modules.unimodal_labels import MULTIMODAL
from msa_core.tensors.random_streams import Streams


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Predictions, representations and loss terms of a model on a batch.

    Attributes:
        prediction: Multimodal prediction [B].
        unimodal: Modality -> prediction [B] of its unimodal head.
        projected: Modality -> projected vectors [B, D].
        hidden: Modality or `multimodal` -> ReLU layer of its head, [B, H].
        fused: Vectors [B, F] that the multimodal head reads.
        terms: Name -> raw value of every term of the loss that the model's modules return, in
            training: `alignment.<pair>`, `contrast.<kind>`, `fusion.<term>`.
        logged: Name -> value that is logged as a curve beside the terms.
        logits: Name -> logits [B, C] of a classifier beside the prediction, in training.
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
        """Return the prediction [B] and the hidden layer [B, H] before dropout."""
        hidden_BH = torch.relu(self.hidden(vectors))
        return self.output(self.dropout(hidden_BH)).squeeze(1), hidden_BH


class LinearHead(nn.Module):
    """A single output that is a weighted sum: [B, W] -> ([B], [B, W])."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.output = Linear(features, 1)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the prediction [B], and the vectors in place of a hidden layer."""
        return self.output(vectors).squeeze(1), vectors


class Model(nn.Module):
    """Late fusion: each modality encoded, projected to a common width, fused, and read by a head.

    A part that the configuration switches off is not built at all.
    """

    def __init__(self, config: Config, features: Mapping[str, int], bound: float) -> None:
        """Build the parameters without drawing any random number; see `build_model`."""
        super().__init__()
        self.bound = bound
        kinds = type(config)
        used = used_modalities(config)
        width = config.model.projection.width
        fused = fused_entries(config)
        self.encoders = nn.ModuleDict()
        self.projections = nn.ModuleDict()
        for name in used:
            branch = getattr(config.model, name)
            encoder = module_of(kinds, "encoder", branch.encoder)(
                features[name],
                branch.width,
                branch.dropout,
                options_of(config, "encoder", branch.encoder),
            )
            encoder.gives_frames = reads_frames(config)
            self.encoders[name] = encoder
            self.projections[name] = Linear(branch.width, width)
        # Names of attributes are names of parameters, which name the streams that they are drawn
        # from: a module renamed here starts from other numbers.
        kind = config.model.fusion.kind
        self.fusion = module_of(kinds, "fusion", kind)(
            used, width, options_of(config, "fusion", kind)
        )
        self.reads_frames = reads_frames(config)
        own = config.model.fusion
        self.head = (
            LinearHead(fused) if own.head == "linear" else Head(fused, own.width, own.dropout)
        )
        steps = options_of(config, "procedure", config.procedure.kind)
        self.inference = (
            import_named(steps.inference)(steps, used, head_width(config))
            if steps.inference
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
        # A module whose term has weight 0 is not built: 0 * nan is nan, and what is off must leave
        # every number as if it were absent.
        self.contrasts = nn.ModuleDict(
            {
                kind: module_of(kinds, "contrast", kind)(
                    options_of(config, "contrast", kind), sizes
                )
                for kind in chosen_kinds(config, "contrast")
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
        # Read by no output: a control that must change no number.
        if config.control.unused:
            self.unused = Linear(width, config.control.unused)

    def forward(
        self, batch: Batch, numbers: Numbers, only: Sequence[str] | None = None
    ) -> ModelOutput:
        """Compute predictions, representations and, in training, the modules' terms of the loss.

        Args:
            batch: Batch of utterances.
            numbers: Member's `free_numbers` (`vectorised.pack_key`); not read outside training.
            only: Modalities to read; None = all of the model.
        """
        seen, hidden = self._encode_batch(batch, only)
        fused_BF, own_terms = self.fusion(self._apply_missing(seen, batch))
        prediction_B, hidden[MULTIMODAL] = self.head(fused_BF)
        terms = {f"fusion.{name}": raw for name, raw in own_terms.items()}
        logged: dict[str, Tensor] = {}
        # Alignments and contrasts compare modalities, so a step on some of them has no such term.
        if self.training and only is None:
            of_pairs, logged = self._alignment_terms(seen, hidden, numbers)
            fused = dataclasses.replace(seen, fused=fused_BF)
            contrasted = {
                f"contrast.{kind}": contrast(fused, numbers_below(numbers, f"loss.contrast.{kind}"))
                for kind, contrast in self.contrasts.items()
            }
            terms = {**of_pairs, **contrasted, **terms}
        logits: dict[str, Tensor] = {}
        if self.inference is not None:
            if self.training:
                logits = self.inference.training_logits(hidden[MULTIMODAL])
            elif only is None:
                prediction_B = self.inference(self.head, seen)
        return ModelOutput(
            prediction=prediction_B,
            unimodal=seen.unimodal,
            projected=seen.projected,
            hidden=hidden,
            fused=fused_BF,
            terms=terms,
            logged=logged,
            logits=logits,
        )

    def set_mask_steps(self, whole: Batch) -> None:
        """Set the number of frames in the modules that draw random numbers for each frame.

        Args:
            whole: All of train.
        """
        for name, mask in self.frame_masks.items():
            assert isinstance(mask, FrameMask)
            mask.steps = whole.features[name].shape[1]

    def stochastic_modules(self) -> dict[str, StochasticModule]:
        """Collect the modules that need random numbers, by their names in the network."""
        return {
            name: module
            for name, module in self.named_modules()
            if isinstance(module, StochasticModule)
        }

    def initial_states(self) -> dict[str, Tensor]:
        """Collect the stateful modules' buffers as they are before the first step, by name."""
        return {
            f"{path}.{name}": value
            for path, module in self.named_modules()
            if isinstance(module, StatefulModule)
            for name, value in module.initial_state.items()
        }

    def _encode_batch(
        self, batch: Batch, only: Sequence[str] | None
    ) -> tuple[EncodedBatch, dict[str, Tensor]]:
        """Compute every modality up to the fusion, and the hidden layers of the unimodal heads."""
        names = [name for name in self.encoders if only is None or name in only]
        features = {name: batch.features[name] for name in names}
        for name, mask in self.frame_masks.items():
            if name in features:
                features[name] = mask(features[name])
        encoded, projected, frames, unimodal, hidden = {}, {}, {}, {}, {}
        for name in names:
            encoded[name], frames_BTW = self.encoders[name](features[name], batch.lengths.get(name))
            projected[name] = self.projections[name](encoded[name])
            # One projection for vectors and frames: what a fusion reads of either has one space.
            if self.reads_frames:
                frames[name] = self.projections[name](frames_BTW)
            if name in self.unimodal_heads:
                unimodal[name], hidden[name] = self.unimodal_heads[name](projected[name])
        seen = EncodedBatch(
            features=features,
            lengths=batch.lengths,
            encoded=encoded,
            projected=projected,
            frames=frames,
            present={name: batch.present[name] for name in names if name in batch.present},
            unimodal=unimodal,
            # Outside training no module may look at a label.
            labels=batch.labels if self.training else batch.labels[:0],
            bound=self.bound,
            encode=lambda name, features: self._encode_view(name, features, batch),
        )
        return seen, hidden

    def _apply_missing(self, seen: EncodedBatch, batch: Batch) -> EncodedBatch:
        """Set modalities to zero that are missing, in training also those dropped at random."""
        # Only for the fusion: unimodal heads, alignments and contrasts read what is really there.
        if self.training and self.modality_dropout is not None:
            all_B = torch.ones_like(batch.labels)
            present = {name: seen.present.get(name, all_B) for name in seen.projected}
            seen = dataclasses.replace(seen, present=self.modality_dropout(present))
        return _without_absent(seen) if seen.present else seen

    def _encode_view(self, name: str, features: Tensor, batch: Batch) -> Tensor:
        encoded_BW, _ = self.encoders[name](features, batch.lengths.get(name))
        projected_BD: Tensor = self.projections[name](encoded_BW)
        return projected_BD

    def _alignment_terms(
        self, seen: EncodedBatch, hidden: Mapping[str, Tensor], numbers: Numbers
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


def _without_absent(seen: EncodedBatch) -> EncodedBatch:
    """Set the vectors and frames of absent modalities to zero."""

    def zero_absent(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
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
        encoded=zero_absent(seen.encoded),
        projected=zero_absent(seen.projected),
        frames=zero_absent(seen.frames),
    )


def build_model(config: Config, features: Mapping[str, int], bound: float = 3.0) -> Model:
    """Build the network without storage: its modules, but no parameters (see `fresh_parameters`).

    Args:
        config: Configuration of the network.
        features: Modality -> features per frame, for at least the modalities in use.
        bound: Largest absolute label; read in training only.
    """
    # PyTorch's own initialisation would draw from the global generator; on the `meta` device it
    # draws nothing.
    with torch.device("meta"):
        return Model(config, features, bound)


def fresh_parameters(model: Model, streams: Streams) -> dict[str, Tensor]:
    """Draw the initial parameters, each from the stream of its own name, on the CPU.

    Every parameter is uniform in +-1/sqrt(fan-in), PyTorch's default range for linear,
    convolutional and recurrent layers. A module with a method `initial(name, drawn)` makes its own
    from numbers uniform in [-1, 1) of the parameter's shape.
    """
    parameters = {}
    # A stream per name: a module that is left out does not move the numbers of the others.
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
    # A module with parameters of another kind needs a method `initial`; without one NaN shows it
    # in the first step.
    return math.nan
