"""What the modules after the encoders see of a batch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from msa_core.modules.parts.similarity import Number

Numbers = Mapping[str, Number]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """Widths in one model; the keys are the modalities that it reads, in the field's order.

    Attributes:
        features: modality -> features a frame.
        encoded: modality -> units of its encoder.
        projected: of every projected modality.
        fused: of the fused vector.
        bound: of the labels, 3 for MOSI and 1 for SIMS.
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
class Seen:
    """A batch on its way through the model; B utterances, T frames, D = width of the projection.

    Attributes:
        features: modality -> frames [B, T, F], or their means [B, F] where the encoder pools.
        lengths: modality -> valid frames [B]; of the modalities that are not pooled.
        encoded: modality -> [B, W].
        projected: modality -> [B, D].
        frames: modality -> projected frames [B, T, D], where the fusion reads frames; padding is
            not zero there.
        present: modality -> 1 or 0, [B]; empty = all are there. A fusion finds the vectors and
            frames of what is not there set to zero.
        unimodal: modality -> predictions of the unimodal heads [B].
        labels: [B] in training, else empty.
        bound: labels lie in [-bound, bound].
        fused: the fused vector [B, F]; None before the fusion.
        encode: modality and features as above -> projected [B, D], for other views of them.
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


def below(numbers: Numbers, section: str) -> dict[str, Number]:
    """The numbers of one section, by the rest of their path."""
    prefix = section + "."
    return {
        path.removeprefix(prefix): value
        for path, value in numbers.items()
        if path.startswith(prefix)
    }
