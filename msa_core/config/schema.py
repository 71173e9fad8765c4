"""Every field of a configuration: its default, bounds, label and LaTeX symbol.

A `Config` describes how one model is built and trained. The dotted name of a field, for example
`loss.alignment.text_audio.weight`, is its name in study files, in the sampler, in the ledger,
in MLflow and in reports. Standard library only, so that reading a study never imports torch.

Families of modules are declared beside this file, in `encoders`, `fusion`, `alignment`, `contrast`,
`unimodal`, `procedure` and `missing`. A new module is an entry there.
"""

from dataclasses import dataclass

from msa_core.config.alignment import AlignmentConfig
from msa_core.config.contrast import ContrastConfig
from msa_core.config.encoders import EncodersConfig, ModalityConfig
from msa_core.config.fusion import FusionConfig
from msa_core.config.missing import MissingConfig
from msa_core.config.procedure import ProcedureConfig
from msa_core.config.unimodal import UnimodalConfig
from spaces.fields.declaration import Origin, count, field, section


@dataclass(frozen=True, kw_only=True, slots=True)
class FeaturesConfig:
    """Changes to the features before a model reads them."""

    standardise: bool = field(
        True, "zero mean and unit variance of every feature, fitted on train only", "standardise"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectionConfig:
    """The common space into which every modality is projected."""

    width: int = count(
        32, "width of each projected modality", "projection width", 1024, symbol="d", unit="entries"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The network."""

    text: ModalityConfig = section(ModalityConfig)
    audio: ModalityConfig = section(ModalityConfig)
    vision: ModalityConfig = section(ModalityConfig)
    encoder: EncodersConfig = section(EncodersConfig)
    projection: ProjectionConfig = section(ProjectionConfig)
    fusion: FusionConfig = section(FusionConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class LossConfig:
    """The terms beside the task loss, which is the mean absolute error."""

    alignment: AlignmentConfig = section(AlignmentConfig)
    contrast: ContrastConfig = section(ContrastConfig)
    unimodal: UnimodalConfig = section(UnimodalConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """One training: Adam with early stopping that restores the best epoch."""

    learning_rate: float = field(
        1e-3,
        "step size of Adam",
        "learning rate",
        symbol=r"\eta",
        above=0.0,
        maximum=1.0,
        varies=True,
        searched=(1e-4, 1e-2, "log"),
    )
    weight_decay: float = field(
        0.0, "L2 penalty inside Adam", "weight decay", minimum=0.0, maximum=1.0, varies=True
    )
    precision: str = field(
        "float32",
        "how products are rounded; tf32: on a GPU to 10 bits before they are added up in float32, "
        "elsewhere as float32; bf16: 8 bits, kept in float32 between steps",
        "precision",
        choices=("float32", "tf32", "bf16"),
    )
    # Not 1: a covariance needs two utterances.
    batch_size: int = field(
        32, "utterances a step", "batch size", unit="utterances", minimum=2, maximum=65536
    )
    epochs: int = count(40, "epochs at most", "epochs", 100_000, unit="epochs", varies=True)
    # Members of a pack may differ in it: each stops by itself while the others go on.
    patience: int = count(
        8,
        "epochs without improvement before it stops",
        "patience",
        100_000,
        unit="epochs",
        varies=True,
    )
    monitor: str = field(
        "mae",
        "validation metric that picks the best epoch and stops the training",
        "monitor",
        varies=True,
    )


def _control(known_answer: str) -> dict[str, Origin]:
    return {"": Origin(source="a control; ours", known_answer=known_answer)}


@dataclass(frozen=True, kw_only=True, slots=True)
class ControlConfig:
    """Controls: changes that must not matter, or that must leave nothing to learn."""

    placebo: str = field(
        "off",
        "off, or any name: salts every random stream; same model, other noise, no real effect",
        "placebo",
        varies=True,
        origins=_control("test_laws.py::test_a_placebo_is_other_noise_in_the_same_model"),
    )
    unused: int = field(
        0,
        "units of a layer that nothing reads; no number of the rest may change",
        "unused units",
        unit="units",
        minimum=0,
        maximum=4096,
        quiet=True,
        origins=_control(
            "modules/test_controls.py::test_unused_units_are_bit_identical_to_none_in_every_number"
        ),
    )
    shuffled_labels: bool = field(
        False,
        "train on labels of other utterances: what a model then still knows is chance, and what "
        "choosing its epoch on valid gives",
        "shuffled labels",
        quiet=True,
        origins=_control(
            "modules/test_controls.py::test_with_shuffled_labels_a_model_knows_nothing_of_valid"
        ),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """How one model is built and trained."""

    features: FeaturesConfig = section(FeaturesConfig)
    model: ModelConfig = section(ModelConfig)
    loss: LossConfig = section(LossConfig)
    procedure: ProcedureConfig = section(ProcedureConfig)
    missing: MissingConfig = section(MissingConfig)
    train: TrainConfig = section(TrainConfig)
    control: ControlConfig = section(ControlConfig)
