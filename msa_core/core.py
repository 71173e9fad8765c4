"""The core that ships: multimodal sentiment, as `spaces.core` wants it.

Whoever reads a study imports this module, so PyTorch and scipy are imported inside methods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msa_core.config.fields import PAIRS
from msa_core.config.kinds import FAMILIES, kind_of_path, kinds_of
from msa_core.config.on_data import DataFacts, absence_notes, check_annotations
from msa_core.config.rules import check_config, is_active, resolve_fields, restrict_to
from msa_core.config.schema import Config
from msa_core.config.usable import usable_added_kinds, usable_fields
from msa_core.data.source import MsaSource, parse_source, write_source
from msa_core.metrics import SCHEMES
from msa_core.plugins import config_with, kinds_added_by
from msa_core.reference.citations import ANALYSES, cited_by, read_references
from msa_core.reference.sources import declared_in, sources_of
from msa_core.training.expected_epochs import expected_epochs, stops_early
from msa_core.vectorised.pack_key import pack_key, sequential_kind_reason, sequential_reason
from msa_core.version import core_modules, roots_from, training_modules
from spaces.abilities import FieldGroups, PackSize
from spaces.core import (
    CodeRoots,
    Core,
    DataError,
    DataSource,
    Evaluation,
    Member,
    Searched,
    SourceFile,
)
from spaces.fields.declaration import Value
from spaces.task import Task

if TYPE_CHECKING:
    from msa_core.data.dataset import Dataset, Split
    from msa_core.data.prepared import PreparedSplits
    from msa_core.training.member_run import MemberResult
    from msa_core.training.pack_training import PackTraining

GROUPS = FieldGroups(
    sections={pair: f"loss.alignment.{pair}" for pair in PAIRS},
    switch="mode",
    off="off",
    detail="measure",
)


@dataclass(frozen=True)
class MsaCore:
    """Multimodal sentiment, with the kinds that a study's plugins add.

    Attributes:
        plugins: Files with the kinds.
    """

    plugins: tuple[SourceFile, ...] = ()

    @property
    def name(self) -> str:
        """Name in study files."""
        return "msa"

    @property
    def config_class(self) -> type[Config]:
        """Class of the configurations, with the kinds of the plugins."""
        return config_with(self.plugins)

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Label scheme -> name -> metric."""
        return SCHEMES

    def with_plugins(self, plugins: Sequence[SourceFile]) -> "MsaCore":
        """Return the core with the kinds of these plugins and no others.

        Raises:
            PluginError: See `msa_core.plugins.config_with`.
        """
        extended = MsaCore(tuple(plugins))
        config_with(extended.plugins)
        return extended

    # --- Configurations.

    def resolve(self, config: Config) -> dict[str, Value]:
        """Return the fields that mean something, see `resolve_fields`."""
        return resolve_fields(config)

    def is_active(self, config: Config, path: str) -> bool:
        """Check whether changing this field could change a training of this configuration."""
        return is_active(config, path)

    def check(self, config: Config, scheme: str) -> None:
        """Check the rules between fields, see `check_config`."""
        check_config(config, scheme)

    def usable_fields(self, config: Config, searched: Searched) -> dict[str, Value]:
        """Return every field, without those of plugins' kinds that can't be used."""
        return usable_fields(config, searched)

    def used_plugins(self, config: Config, searched: Searched) -> tuple[SourceFile, ...]:
        """Return the plugins of which a kind is used or can be chosen."""
        usable = usable_added_kinds(config, searched)
        return tuple(
            plugin
            for plugin in self.plugins
            if usable.intersection(kinds_added_by(self.config_class, plugin))
        )

    def code_roots(self, config: Config | None, searched: Searched) -> CodeRoots:
        """Return where a training starts in the code, see `version`."""
        if config is None:
            return roots_from(core_modules())
        return roots_from(training_modules(config, searched, self.used_plugins(config, searched)))

    # --- Data.

    def parse_source(
        self, raw: Mapping[str, Any] | str | None, folder: Path, task: str = ""
    ) -> MsaSource:
        """Read one data set of a study file, see `data.source`."""
        return parse_source(raw, folder, task)

    def write_source(self, source: DataSource) -> dict[str, Any]:
        """Return what `parse_source` reads as this source."""
        assert isinstance(source, MsaSource)
        return write_source(source)

    def source_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of what `parse_source` reads."""
        from msa_core.data.source_schema import source_schema

        return source_schema()

    def open(self, source: DataSource) -> "Dataset":
        """Open a feature file, or generate the planted data, see `load_dataset`."""
        from msa_core.data.load import load_dataset

        assert isinstance(source, MsaSource)
        named = source.file or source.planted
        if named is None:
            raise DataError("the study names no data")
        return load_dataset(named, source.scheme, source.text_model)

    def restrict(self, config: Config, facts: DataFacts) -> Config:
        """Switch off the modalities that the data do not have."""
        return restrict_to(config, facts.modalities)

    def data_notes(self, facts: DataFacts) -> list[str]:
        """Return a line for each modality that the data do not have."""
        return absence_notes(facts)

    def check_data(self, config: Config, searched: Searched, facts: DataFacts) -> None:
        """Check that the data have the unimodal labels that are asked for."""
        check_annotations(config, searched, facts)

    # --- Training and evaluation.

    def epochs(self, config: Config) -> int:
        """Return how many epochs a training has at most."""
        return config.train.epochs

    def stops_early(self, config: Config) -> bool:
        """Check whether a training may end before its last epoch."""
        return stops_early(config)

    def expected_epochs(self, config: Config, best_epoch: int = 0) -> float:
        """Return how many epochs a training has about."""
        return expected_epochs(config, best_epoch)

    def pack_key(self, config: Config, device: str) -> str:
        """Return the key of the packs that it may be in; empty: its members train in turn."""
        return "" if sequential_reason(config, device) else pack_key(config)

    def prepare(self, data: "Dataset", configs: Sequence[Config]) -> "tuple[PreparedSplits, Split]":
        """Return train and valid as these configurations need them, and test apart."""
        from msa_core.data.prepared import PreparedSplits

        prepared = PreparedSplits(data.splits)
        for config in configs:
            prepared.prepare_arrays(config)
        return prepared, data.test

    def train(
        self,
        members: Sequence[Member],
        prepared: "PreparedSplits",
        *,
        device: str,
        size: int | None,
        epoch_limit: float | None,
        resume: Mapping[int, bytes],
        identity: str,
        tested: bool,
        compared: str,
    ) -> "PackTraining":
        """Begin the training of some members, see `PackTraining`."""
        from msa_core.training.pack_training import PackTraining

        return PackTraining(
            members,
            prepared,
            device=device,
            size=size,
            epoch_limit=epoch_limit,
            resume=resume,
            identity=identity,
        )

    def evaluate(self, outcome: "MemberResult", test: "Split", *, device: str) -> Evaluation:
        """Evaluate a complete member on test."""
        from msa_core.training.evaluation import evaluate

        return evaluate(outcome, test, device=device)

    def sequential_reason(self, config: Config, device: str) -> str:
        """Return why members train one after another on a device; empty if in packs."""
        return sequential_reason(config, device)

    def sequential_kinds(self) -> dict[str, str]:
        """Return kind -> why its members train one after another on a CPU."""
        reasons = {
            kind: sequential_kind_reason(self.config_class, family, kind)
            for family in ("encoder", "fusion")
            for kind in kinds_of(self.config_class, family)
        }
        return {kind: reason for kind, reason in reasons.items() if reason}

    def measure_pack_size(
        self, member: Member, prepared: "PreparedSplits", *, device: str, most: int, share: int
    ) -> PackSize:
        """Measure how many members should train in one step."""
        from msa_core.vectorised.pack_size import measure_pack_size

        return measure_pack_size(member, prepared, device=device, most=most, share=share)

    def thin(self, data: "Dataset") -> "tuple[PreparedSplits, float]":
        """Return a part of train and valid, and its share of train."""
        from msa_core.training.epoch_timing import thin_splits

        return thin_splits(data.splits)

    def epoch_seconds(self, config: Config, part: "PreparedSplits") -> tuple[float, float]:
        """Time an epoch on the part; return its fixed seconds, and those per member."""
        from msa_core.training.epoch_timing import epoch_seconds

        return epoch_seconds(config, part)

    # --- What a person reads.

    def cites(self, config: Config) -> tuple[str, ...]:
        """Return the keys of the papers that a configuration builds on."""
        return cited_by(config)

    def references(self) -> Mapping[str, str]:
        """Return key -> BibTeX entry."""
        return read_references()

    def sources_of(self, path: str) -> dict[str, str]:
        """Map each value of a field to the source of what it chooses; empty value: of the field."""
        return sources_of(self.config_class, path)

    def declared_in(self, path: str) -> str:
        """Return file and class of a field's declaration."""
        return declared_in(self.config_class, path)

    def added_by(self, plugin: SourceFile) -> str:
        """Return the kinds that a plugin has added: `fusion 'mine', measure 'other'`."""
        added = kinds_added_by(self.config_class, plugin)
        return ", ".join(f"{family} '{kind}'" for family, kind in added)

    def switch_text(self, path: str) -> str:
        """Return the line with which an option of a kind means something; empty for others."""
        option = kind_of_path(self.config_class, path)
        if option is None:
            return ""
        family, kind, _ = option
        where = " of a pair that is not off" if family == "alignment" else ""
        return f"'{FAMILIES[family].switch.format(kind)}'{where}"

    @property
    def groups(self) -> FieldGroups:
        """The modality pairs, which align alike."""
        return GROUPS

    def test_tags(self, data: "Dataset") -> dict[str, tuple[str, ...]]:
        """Return dimension -> tag of every test utterance."""
        from msa_core.analysis.kinds_of_utterances import tag_test

        return tag_test(data)

    @property
    def information_method(self) -> str:
        """How the information of modality pairs is estimated."""
        from msa_core.analysis.shared_information import METHOD

        return METHOD

    @property
    def information_cites(self) -> tuple[str, ...]:
        """Keys of the papers of the analyses."""
        return ANALYSES

    def estimate_information(self, data: "Dataset") -> list[dict[str, Any]]:
        """Estimate what each modality pair knows of the label, from train alone."""
        from msa_core.analysis.shared_information import estimate_shared_information

        return estimate_shared_information(data)


CORE: Core = MsaCore()
