"""Contrast modules and their options: terms that tell utterances apart. Standard library only."""

from dataclasses import dataclass
from typing import Any, ClassVar

from msa_core.config.fields import positive, share, used_modalities, weight
from spaces.fields.declaration import Options, Origin, count, field, section


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastOptions(Options):
    """Options of every contrast: whether it is used, and its weight in the loss.

    Attributes:
        least_modalities: Number of modalities that it needs.
    """

    least_modalities: ClassVar[int] = 1
    use: bool = field(False, "whether the loss has this term", "use", quiet=True)
    weight: float = weight(0.1, "weight of the term", "weight", searched=(0.01, 1.0, "log"))

    def refusal(self, config: Any) -> str:
        """Refuse too few modalities."""
        used = used_modalities(config)
        if len(used) < self.least_modalities:
            return (
                f"it needs {self.least_modalities} modalities, but 'model.*.use' leaves "
                f"{', '.join(used)}"
            )
        return ""


# Cited only where it is switched on: the kinds can do without.
_UNCERTAINTY = {"": Origin(cites=("kendall2018uncertainty",))}


def _temperature_field(default: float) -> Any:
    return positive(
        default, "divides the cosines", "temperature", 100.0, symbol=r"\tau",
        searched=(0.05, 0.5, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorOptions(ContrastOptions):
    """Every modality is pulled to a frozen vector of its utterance."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.contrasts:Anchor"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_anchor_loss.py::"
        "test_two_orthonormal_matched_rows_give_the_known_value"
    )
    source: ClassVar[str] = (
        "after the public CLFA code (2024), whose anchors are frozen CLIP embeddings of the same "
        "modality; one modality's features for all is our choice"
    )
    cites: ClassVar[tuple[str, ...]] = ("zhang2024clfa",)
    temperature: float = _temperature_field(0.1)
    anchor: str = field(
        "text",
        "the frozen vector: the mean of the text's frames for every modality, or of each "
        "modality's own",
        "anchor",
        choices=("text", "own"),
    )

    def refusal(self, config: Any) -> str:
        """Refuse the text as anchor where the model reads none."""
        if self.anchor == "text" and not config.model.text.use:
            return "'loss.contrast.anchor.anchor: text' needs 'model.text.use: true'"
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewsOptions(ContrastOptions):
    """Two views of an audio or vision sequence are one utterance."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.contrasts:Views"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_mmcl_losses.py::"
        "test_two_identical_orthonormal_views_give_the_value_of_section_4"
    )
    source: ClassVar[str] = "after arXiv:2210.14556 (MMCL), whose full text was not at hand"
    cites: ClassVar[tuple[str, ...]] = ("lin2022mmcl",)
    temperature: float = _temperature_field(0.1)
    dropped: float = share(
        0.2,
        "share of the features that a view lacks",
        "view dropout",
        searched=(0.1, 0.3, "linear"),
    )
    noise: float = field(
        0.05, "deviation of the noise that is added to a view's features", "view noise",
        minimum=0.0, maximum=10.0, varies=True, searched=(0.01, 0.3, "log"),
    )  # fmt: skip

    def refusal(self, config: Any) -> str:
        """Refuse a model of text alone."""
        if not (config.model.audio.use or config.model.vision.use):
            return "it makes views of audio and vision, and neither is used"
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceOptions(ContrastOptions):
    """A modality predicts every other of its utterance."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.contrasts:Instance"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_mmcl_losses.py::"
        "test_a_perfect_cross_modal_prediction_gives_the_value_of_section_4"
    )
    source: ClassVar[str] = "after arXiv:2210.14556 (MMCL), whose full text was not at hand"
    cites: ClassVar[tuple[str, ...]] = ("lin2022mmcl",)
    least_modalities: ClassVar[int] = 2
    temperature: float = _temperature_field(0.1)
    width: int = count(
        32, "units of each predictor's hidden layer", "predictor width", 4096, unit="units"
    )
    stop_gradient: bool = field(True, "whether the target stays where it is", "stop gradient")


@dataclass(frozen=True, kw_only=True, slots=True)
class SentimentOptions(ContrastOptions):
    """Utterances of one sentiment, in whatever modality, are alike."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.contrasts:Sentiment"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_mmcl_losses.py::test_equal_rows_give_the_logarithm_of_n_less_1"
    )
    source: ClassVar[str] = (
        "Khosla et al. 2020 eq. 2; on sentiment after arXiv:2210.14556 (MMCL), whose full text "
        "was not at hand"
    )
    cites: ClassVar[tuple[str, ...]] = ("khosla2020supcon", "lin2022mmcl")
    temperature: float = _temperature_field(0.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class IclOptions(ContrastOptions):
    """Within each modality an utterance finds its partner of like sentiment."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.contrasts:Icl"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_mclea_losses.py::test_equal_rows_give_the_logarithm_of_2_n_less_1"
    )
    source: ClassVar[str] = (
        "Lin et al. 2022 (MCLEA), as in its public code; partners by sentiment are our choice"
    )
    cites: ClassVar[tuple[str, ...]] = ("lin2022mclea",)
    temperature: float = _temperature_field(0.1)
    uncertainty: bool = field(
        True,
        "modalities are weighted by learned uncertainties",
        "uncertainty weighting",
        origins=_UNCERTAINTY,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IalOptions(ContrastOptions):
    """Each modality's similarities follow those of all modalities together."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.contrasts:Ial"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_mclea_losses.py::"
        "test_a_modality_that_is_the_joint_representation_has_no_ial"
    )
    source: ClassVar[str] = (
        "Lin et al. 2022 (MCLEA), as in its public code; partners by sentiment are our choice"
    )
    cites: ClassVar[tuple[str, ...]] = ("lin2022mclea",)
    least_modalities: ClassVar[int] = 2
    temperature: float = positive(
        1.0, "divides the cosines", "temperature", 100.0, symbol=r"\tau",
        searched=(0.1, 4.0, "log"),
    )  # fmt: skip
    uncertainty: bool = field(
        True,
        "modalities are weighted by learned uncertainties",
        "uncertainty weighting",
        origins=_UNCERTAINTY,
    )
    joint: str = field(
        "learned",
        "shares of the modalities in what they follow; learned: by a contrast of its own; equal",
        "joint shares",
        choices=("learned", "equal"),
    )
    joint_temperature: float = positive(
        0.1, "learned only: divides the cosines of the joint's own contrast", "joint temperature",
        100.0, searched=(0.05, 0.5, "log"), only_with=("joint", "learned"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RbcOptions(ContrastOptions):
    """A generative model of the modalities, trained to tell related from unrelated utterances."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.rbc:Rbc"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_rbc_contrast.py::"
        "test_of_candidates_as_likely_as_itself_the_logarithm_of_their_number_is_left"
    )
    source: ClassVar[str] = (
        "Shi et al. 2021 (arXiv:2007.01179), after its description; on vectors, not on raw data"
    )
    cites: ClassVar[tuple[str, ...]] = ("shi2021relating",)
    changes: ClassVar[str] = "model"
    least_modalities: ClassVar[int] = 2
    weight: float = weight(0.01, "weight of the term", "weight", searched=(1e-3, 1.0, "log"))
    latent: int = count(
        8, "width of the latent", "latent width", 256, unit="entries", searched=(8, 32, "linear")
    )
    width: int = count(
        32, "units of the hidden layer of each encoder and decoder of the latent", "decoder width",
        4096, unit="units",
    )  # fmt: skip
    draws: int = count(
        6, "draws of the latent", "draws", 100, unit="draws", searched=(5, 30, "linear")
    )
    posterior: str = field(
        "mixture", "how the modalities' posteriors become one", "posterior",
        choices=("mixture", "product"),
        origins={
            "mixture": Origin(cites=("shi2019mmvae",)), "product": Origin(cites=("wu2018mvae",)),
        },
    )  # fmt: skip
    bound: str = field(
        "iwae", "lower bound of the density", "bound", choices=("iwae", "elbo"),
        origins={"iwae": Origin(cites=("burda2016iwae",))},
    )  # fmt: skip
    negatives: str = field(
        "iwae", "bound of the density of unrelated utterances", "bound of negatives",
        choices=("iwae", "cubo"), only_with=("contrast", True),
        origins={
            "iwae": Origin(cites=("burda2016iwae",)), "cubo": Origin(cites=("dieng2017chi",)),
        },
    )  # fmt: skip
    contrast: bool = field(True, "false: only the density of the related is raised", "contrast")
    unrelated: int = count(
        5, "rows of the batch that each modality of an utterance is also taken from", "unrelated",
        64, unit="utterances", searched=(1, 10, "linear"), only_with=("contrast", True),
    )  # fmt: skip
    gamma: float = field(
        2.0, "weight of the related utterances' density", "gamma", symbol=r"\gamma",
        minimum=1.0, maximum=100.0, varies=True, only_with=("contrast", True),
    )  # fmt: skip

    def refusal(self, config: Any) -> str:
        """Refuse draws that can't be divided equally among the modalities."""
        # A mixture is sampled stratified: each modality's posterior gives the same number.
        modalities = len(used_modalities(config))
        if self.posterior == "mixture" and self.draws % max(1, modalities):
            return (
                f"'loss.contrast.rbc.draws' is {self.draws}, but the {modalities} modalities take "
                "the draws of a mixture in turn: choose a multiple"
            )
        return ContrastOptions.refusal(self, config)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundOptions(ContrastOptions):
    """A lower bound of what text says of audio and of vision is raised."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.mmim:Bound"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_information_estimators.py::"
        "test_a_perfect_prediction_with_logvar_0_has_the_log_likelihood_0"
    )
    source: ClassVar[str] = (
        "Han et al. 2021 (MMIM), as in its public code, which has the sum and no ridge"
    )
    cites: ClassVar[tuple[str, ...]] = ("han2021mmim",)
    changes: ClassVar[str] = "state"
    least_modalities: ClassVar[int] = 2
    width: int = count(
        32, "units of each estimator's hidden layer", "estimator width", 4096, unit="units"
    )
    memory: int = count(128, "utterances kept for the entropy", "memory", 65536, unit="utterances")
    ridge: float = field(
        0.01, "added to each variance of the entropy", "ridge", minimum=1e-5, maximum=10.0,
        varies=True,
    )  # fmt: skip
    normalised: bool = field(
        False, "whether the likelihood has its normaliser, without which it is no bound",
        "normalised",
    )  # fmt: skip

    def refusal(self, config: Any) -> str:
        """Refuse models without text, and of text alone."""
        if not config.model.text.use:
            return "it goes from text to the other modalities; set 'model.text.use: true'"
        return ContrastOptions.refusal(self, config)


@dataclass(frozen=True, kw_only=True, slots=True)
class CpcOptions(ContrastOptions):
    """The fused vector finds the utterance in every modality."""

    implementation: ClassVar[str] = "msa_core.modules.contrast.mmim:Cpc"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_information_estimators.py::"
        "test_matched_orthonormal_rows_give_the_known_cpc"
    )
    source: ClassVar[str] = "Han et al. 2021 (MMIM), as in its public code, which has the sum"
    cites: ClassVar[tuple[str, ...]] = ("han2021mmim",)
    width: int = count(
        32, "units of each predictor's hidden layer", "predictor width", 4096, unit="units"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastConfig:
    """Terms that tell utterances apart. Any of them can be used together."""

    anchor: AnchorOptions = section(AnchorOptions)
    views: ViewsOptions = section(ViewsOptions)
    instance: InstanceOptions = section(InstanceOptions)
    sentiment: SentimentOptions = section(SentimentOptions)
    icl: IclOptions = section(IclOptions)
    ial: IalOptions = section(IalOptions)
    rbc: RbcOptions = section(RbcOptions)
    bound: BoundOptions = section(BoundOptions)
    cpc: CpcOptions = section(CpcOptions)
