"""Encoders and their options: how a modality's frames become a vector. Standard library only."""

from dataclasses import dataclass
from typing import ClassVar

from msa_core.config.fields import Options, count, field, section, share


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderOptions(Options):
    """What must be known of every encoder.

    Attributes:
        pools: it reads nothing but the mean over the valid frames, which is taken once before the
            training. It then gives no frames to a fusion.
        in_turn_on_a_cpu: why its members train one after another on a CPU; empty if together.
    """

    changes: ClassVar[str] = "model"
    pools: ClassVar[bool] = False
    in_turn_on_a_cpu: ClassVar[str] = ""

    def multiple(self) -> int:
        """The encoder's width must be a multiple of this (checked in `config_rules`)."""
        return 1


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanMlpOptions(EncoderOptions):
    """The mean over the frames and two layers."""

    pools: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class LstmOptions(EncoderOptions):
    """One recurrent layer."""

    in_turn_on_a_cpu: ClassVar[str] = (
        "PyTorch's fused LSTM, on batches trimmed to their longest utterance, is faster there "
        "than LSTMs stepped together"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GruOptions(EncoderOptions):
    """One recurrent layer.

    It packs, unlike the LSTM: PyTorch's GRU has no fused kernel for training on a CPU. Measured
    at 50 frames and width 32, in a pack of 8: 33 against 77 ms a step and member in turn.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvOptions(EncoderOptions):
    """A convolution over time.

    In a pack of 8 a member's step took .81 of its time in turn, at 50 frames and width 32; of
    utterances with few frames it takes a fraction.
    """

    kernel: int = count(
        3,
        "frames that each output frame sees",
        "kernel",
        9,
        unit="frames",
        searched=(1, 5, "linear"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerOptions(EncoderOptions):
    """Layers of self-attention over the frames.

    In a pack of 8 a member's step took .86 of its time in turn, at 50 frames and width 32.
    """

    layers: int = count(
        1, "layers of self-attention", "layers", 12, unit="layers", searched=(1, 4, "linear")
    )
    heads: int = count(
        4, "heads of each layer", "heads", 32, unit="heads", searched=(1, 8, "linear")
    )
    dropout: float = share(
        0.1, "share of each layer's outputs dropped in training", "layer dropout"
    )

    def multiple(self) -> int:
        """Each head has its part of the width."""
        return self.heads


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodersConfig:
    """The options of each kind of encoder, shared by the modalities that use it."""

    mean_mlp: MeanMlpOptions = section(MeanMlpOptions)
    lstm: LstmOptions = section(LstmOptions)
    gru: GruOptions = section(GruOptions)
    conv: ConvOptions = section(ConvOptions)
    transformer: TransformerOptions = section(TransformerOptions)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModalityConfig:
    """One modality's branch: whether it is there, and its encoder."""

    use: bool = field(True, "whether the model reads this modality", "use")
    encoder: str = field(
        "mean_mlp", "how a sequence becomes one vector", "encoder", family="encoder"
    )
    width: int = count(64, "units of the encoder", "encoder width", 4096, unit="units")
    dropout: float = share(0.1, "share of encoder outputs dropped in training", "encoder dropout")
