"""What a field of a configuration is, and the words that every configuration shares.

Standard library only.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

MODALITIES = ("text", "audio", "vision")
PAIRS = {
    "text_audio": ("text", "audio"),
    "text_vision": ("text", "vision"),
    "audio_vision": ("audio", "vision"),
}


def used_modalities(config: Any) -> list[str]:
    """The modalities that a `Config` reads."""
    return [name for name in MODALITIES if getattr(config.model, name).use]


def used_pairs(config: Any) -> list[str]:
    """The pairs both of whose modalities a `Config` reads."""
    used = used_modalities(config)
    return [pair for pair, both in PAIRS.items() if set(both) <= set(used)]


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
        unit: of a number, in the plural (`epochs`, `utterances`); empty for a pure number, which
            `tests/msa_core/config/test_units.py` then lists with its reason.
        minimum, maximum: inclusive bounds of a number; None = unbounded.
        above: exclusive lower bound of a number.
        choices: the allowed strings; empty = any.
        family: names what the choices are kinds of (`msa_core.config.kinds`); they are then those
            that have options there.
        varies: whether the members of a pack may differ in it (`msa_core.vectorised.pack_key`).
        quiet: not recorded where it has its default, which changes nothing.
        searched: the range that papers search it in: lowest, highest, `log` or `linear`.
        only_with: name and value of the field beside it without which it means nothing.
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
    quiet: bool = False
    searched: tuple[float, float, str] | None = None
    only_with: tuple[str, bool | str] | None = None


def field(default: Any, meaning: str, label: str, **info: Any) -> Any:
    """A field of a configuration: its default and its `FieldInfo`."""
    described = FieldInfo(meaning=meaning, label=label, **info)
    return dataclasses.field(default=default, metadata={"info": described})


def share(default: float, meaning: str, label: str, **info: Any) -> Any:
    """A share that members of a pack may differ in, such as of units dropped."""
    return field(
        default, meaning, label, unit="share", minimum=0.0, maximum=0.95, varies=True, **info
    )


def count(default: int, meaning: str, label: str, maximum: int, **info: Any) -> Any:
    """A whole number from 1 on."""
    return field(default, meaning, label, minimum=1, maximum=maximum, **info)


def weight(default: float, meaning: str, label: str, **info: Any) -> Any:
    """How much a term counts in the loss. At 0 the term is skipped."""
    return field(
        default, f"{meaning}; 0 skips the term", label, minimum=0.0, maximum=1e6, varies=True,
        **info,
    )  # fmt: skip


def positive(default: float, meaning: str, label: str, maximum: float, **info: Any) -> Any:
    """A number above 0 that enters the loss: members of a pack may differ in it."""
    return field(default, meaning, label, above=0.0, maximum=maximum, varies=True, **info)


def section(factory: Any) -> Any:
    """A group of fields."""
    return dataclasses.field(default_factory=factory)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """The options of one kind of a family, and what must be known of that kind without torch.

    The name of the kind is the name of the field that holds its options.

    Attributes:
        changes: what the kind changes: `loss`, `state` (kept from step to step), `model` or `loop`.
    """

    changes: ClassVar[str] = "loss"

    def refusal(self, config: Any) -> str:
        """Why this kind can't be used in a `Config` in which it is chosen; empty if it can."""
        return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedTerm:
    """A term of the loss that a part of the model brings along."""

    weight: float = weight(1.0, "weight of the term in the loss", "term weight")
