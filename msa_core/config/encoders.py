"""Encoders and their options: how a modality's frames become a vector. Standard library only."""

from dataclasses import dataclass
from typing import ClassVar

from msa_core.config.fields import share
from spaces.fields.declaration import Options, count, field, section


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderOptions(Options):
    """Facts about an encoder that are needed without PyTorch.

    Attributes:
        pools: Whether it reads nothing but the mean over the valid frames, which is taken once
            before the training. It then gives no frames to a fusion.
        in_turn_on_a_cpu: Reason why its members train one after another on a CPU; empty if they
            train together.
    """

    changes: ClassVar[str] = "model"
    pools: ClassVar[bool] = False
    in_turn_on_a_cpu: ClassVar[str] = ""

    def multiple(self) -> int:
        """Return what the encoder's width must be a multiple of (checked in `config.rules`)."""
        return int(getattr(self, "heads", 1))  # each head has its part of the width


@dataclass(frozen=True, kw_only=True, slots=True)
class MeanMlpOptions(EncoderOptions):
    """The mean over the frames and two layers."""

    implementation: ClassVar[str] = "msa_core.modules.encoders:MeanMlp"
    known_answer: ClassVar[str] = (
        "modules/test_encoders.py::"
        "test_the_mean_encoder_is_two_relu_layers_on_the_mean_of_the_valid_frames"
    )
    source: ClassVar[str] = (
        "the subnet of late-fusion DNNs, e.g. the public MMSA framework's LF-DNN"
    )
    cites: ClassVar[tuple[str, ...]] = ("mao2022msena",)
    pools: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True, slots=True)
class LstmOptions(EncoderOptions):
    """One recurrent layer."""

    implementation: ClassVar[str] = "msa_core.modules.encoders:Lstm"
    known_answer: ClassVar[str] = (
        "modules/test_encoders.py::test_a_recurrence_written_out_step_by_step_is_the_fused_kernel"
    )
    source: ClassVar[str] = "Hochreiter & Schmidhuber 1997"
    cites: ClassVar[tuple[str, ...]] = ("hochreiter1997lstm",)
    # Measured at 40 frames: 2.3 ms per step and member sequentially, 6.9 ms under vmap.
    in_turn_on_a_cpu: ClassVar[str] = (
        "PyTorch's fused LSTM, on batches trimmed to their longest utterance, is faster there "
        "than LSTMs stepped together"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class GruOptions(EncoderOptions):
    """One recurrent layer."""

    implementation: ClassVar[str] = "msa_core.modules.encoders:Gru"
    known_answer: ClassVar[str] = (
        "modules/test_encoders.py::test_a_recurrence_written_out_step_by_step_is_the_fused_kernel"
    )
    # It packs, unlike the LSTM: PyTorch's GRU has no fused kernel for training on a CPU. Measured
    # at 50 frames and width 32, in a pack of 8: 33 against 77 ms per step and member sequentially.

    source: ClassVar[str] = "Cho et al. 2014, with PyTorch's reset gate after the product"
    cites: ClassVar[tuple[str, ...]] = ("cho2014gru",)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvOptions(EncoderOptions):
    """A convolution over time."""

    implementation: ClassVar[str] = "msa_core.modules.encoders:Conv"
    known_answer: ClassVar[str] = (
        "modules/test_encoders.py::test_the_convolution_is_that_of_pytorch_on_each_utterance"
    )
    # In a pack of 8 a member's step took .81 of its time alone, at 50 frames and width 32; of
    # utterances with few frames it takes a fraction.

    source: ClassVar[str] = (
        "the temporal convolutions before cross-modal attention, Tsai et al. 2019 eq. 1"
    )
    cites: ClassVar[tuple[str, ...]] = ("tsai2019mult",)
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
    """Layers of self-attention over the frames."""

    implementation: ClassVar[str] = "msa_core.modules.encoders:Transformer"
    known_answer: ClassVar[str] = "modules/test_attention.py::test_attention_is_that_of_pytorch"
    # In a pack of 8 a member's step took .86 of its time alone, at 50 frames and width 32.

    source: ClassVar[str] = (
        "Vaswani et al. 2017, normalised before each part as in Xiong et al. 2020"
    )
    cites: ClassVar[tuple[str, ...]] = ("vaswani2017attention", "xiong2020layer")
    layers: int = count(
        1, "layers of self-attention", "layers", 12, unit="layers", searched=(1, 4, "linear")
    )
    heads: int = count(
        4, "heads of each layer", "heads", 32, unit="heads", searched=(1, 8, "linear")
    )
    dropout: float = share(
        0.1, "share of each layer's outputs dropped in training", "layer dropout"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodersConfig:
    """The options of each kind of encoder, shared by the modalities that use it."""

    # Once, not per modality: three times the fields would serve hardly any study.

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
        "mean_mlp", "how a sequence becomes one vector", "encoder", kinds_in="model.encoder"
    )
    width: int = count(64, "units of the encoder", "encoder width", 4096, unit="units")
    dropout: float = share(0.1, "share of encoder outputs dropped in training", "encoder dropout")
