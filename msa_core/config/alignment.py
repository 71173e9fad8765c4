"""Pair alignment and its options. Standard library only."""

from dataclasses import dataclass
from typing import Any

from msa_core.config.fields import (
    PAIRS,
    ConfigError,
    Options,
    count,
    field,
    positive,
    section,
    used_pairs,
    weight,
)
from msa_core.config.unimodal import unimodal_heads

SMALLEST_RIDGE = 1e-5  # a smaller one float32 can't tell from none


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureOptions(Options):
    """What must be known of every measure."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CovOptions(MeasureOptions):
    """Squared distance of the covariances."""

    estimate: str = field(
        "batch",
        "which utterances the covariances are of; batch: of the step; ema: a running average over "
        "steps; queue: of the step and the utterances before it",
        "covariance estimate",
        choices=("batch", "ema", "queue"),
    )
    momentum: float = field(
        0.95, "ema only: how much of the average stays at a step", "momentum", unit="share",
        minimum=0.0, maximum=0.999, varies=True, searched=(0.9, 0.99, "linear"),
        only_with=("estimate", "ema"),
    )  # fmt: skip
    queue: int = count(
        128,
        "queue only: utterances kept",
        "queue",
        65536,
        unit="utterances",
        only_with=("estimate", "queue"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class PaircovOptions(MeasureOptions):
    """Distance of the correlation from the identity."""

    off_diagonal: float = field(
        0.01, "weight of correlations between different entries", "off-diagonal weight",
        minimum=0.0, maximum=1e3, varies=True, searched=(0.005, 0.05, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CmdOptions(MeasureOptions):
    """Distance of means and central moments."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MmdOptions(MeasureOptions):
    """Maximum mean discrepancy."""

    bandwidth: float = positive(
        1.0, "width of the kernel, in root mean square distances", "bandwidth", 1e3,
        unit="root mean square distances", searched=(0.25, 4.0, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RkdOptions(MeasureOptions):
    """Distance of relations between utterances."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InfonceOptions(MeasureOptions):
    """Symmetric InfoNCE."""

    temperature: float = positive(
        0.1, "divides the cosines", "temperature", 100.0, symbol=r"\tau",
        searched=(0.05, 0.5, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CcaOptions(MeasureOptions):
    """Distance of the canonical correlations from 1."""

    components: int = field(
        0, "canonical correlations that count, the largest; 0 = all", "components", minimum=0,
        maximum=1024, unit="correlations",
    )  # fmt: skip
    ridge: float = field(
        0.01, "added to each column's variance, as a share of it", "ridge", unit="share",
        minimum=SMALLEST_RIDGE, maximum=10.0, varies=True, searched=(1e-3, 1.0, "log"),
    )  # fmt: skip

    def refusal(self, config: Any) -> str:
        """Every correlation is 1 where a batch has no more utterances than entries."""
        for width in aligned_widths(config, "cca"):
            if config.train.batch_size <= width:
                return (
                    f"'train.batch_size' is {config.train.batch_size}, not above the width {width} "
                    "of what is aligned: every canonical correlation would be 1, whatever the "
                    "data; raise the batch size or lower the width"
                )
            if self.components > width:
                return (
                    f"'loss.alignment.cca.components' is {self.components}, above the width "
                    f"{width} of what is aligned; lower it, or set 0 for all"
                )
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairConfig:
    """What one pair of modalities is made to do with its information."""

    mode: str = field(
        "off",
        "off; shared = the pair's representations are pulled together; private = pushed apart",
        "alignment",
        choices=("off", "shared", "private"),
    )
    measure: str = field(
        "cov", "distance of the two representations", "alignment measure", family="alignment"
    )
    weight: float = weight(
        1.0, "weight of the pair's term in the loss", "alignment weight", symbol=r"\lambda_{%s}",
        searched=(1e-2, 1e4, "log"),
    )  # fmt: skip
    margin: float = positive(
        0.1,
        "private only: distance beyond which the pair is no longer pushed apart",
        "private margin",
        1e6,
        symbol=r"\mu_{%s}",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignmentConfig:
    """The three pairs of modalities. A pair with an absent modality is off."""

    text_audio: PairConfig = section(PairConfig)
    text_vision: PairConfig = section(PairConfig)
    audio_vision: PairConfig = section(PairConfig)
    layer: str = field(
        "projector",
        "what is aligned; encoder: the encoders' vectors; projector: the projected ones; head: the "
        "hidden layers of the unimodal heads",
        "aligned layer",
        choices=("encoder", "projector", "head"),
        quiet=True,
    )
    standardise: str = field(
        "none",
        "none; unit_variance: every entry is divided by its deviation in the batch",
        "aligned scale",
        choices=("none", "unit_variance"),
        quiet=True,
    )
    cov: CovOptions = section(CovOptions)
    paircov: PaircovOptions = section(PaircovOptions)
    cmd: CmdOptions = section(CmdOptions)
    mmd: MmdOptions = section(MmdOptions)
    rkd: RkdOptions = section(RkdOptions)
    infonce: InfonceOptions = section(InfonceOptions)
    cca: CcaOptions = section(CcaOptions)


def aligned_pairs(config: Any) -> list[str]:
    """The pairs whose term is in the loss."""
    own = {pair: getattr(config.loss.alignment, pair) for pair in used_pairs(config)}
    return [pair for pair, of in own.items() if of.mode != "off" and of.weight > 0]


def aligned_widths(config: Any, measure: str) -> list[int]:
    """Widths of what is aligned, for each pair that uses the measure."""
    return [
        aligned_width(config, PAIRS[pair][0])
        for pair in aligned_pairs(config)
        if getattr(config.loss.alignment, pair).measure == measure
    ]


def aligned_width(config: Any, modality: str) -> int:
    """Entries of a modality's aligned vector."""
    match config.loss.alignment.layer:
        case "encoder":
            return int(getattr(config.model, modality).width)
        case "head":
            return int(config.loss.unimodal.width)
    return int(config.model.projection.width)


def check_alignment(config: Any) -> None:
    """Whether there is something to align.

    Raises:
        ConfigError: a pair of encoders of two widths, or of modalities without unimodal heads.
    """
    layer = config.loss.alignment.layer
    for pair in aligned_pairs(config):
        first, second = PAIRS[pair]
        widths = [aligned_width(config, name) for name in (first, second)]
        if widths[0] != widths[1]:
            raise ConfigError(
                f"'loss.alignment.layer: {layer}' with '{pair}' needs two equal widths, but "
                f"'model.{first}.width' is {widths[0]} and 'model.{second}.width' {widths[1]}; "
                "make them equal, or align the layer 'projector'"
            )
        without = [name for name in PAIRS[pair] if name not in unimodal_heads(config)]
        if layer == "head" and without:
            raise ConfigError(
                f"'loss.alignment.layer: head' with '{pair}' needs unimodal heads of "
                f"{' and '.join(without)}; set 'loss.unimodal.kind' and their weights"
            )
