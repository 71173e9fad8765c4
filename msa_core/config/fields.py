"""The names that every configuration shares, and fields that many of its parts declare.

Standard library only.
"""

from dataclasses import dataclass
from typing import Any

from spaces.fields.declaration import field

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


def share(default: float, meaning: str, label: str, **info: Any) -> Any:
    """Declare a share that members of a pack may differ in, such as of units dropped."""
    # Not 1: dropout divides by 1 - share.
    return field(
        default, meaning, label, unit="share", minimum=0.0, maximum=0.95, varies=True, **info
    )


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


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedTerm:
    """A term of the loss that a part of the model brings along."""

    weight: float = weight(1.0, "weight of the term in the loss", "term weight")
