"""Every field of a configuration: its default, bounds, label and LaTeX symbol.

A `Config` says how one model is built and trained. The dotted name of a field, for example
`loss.alignment.text_audio.weight`, is its name in study files, in the sampler, in the ledger,
in MLflow and in reports. Standard library only, so that reading a study never imports torch.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

MODALITIES = ("text", "audio", "vision")
PAIRS = {
    "text_audio": ("text", "audio"),
    "text_vision": ("text", "vision"),
    "audio_vision": ("audio", "vision"),
}


class ConfigError(ValueError):
    """A field that does not exist, or a value that the field does not allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelScheme:
    """How a family of data sets labels sentiment, and the metrics its papers report.

    Attributes:
        bound: labels lie in [-bound, bound].
        metrics: the names of its metrics, in the order of the field's tables.
    """

    bound: float
    metrics: tuple[str, ...]


LABEL_SCHEMES = {
    "mosi": LabelScheme(
        bound=3.0,
        metrics=(
            "mae", "corr", "acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "acc7", "acc5", "acc3",
        ),
    ),
    "sims": LabelScheme(bound=1.0, metrics=("mae", "corr", "acc2", "f1", "acc3", "acc5")),
}  # fmt: skip
METRICS_LOWER_IS_BETTER = frozenset({"mae"})


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldInfo:
    """What is known of one field besides its type and default.

    Attributes:
        meaning: one line for a person.
        label: short name for tables and plots.
        symbol: LaTeX, without dollar signs; empty if the field has none.
        minimum, maximum: inclusive bounds of a number; None = unbounded.
        above: exclusive lower bound of a number.
        choices: the allowed strings; empty = any.
        varies: whether the members of a pack may differ in it (`msa_core.packing`).
    """

    meaning: str
    label: str
    symbol: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    varies: bool = False


def _field(default: Any, meaning: str, label: str, **info: Any) -> Any:
    described = FieldInfo(meaning=meaning, label=label, **info)
    return dataclasses.field(default=default, metadata={"info": described})


def _share(default: float, meaning: str, label: str) -> Any:
    return _field(default, meaning, label, minimum=0.0, maximum=0.95, varies=True)


def _count(default: int, meaning: str, label: str, maximum: int, **info: Any) -> Any:
    return _field(default, meaning, label, minimum=1, maximum=maximum, **info)


def _section(factory: Any) -> Any:
    return dataclasses.field(default_factory=factory)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturesConfig:
    """What is done to the features before a model sees them."""

    standardise: bool = _field(
        True, "zero mean and unit variance of every feature, fitted on train only", "standardise"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModalityConfig:
    """One modality's branch: whether it is there, and its encoder."""

    use: bool = _field(True, "whether the model reads this modality", "use")
    encoder: str = _field(
        "mean_mlp",
        "how a sequence becomes one vector",
        "encoder",
        choices=("mean_mlp", "lstm"),
    )
    width: int = _count(64, "units of the encoder", "encoder width", 4096)
    dropout: float = _share(0.1, "share of encoder outputs dropped in training", "encoder dropout")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectionConfig:
    """The common space into which every modality is projected."""

    width: int = _count(
        32, "width of each projected modality", "projection width", 1024, symbol="d"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class FusionConfig:
    """How the projected modalities become one vector, and the head on top of it."""

    kind: str = _field("concat", "fusion operator", "fusion", choices=("concat", "sum", "tfn"))
    width: int = _count(64, "units of the hidden layer after fusion", "head width", 4096)
    dropout: float = _share(
        0.1, "share of that layer's outputs dropped in training", "head dropout"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The network."""

    text: ModalityConfig = _section(ModalityConfig)
    audio: ModalityConfig = _section(ModalityConfig)
    vision: ModalityConfig = _section(ModalityConfig)
    projection: ProjectionConfig = _section(ProjectionConfig)
    fusion: FusionConfig = _section(FusionConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairConfig:
    """What one pair of modalities is made to do with its information."""

    mode: str = _field(
        "off",
        "off; shared = the pair's representations are pulled together; private = pushed apart",
        "alignment",
        choices=("off", "shared", "private"),
    )
    measure: str = _field(
        "cov", "distance of the two representations", "alignment measure", choices=("cov",)
    )
    weight: float = _field(
        1.0,
        "weight of the pair's term in the loss; 0 skips the term",
        "alignment weight",
        symbol=r"\lambda_{%s}",
        minimum=0.0,
        maximum=1e6,
        varies=True,
    )
    margin: float = _field(
        0.1,
        "private only: distance beyond which the pair is no longer pushed apart",
        "private margin",
        symbol=r"\mu_{%s}",
        above=0.0,
        maximum=1e6,
        varies=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignmentConfig:
    """The three pairs of modalities. A pair with an absent modality is off."""

    text_audio: PairConfig = _section(PairConfig)
    text_vision: PairConfig = _section(PairConfig)
    audio_vision: PairConfig = _section(PairConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class UnimodalHeadConfig:
    """The head that predicts from one modality alone."""

    weight: float = _field(
        1.0,
        "weight of this head's loss; 0 = no head",
        "unimodal weight",
        symbol=r"c_{%s}",
        minimum=0.0,
        maximum=1e6,
        varies=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class UnimodalConfig:
    """Unimodal heads beside the multimodal one (multi-task learning)."""

    kind: str = _field(
        "none",
        "none; fixed = heads with fixed weights; ulgm = heads on self-supervised unimodal labels",
        "unimodal heads",
        choices=("none", "fixed", "ulgm"),
    )
    target: str = _field(
        "multimodal",
        "fixed only: what the heads learn, the multimodal label or the data's own unimodal ones",
        "unimodal target",
        choices=("multimodal", "annotated"),
    )
    width: int = _count(32, "units of each head's hidden layer", "unimodal head width", 4096)
    text: UnimodalHeadConfig = _section(UnimodalHeadConfig)
    audio: UnimodalHeadConfig = _section(UnimodalHeadConfig)
    vision: UnimodalHeadConfig = _section(UnimodalHeadConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The terms beside the task loss, which is the mean absolute error."""

    alignment: AlignmentConfig = _section(AlignmentConfig)
    unimodal: UnimodalConfig = _section(UnimodalConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training: Adam with early stopping that restores the best epoch."""

    learning_rate: float = _field(
        1e-3,
        "step size of Adam",
        "learning rate",
        symbol=r"\eta",
        above=0.0,
        maximum=1.0,
        varies=True,
    )
    weight_decay: float = _field(
        0.0, "L2 penalty inside Adam", "weight decay", minimum=0.0, maximum=1.0, varies=True
    )
    precision: str = _field(
        "float32",
        "how products are rounded; tf32: on a GPU to 10 bits before they are added up in float32, "
        "elsewhere as float32; bf16: 8 bits, kept in float32 between steps",
        "precision",
        choices=("float32", "tf32", "bf16"),
    )
    batch_size: int = _field(32, "utterances a step", "batch size", minimum=2, maximum=65536)
    epochs: int = _count(40, "epochs at most", "epochs", 100_000, varies=True)
    patience: int = _count(
        8, "epochs without improvement before it stops", "patience", 100_000, varies=True
    )
    monitor: str = _field(
        "mae",
        "validation metric that picks the best epoch and stops the training",
        "monitor",
        varies=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlConfig:
    """Controls: changes that must not matter."""

    placebo: str = _field(
        "off",
        "off, or any name: salts every random stream; same model, other noise, no real effect",
        "placebo",
        varies=True,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """How one model is built and trained."""

    features: FeaturesConfig = _section(FeaturesConfig)
    model: ModelConfig = _section(ModelConfig)
    loss: LossConfig = _section(LossConfig)
    train: TrainConfig = _section(TrainConfig)
    control: ControlConfig = _section(ControlConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlantedConfig:
    """The generated data set whose right answers are known (`msa_core.data.planted`).

    The four shares of the label's variance must add up to 1.
    """

    shared: float = _field(0.3, "share of what all modalities carry", "shared",
                           symbol="w_s", minimum=0.0, maximum=1.0)  # fmt: skip
    text_private: float = _field(0.3, "share of what only text carries", "text private",
                                 symbol="w_p", minimum=0.0, maximum=1.0)  # fmt: skip
    synergy: float = _field(0.3, "share of the product of an audio and a vision bit", "synergy",
                            symbol="w_x", minimum=0.0, maximum=1.0)  # fmt: skip
    noise: float = _field(0.1, "share that no modality carries", "noise",
                          symbol="w_n", minimum=0.0, maximum=1.0)  # fmt: skip
    shared_noise: float = _field(1.0, "variance of each modality's error on the shared part",
                                 "shared noise", symbol=r"\sigma_e^2",
                                 minimum=0.0, maximum=100.0)  # fmt: skip
    frame_noise: float = _field(0.5, "standard deviation of the noise of every frame",
                                "frame noise", symbol=r"\sigma_o",
                                minimum=0.0, maximum=100.0)  # fmt: skip
    train: int = _field(1284, "utterances in train", "train", minimum=2, maximum=1_000_000)
    valid: int = _field(686, "utterances in valid", "valid", minimum=2, maximum=1_000_000)
    test: int = _field(686, "utterances in test", "test", minimum=2, maximum=1_000_000)
    steps: int = _count(8, "frames of the longest utterance", "steps", 10_000)
    width: int = _field(16, "features a frame", "width", minimum=3, maximum=10_000)
    seed: int = _field(0, "seed of the generator", "seed", minimum=0, maximum=2**31 - 1)
