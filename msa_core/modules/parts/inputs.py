"""Inputs of the modules after the encoders: a batch's features, vectors and labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from msa_core.modules.parts.similarity import Number

Numbers = Mapping[str, Number]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Widths in one model; the keys are the modalities that it reads, in the field's order.

    Attributes:
        features: Modality -> features per frame.
        encoded: Modality -> units of its encoder.
        projected: Width of every projected modality.
        fused: Width of the fused vector.
        bound: Largest absolute label, 3 for MOSI and 1 for SIMS.
    """

    features: Mapping[str, int]
    encoded: Mapping[str, int]
    projected: int
    fused: int
    bound: float = 3.0

    @property
    def modalities(self) -> list[str]:
        """The modalities that the model reads."""
        return list(self.features)


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodedBatch:
    """A batch on its way through the model; B utterances, T frames, D = width of the projection.

    Attributes:
        features: Modality -> frames [B, T, F], or their means [B, F] where the encoder pools.
        lengths: Modality -> number of valid frames [B]; of the modalities that are not pooled.
        encoded: Modality -> vectors [B, W].
        projected: Modality -> projected vectors [B, D].
        frames: Modality -> projected frames [B, T, D], where the fusion reads frames; padding is
            not zero there.
        present: Modality -> 1 or 0, [B]; empty = all are there. In a fusion the vectors and
            frames of an absent modality are zero.
        unimodal: Modality -> predictions of the unimodal heads [B].
        labels: Labels [B] in training, else empty.
        bound: Largest absolute label, 3 for MOSI and 1 for SIMS.
        fused: Fused vector [B, F]; None before the fusion.
        encode: Function of a modality and of features as above that returns projected vectors
            [B, D], for other views of the features.
    """

    features: Mapping[str, Tensor]
    lengths: Mapping[str, Tensor]
    encoded: Mapping[str, Tensor]
    projected: Mapping[str, Tensor]
    frames: Mapping[str, Tensor] = field(default_factory=dict)
    present: Mapping[str, Tensor] = field(default_factory=dict)
    unimodal: Mapping[str, Tensor] = field(default_factory=dict)
    labels: Tensor
    bound: float = 3.0
    fused: Tensor | None = None
    encode: Callable[[str, Tensor], Tensor] | None = None


def numbers_below(numbers: Numbers, section: str) -> dict[str, Number]:
    """Return the numbers of one section, by the rest of their path."""
    prefix = section + "."
    return {
        path.removeprefix(prefix): value
        for path, value in numbers.items()
        if path.startswith(prefix)
    }
