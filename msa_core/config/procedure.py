"""Procedures: what a step of the training moves, and in which order. Standard library only."""

from dataclasses import dataclass
from typing import Any, ClassVar

from msa_core.config.fields import WeightedTerm, positive, used_modalities, weight
from spaces.fields.declaration import Options, Origin, count, field, section


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcedureOptions(Options):
    """Facts about a procedure that are needed without PyTorch.

    Attributes:
        one_modality: Whether a step sees one modality, and so has no term of several.
        plans_epochs: Whether what an epoch does depends on how many there are to be, so that
            members of a pack have equally many.
        keeps_last: Whether the model of the last epoch is the result, and nothing stops it early.
        inference: What predicts in place of the model as it trains, as `package.module:Name`; empty
            = the model itself.
    """

    changes: ClassVar[str] = "loop"
    one_modality: ClassVar[bool] = False
    plans_epochs: ClassVar[bool] = False
    keeps_last: ClassVar[bool] = False
    inference: ClassVar[str] = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class JointOptions(ProcedureOptions):
    """Every step moves the whole model."""

    implementation: ClassVar[str] = "msa_core.procedures.base:Procedure"
    known_answer: ClassVar[str] = (
        "tensors/test_parameters.py::test_every_member_is_moved_as_by_an_adam_of_its_own"
    )
    source: ClassVar[str] = "common practice"
    cites: ClassVar[tuple[str, ...]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MlaOptions(ProcedureOptions):
    """Modalities take turns through one shared head."""

    implementation: ClassVar[str] = "msa_core.procedures.mla:Mla"
    known_answer: ClassVar[str] = (
        "procedures/test_mla.py::"
        "test_while_a_modality_steps_the_encoders_of_the_others_stay_bit_unchanged"
    )
    source: ClassVar[str] = (
        "Zhang et al. 2024 (MLA) and its public code, where the projection never takes effect and "
        "Adam is SGD; weights of predictions: msa_core.modules.contrast.inference"
    )
    cites: ClassVar[tuple[str, ...]] = ("zhang2024mla",)
    one_modality: ClassVar[bool] = True
    inference: ClassVar[str] = "msa_core.modules.contrast.inference:WeightedVote"
    gradient: str = field(
        "rls",
        "off; rls: what earlier modalities rely on is taken out of the head's gradient",
        "gradient modification",
        choices=("off", "rls"),
        origins={"rls": Origin(cites=("zeng2019owm",))},
    )
    weights: str = field(
        "fixed",
        "how modalities are weighted in the prediction; fixed: text .40, audio .35, vision .25; "
        "entropy: the surer, the more",
        "test-time weights",
        choices=("fixed", "entropy"),
    )
    order: str = field(
        "text_first", "whose turn is first", "order", choices=("text_first", "text_last")
    )
    # Not 0: entropies of a head that was never trained are no measure of certainty.
    bins_weight: float = positive(
        0.1, "entropy only: weight of the loss on binned sentiment", "bins weight", 1e6,
        searched=(0.01, 1.0, "log"), only_with=("weights", "entropy"),
    )  # fmt: skip

    def refusal(self, config: Any) -> str:
        """Refuse a single modality, and a head that can't read one alone."""
        used = used_modalities(config)
        if len(used) < 2:
            return f"modalities take turns, but 'model.*.use' leaves {', '.join(used)} alone"
        if config.model.fusion.kind != "sum":
            return (
                "its head reads one modality at a time, so it needs 'model.fusion.kind: sum', not "
                f"'{config.model.fusion.kind}'"
            )
        # Dropping the only modality of a step would leave nothing to learn from.
        if config.missing.modalities > 0:
            return "a step sees one modality, which can't be missing; set 'missing.modalities: 0'"
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class TwoStageOptions(ProcedureOptions):
    """Each epoch first fits the estimators of information, then the rest of the model."""

    implementation: ClassVar[str] = "msa_core.procedures.two_stage:TwoStage"
    known_answer: ClassVar[str] = (
        "procedures/test_two_stage.py::"
        "test_the_first_pass_moves_the_estimators_alone_and_the_second_all_but_them"
    )
    source: ClassVar[str] = "Han et al. 2021 (MMIM), the two stages of its public code"
    cites: ClassVar[tuple[str, ...]] = ("han2021mmim",)

    def refusal(self, config: Any) -> str:
        """Refuse a first stage with nothing to fit."""
        if not (config.loss.contrast.bound.use and config.loss.contrast.bound.weight > 0):
            return (
                "its first stage fits estimators of information, and there are none; set "
                "'loss.contrast.bound.use: true' and a weight above 0"
            )
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayTerm(WeightedTerm):
    """The loss on utterances of earlier tasks."""

    weight: float = weight(1.0, "weight of the loss on replayed utterances", "replay weight",
                           searched=(0.1, 2.0, "log"))  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsistencyTerm(WeightedTerm):
    """Outputs on replayed utterances stay what they were."""

    weight: float = weight(
        1.0, "how near outputs on replayed utterances are to stay to the best stored one",
        "consistency weight", searched=(0.1, 2.0, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamOptions(ProcedureOptions):
    """Tasks come one after another, with replay of what was seen."""

    implementation: ClassVar[str] = "msa_core.procedures.stream:Stream"
    known_answer: ClassVar[str] = (
        "procedures/test_stream.py::"
        "test_tasks_are_equal_quantile_ranges_of_the_label_in_rising_order"
    )
    source: ClassVar[str] = (
        "Sarfraz et al. 2024 (SAMM), after its public code; its confidence is on the true class"
    )
    cites: ClassVar[tuple[str, ...]] = ("sarfraz2024beyond", "vitter1985reservoir")
    plans_epochs: ClassVar[bool] = True
    keeps_last: ClassVar[bool] = True
    tasks: int = field(
        3, "tasks, by rising sentiment; each has its share of the epochs", "tasks", minimum=2,
        maximum=20, unit="tasks",
    )  # fmt: skip
    buffer: int = count(200, "utterances kept for replay", "buffer", 65536, unit="utterances")
    replay: ReplayTerm = section(ReplayTerm)
    consistency: ConsistencyTerm = section(ConsistencyTerm)

    def refusal(self, config: Any) -> str:
        """Refuse fewer epochs than tasks, and labels that need whole epochs."""
        if config.train.epochs < self.tasks:
            return (
                f"{self.tasks} tasks need as many epochs, but 'train.epochs' is "
                f"{config.train.epochs}; raise it, or lower 'procedure.stream.tasks'"
            )
        if config.loss.unimodal.kind == "ulgm":
            return (
                "generated labels need epochs that visit every utterance, and an epoch of a "
                "stream sees one task; set 'loss.unimodal.kind' to none or fixed"
            )
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcedureConfig:
    """What a step of the training moves."""

    kind: str = field("joint", "what a step moves", "procedure", kinds_in="procedure", quiet=True)
    joint: JointOptions = section(JointOptions)
    mla: MlaOptions = section(MlaOptions)
    two_stage: TwoStageOptions = section(TwoStageOptions)
    stream: StreamOptions = section(StreamOptions)
