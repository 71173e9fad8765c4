"""Contrast modules and their options: terms that tell utterances apart. Standard library only."""

from dataclasses import dataclass
from typing import Any, ClassVar

from msa_core.config.fields import (
    Options,
    count,
    field,
    positive,
    section,
    share,
    used_modalities,
    weight,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastOptions(Options):
    """What every contrast has: whether it is used, and its weight in the loss.

    Attributes:
        least_modalities: it needs.
    """

    least_modalities: ClassVar[int] = 1
    use: bool = field(False, "whether the loss has this term", "use", quiet=True)
    weight: float = weight(0.1, "weight of the term", "weight", searched=(0.01, 1.0, "log"))

    def refusal(self, config: Any) -> str:
        """Too few modalities."""
        used = used_modalities(config)
        if len(used) < self.least_modalities:
            return (
                f"it needs {self.least_modalities} modalities, but 'model.*.use' leaves "
                f"{', '.join(used)}"
            )
        return ""


def _temperature(default: float) -> Any:
    return positive(
        default, "divides the cosines", "temperature", 100.0, symbol=r"\tau",
        searched=(0.05, 0.5, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class AnchorOptions(ContrastOptions):
    """Every modality is pulled to a frozen vector of its utterance."""

    temperature: float = _temperature(0.1)
    anchor: str = field(
        "text",
        "the frozen vector: the mean of the text's frames for every modality, or of each "
        "modality's own",
        "anchor",
        choices=("text", "own"),
    )

    def refusal(self, config: Any) -> str:
        """No text to hold on to."""
        if self.anchor == "text" and not config.model.text.use:
            return "'loss.contrast.anchor.anchor: text' needs 'model.text.use: true'"
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewsOptions(ContrastOptions):
    """Two views of an audio or vision sequence are one utterance."""

    temperature: float = _temperature(0.1)
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
        """Neither audio nor vision."""
        if not (config.model.audio.use or config.model.vision.use):
            return "it makes views of audio and vision, and neither is used"
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class InstanceOptions(ContrastOptions):
    """A modality predicts every other of its utterance."""

    least_modalities: ClassVar[int] = 2
    temperature: float = _temperature(0.1)
    width: int = count(
        32, "units of each predictor's hidden layer", "predictor width", 4096, unit="units"
    )
    stop_gradient: bool = field(True, "whether the target stays where it is", "stop gradient")


@dataclass(frozen=True, kw_only=True, slots=True)
class SentimentOptions(ContrastOptions):
    """Utterances of one sentiment, in whatever modality, are alike."""

    temperature: float = _temperature(0.1)


@dataclass(frozen=True, kw_only=True, slots=True)
class IclOptions(ContrastOptions):
    """Within each modality an utterance finds its partner of like sentiment."""

    temperature: float = _temperature(0.1)
    uncertainty: bool = field(
        True, "modalities are weighted by learned uncertainties", "uncertainty weighting"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class IalOptions(ContrastOptions):
    """Each modality's similarities follow those of all modalities together."""

    least_modalities: ClassVar[int] = 2
    temperature: float = positive(
        1.0, "divides the cosines", "temperature", 100.0, symbol=r"\tau",
        searched=(0.1, 4.0, "log"),
    )  # fmt: skip
    uncertainty: bool = field(
        True, "modalities are weighted by learned uncertainties", "uncertainty weighting"
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
    """A generative model of the modalities, told related from unrelated utterances."""

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
    )  # fmt: skip
    bound: str = field("iwae", "lower bound of the density", "bound", choices=("iwae", "elbo"))
    negatives: str = field(
        "iwae", "bound of the density of unrelated utterances", "bound of negatives",
        choices=("iwae", "cubo"), only_with=("contrast", True),
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
        """Draws that the modalities can't take in turn."""
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
        """No text, or nothing besides it."""
        if not config.model.text.use:
            return "it goes from text to the other modalities; set 'model.text.use: true'"
        return ContrastOptions.refusal(self, config)


@dataclass(frozen=True, kw_only=True, slots=True)
class CpcOptions(ContrastOptions):
    """The fused vector finds the utterance in every modality."""

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
