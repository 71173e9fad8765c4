"""Pair alignment and its options. Standard library only."""

from dataclasses import dataclass
from typing import Any, ClassVar

from msa_core.config.fields import PAIRS, positive, used_pairs, weight
from msa_core.config.unimodal import unimodal_heads
from spaces.fields.declaration import ConfigError, Options, count, field, section

# A smaller one float32 can't tell from none.
SMALLEST_RIDGE = 1e-5


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureOptions(Options):
    """Facts about a measure that are needed without PyTorch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CovOptions(MeasureOptions):
    """Squared distance of the covariances."""

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:covariance_alignment"
    known_answer: ClassVar[str] = (
        "modules/alignment/test_covariance_alignment.py::"
        "test_cov_of_the_cross_with_its_double_is_a_half"
    )
    source: ClassVar[str] = (
        "Sun & Saenko 2016 (Deep CORAL) eq. 1; on modality pairs after arXiv:2305.08473, whose "
        "full text was not at hand"
    )
    cites: ClassVar[tuple[str, ...]] = ("sun2016coral", "lai2024shared")
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

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:paired_covariance"
    known_answer: ClassVar[str] = (
        "modules/alignment/test_covariance_alignment.py::"
        "test_paircov_of_a_modality_with_its_negative_is_4"
    )
    source: ClassVar[str] = (
        "the form of Zbontar et al. 2021 (Barlow Twins) eq. 1, here between modalities"
    )
    cites: ClassVar[tuple[str, ...]] = ("zbontar2021barlow",)
    off_diagonal: float = field(
        0.01, "weight of correlations between different entries", "off-diagonal weight",
        minimum=0.0, maximum=1e3, varies=True, searched=(0.005, 0.05, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CmdOptions(MeasureOptions):
    """Distance of means and central moments."""

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:central_moment_discrepancy"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_information_estimators.py::"
        "test_cmd_of_points_at_half_and_of_the_same_halved_is_known"
    )
    source: ClassVar[str] = (
        "Zellinger et al. 2017, without the range factors, as in the public MISA code"
    )
    cites: ClassVar[tuple[str, ...]] = ("zellinger2017cmd", "hazarika2020misa")


@dataclass(frozen=True, kw_only=True, slots=True)
class MmdOptions(MeasureOptions):
    """Maximum mean discrepancy."""

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:mean_discrepancy"
    known_answer: ClassVar[str] = (
        "modules/alignment/test_covariance_alignment.py::"
        "test_mmd_of_two_points_is_known_whatever_their_distance"
    )
    source: ClassVar[str] = "Gretton et al. 2012 eq. 5"
    cites: ClassVar[tuple[str, ...]] = ("gretton2012mmd",)
    bandwidth: float = positive(
        1.0, "width of the kernel, in root mean square distances", "bandwidth", 1e3,
        unit="root mean square distances", searched=(0.25, 4.0, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RkdOptions(MeasureOptions):
    """Distance of relations between utterances."""

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:relational_distance"
    known_answer: ClassVar[str] = (
        "modules/alignment/test_relational_distances.py::"
        "test_the_half_circle_against_the_equilateral_triangle_is_known"
    )
    source: ClassVar[str] = (
        "Park et al. 2019 (RKD), distance term; between modalities as in the public SAMM code"
    )
    cites: ClassVar[tuple[str, ...]] = ("park2019rkd", "sarfraz2024beyond")


@dataclass(frozen=True, kw_only=True, slots=True)
class InfonceOptions(MeasureOptions):
    """Symmetric InfoNCE."""

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:contrastive_alignment"
    known_answer: ClassVar[str] = (
        "modules/contrast/test_anchor_loss.py::"
        "test_two_orthonormal_matched_rows_give_the_known_value"
    )
    source: ClassVar[str] = (
        "van den Oord et al. 2018 (InfoNCE), both ways as in Radford et al. 2021 (CLIP)"
    )
    cites: ClassVar[tuple[str, ...]] = ("oord2018cpc", "radford2021clip")
    temperature: float = positive(
        0.1, "divides the cosines", "temperature", 100.0, symbol=r"\tau",
        searched=(0.05, 0.5, "log"),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class CcaOptions(MeasureOptions):
    """Distance of the canonical correlations from 1."""

    implementation: ClassVar[str] = "msa_core.modules.alignment.measures:canonical_distance"
    known_answer: ClassVar[str] = (
        "modules/alignment/test_covariance_alignment.py::"
        "test_cca_is_k_less_the_sum_of_the_k_largest_canonical_correlations"
    )
    source: ClassVar[str] = "Andrew et al. 2013 (deep CCA), section 3"
    cites: ClassVar[tuple[str, ...]] = ("andrew2013dcca",)
    components: int = field(
        0, "canonical correlations that count, the largest; 0 = all", "components", minimum=0,
        maximum=1024, unit="correlations",
    )  # fmt: skip
    ridge: float = field(
        0.01, "added to each column's variance, as a share of it", "ridge", unit="share",
        minimum=SMALLEST_RIDGE, maximum=10.0, varies=True, searched=(1e-3, 1.0, "log"),
    )  # fmt: skip

    def refusal(self, config: Any) -> str:
        """Refuse batches in which every correlation is 1, and components that there are not."""
        # B centred rows span at most B - 1 dimensions: with B <= width both modalities span the
        # same ones, and every canonical correlation is 1.
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
    """How one pair of modalities is aligned: pulled together, pushed apart or left alone."""

    mode: str = field(
        "off",
        "off; shared = the pair's representations are pulled together; private = pushed apart",
        "alignment",
        choices=("off", "shared", "private"),
    )
    measure: str = field(
        "cov", "distance of the two representations", "alignment measure", kinds_in="loss.alignment"
    )
    weight: float = weight(
        1.0, "weight of the pair's term in the loss", "alignment weight", symbol=r"\lambda_{%s}",
        searched=(1e-2, 1e4, "log"),
    )  # fmt: skip
    # Pushed apart only so far: a distance has no upper bound, and would outgrow the task's loss.
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
    """Return the pairs whose term is in the loss."""
    # A weight of 0 skips the term, so it must not demand equal widths or heads either.
    own = {pair: getattr(config.loss.alignment, pair) for pair in used_pairs(config)}
    return [pair for pair, of in own.items() if of.mode != "off" and of.weight > 0]


def aligned_widths(config: Any, measure: str) -> list[int]:
    """Return the width of what is aligned, for each pair that uses the measure."""
    return [
        aligned_width(config, PAIRS[pair][0])
        for pair in aligned_pairs(config)
        if getattr(config.loss.alignment, pair).measure == measure
    ]


def aligned_width(config: Any, modality: str) -> int:
    """Return the number of entries of a modality's aligned vector."""
    match config.loss.alignment.layer:
        case "encoder":
            return int(getattr(config.model, modality).width)
        case "head":
            return int(config.loss.unimodal.width)
    return int(config.model.projection.width)


def check_alignment(config: Any) -> None:
    """Check that the vectors to be aligned exist and have equal widths.

    Raises:
        ConfigError: A pair of encoders of two widths, or of modalities without unimodal heads.
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
