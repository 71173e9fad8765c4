"""Configurations on data: what the data must have for them. Standard library only."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from msa_core.config.fields import MODALITIES, used_modalities
from msa_core.config.schema import Config
from spaces.fields.declaration import ConfigError, Value


@dataclass(frozen=True, kw_only=True, slots=True)
class DataFacts:
    """What configurations are restricted to, and checked against.

    Attributes:
        modalities: Modalities that the data have.
        annotated: Modalities that have labels of their own.
    """

    modalities: tuple[str, ...]
    annotated: tuple[str, ...] = ()


def absence_notes(facts: DataFacts) -> list[str]:
    """Return a line for each modality that the data do not have."""
    absent = [name for name in MODALITIES if name not in facts.modalities]
    return [f"the data has no {name}: it is switched off in every arm" for name in absent]


def check_annotations(
    config: Config, searched: Mapping[str, Collection[Value]], facts: DataFacts
) -> None:
    """Check that the data have the unimodal labels that a configuration, or its search, asks for.

    Args:
        config: Configuration.
        searched: Searched field -> its possible values.
        facts: Facts of the data.

    Raises:
        ConfigError: They have not.
    """
    unimodal = config.loss.unimodal
    wanted = "loss.unimodal.target" in searched or unimodal.target == "annotated"
    may_be_fixed = unimodal.kind == "fixed" or "loss.unimodal.kind" in searched
    lacking = [name for name in used_modalities(config) if name not in facts.annotated]
    if wanted and may_be_fixed and lacking:
        raise ConfigError(
            "'loss.unimodal.target: annotated' needs unimodal labels "
            f"(regression_labels_T, _A, _V), but the data has none of {', '.join(lacking)}"
        )
