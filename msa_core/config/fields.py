"""The declaration of a field, and the names that every configuration shares.

Standard library only.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

MODALITIES = ("text", "audio", "vision")
PAIRS = {
    "text_audio": ("text", "audio"),
    "text_vision": ("text", "vision"),
    "audio_vision": ("audio", "vision"),
}


def used_modalities(config: Any) -> list[str]:
    """Return the modalities that a `Config` reads."""
    return [name for name in MODALITIES if getattr(config.model, name).use]


def used_pairs(config: Any) -> list[str]:
    """Return the pairs both of whose modalities a `Config` reads."""
    used = used_modalities(config)
    return [pair for pair, both in PAIRS.items() if set(both) <= set(used)]


class ConfigError(ValueError):
    """A field that does not exist, or a value that the field does not allow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelScheme:
    """How a family of data sets labels sentiment, and the metrics its papers report.

    Attributes:
        bound: Largest label; labels lie in [-bound, bound].
        metrics: Names of its metrics, in the order of the literature's tables.
    """

    bound: float
    metrics: tuple[str, ...]


# Labels belong to the data (`data.labels`), not to the configuration: no study searches them.
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
class Origin:
    """Where the thing comes from that a value of a field switches on.

    Attributes:
        source: Paper or code, and where ours departs from it; one line, empty if `Options.source`
            of the field's own kind says it.
        cites: Keys of `msa_core/reference/references.bib`.
    """

    source: str = ""
    cites: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldInfo:
    """Facts about one field besides its type and default.

    Attributes:
        meaning: Explanation in one line.
        label: Short name for tables and plots.
        symbol: LaTeX, without dollar signs; empty if the field has none.
        unit: Unit of a number, in the plural (`epochs`, `utterances`); empty for a pure number,
            which `tests/msa_core/config/test_units.py` then lists with its reason.
        minimum, maximum: Inclusive bounds of a number; None = unbounded.
        above: Exclusive lower bound of a number.
        choices: Allowed strings; empty = any.
        family: Family that the choices are kinds of (`msa_core.config.kinds`); they are then those
            that have options there.
        varies: Whether the members of a pack may differ in it (`msa_core.vectorised.pack_key`).
        quiet: Whether it is left out of records where it has its default, which changes nothing.
        searched: Range that papers search it in: lowest, highest, `log` or `linear`.
        only_with: Name and value of the field beside it without which it means nothing.
        origins: Choice -> where what it switches on comes from; of a field without choices under
            the key `""`, for any value that is true or above 0.
    """

    meaning: str
    label: str
    symbol: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    family: str = ""
    varies: bool = False
    # So that a new switch adds no column to the tables of studies that do not use it.
    quiet: bool = False
    searched: tuple[float, float, str] | None = None
    only_with: tuple[str, bool | str] | None = None
    origins: Mapping[str, Origin] = dataclasses.field(default_factory=dict)


def field(default: Any, meaning: str, label: str, **info: Any) -> Any:
    """Declare a field of a configuration: its default and its `FieldInfo`."""
    described = FieldInfo(meaning=meaning, label=label, **info)
    return dataclasses.field(default=default, metadata={"info": described})


def share(default: float, meaning: str, label: str, **info: Any) -> Any:
    """Declare a share that members of a pack may differ in, such as of units dropped."""
    # Not 1: dropout divides by 1 - share.
    return field(
        default, meaning, label, unit="share", minimum=0.0, maximum=0.95, varies=True, **info
    )


def count(default: int, meaning: str, label: str, maximum: int, **info: Any) -> Any:
    """Declare a whole number from 1 on."""
    return field(default, meaning, label, minimum=1, maximum=maximum, **info)


def weight(default: float, meaning: str, label: str, **info: Any) -> Any:
    """Declare how much a term counts in the loss. At 0 the term is skipped."""
    # Skipped, not multiplied: 0 times a term that is NaN would be NaN.
    return field(
        default, f"{meaning}; 0 skips the term", label, minimum=0.0, maximum=1e6, varies=True,
        **info,
    )  # fmt: skip


def positive(default: float, meaning: str, label: str, maximum: float, **info: Any) -> Any:
    """Declare a number above 0 that enters the loss: members of a pack may differ in it."""
    return field(default, meaning, label, above=0.0, maximum=maximum, varies=True, **info)


def section(factory: Any) -> Any:
    """Declare a group of fields."""
    return dataclasses.field(default_factory=factory)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of one kind of a family, and facts about that kind that are needed without torch.

    The name of the kind is the name of the field that holds its options.

    Attributes:
        changes: Part that the kind changes: `loss`, `state` (kept from step to step), `model` or
            `loop`.
        source: Paper or code that the kind comes from, and where it departs from it; one line.
        cites: Keys of `msa_core/reference/references.bib`; none for what is common practice.
    """

    # Class variables are no fields: no study can set them, and they are in no cell's key.
    changes: ClassVar[str] = "loss"
    source: ClassVar[str] = ""
    cites: ClassVar[tuple[str, ...]] = ()

    def refusal(self, config: Any) -> str:
        """Return why this kind can't be used in a `Config` that chooses it; empty if it can."""
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedTerm:
    """A term of the loss that a part of the model brings along."""

    weight: float = weight(1.0, "weight of the term in the loss", "term weight")
