"""THE CONTRACT of a core: what can be trained, for a platform that knows no model.

A core is a value with the methods of `Core`. Optional abilities are protocols of their own
(`spaces.abilities`): a core that lacks one loses that ability and nothing else. Standard library
and NumPy only.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from spaces.fields.declaration import Value
from spaces.task import Task

Floats = NDArray[np.floating[Any]]
Searched = Mapping[str, Collection[Value]]
"""Searched field -> the values that a candidate can have; empty for a range of numbers."""


class Status(StrEnum):
    """The status of a training that has ended; a string, as files, tags and tables hold it."""

    COMPLETE = "complete"
    PRUNED = "pruned"  # stopped early, so that better ones may train
    FAILED = "failed"


class DataError(ValueError):
    """Data that can't be used; the message gives file, split, key and what to do."""


class SettingError(ValueError):
    """A setting of a data source that can't be used.

    Attributes:
        path: Keys that lead to it, from the data source on.
    """

    def __init__(self, path: Sequence[str], message: str) -> None:
        """Create an error of the setting at a path."""
        super().__init__(message)
        self.path = tuple(path)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The text of a file of the user's own, as it is sent to workers and kept beside results.

    Attributes:
        name: Name of the file; with slashes where it is in a folder beside the others.
        text: Python source.
        folder: Folder that it was read from; None = it came from another process.
    """

    name: str
    text: str
    folder: Path | None = field(default=None, compare=False)

    @property
    def digest(self) -> str:
        """Digest of the text; two files of one digest do the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeRoots:
    """Where trainings start in the code of a core; what they import from there decides numbers.

    Attributes:
        modules: Dotted names of the modules.
        folders: Pairs of a top-level package and its folder, or file: those that are followed.
        left_out: Pairs of a module and those of its imports that are not followed.
        packages: Pairs of an installed package and its version, where those count too.
    """

    modules: tuple[str, ...]
    folders: tuple[tuple[str, Path], ...]
    left_out: tuple[tuple[str, tuple[str, ...]], ...] = ()
    packages: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where the data of a study come from; a core derives its own, with more settings.

    Attributes:
        scheme: Name of the task, a key of `Core.tasks`.
        file: File, or None.
    """

    scheme: str
    file: Path | None = None

    @property
    def is_named(self) -> bool:
        """Whether there is something to open."""
        return self.file is not None

    @property
    def stays_here(self) -> str:
        """Why it can't be sent to another machine, for a person; empty if a file is all of it.

        `{which}` in it stands for which of several data sets it is.
        """
        return ""

    def at_file(self, file: Path) -> Self:
        """Return the source with another file, as given on the command line."""
        return replace(self, file=file)


class Data(Protocol):
    """Opened data."""

    @property
    def fingerprint(self) -> str:
        """Digest of all that trainings and evaluations see."""

    @property
    def source(self) -> str:
        """Where they come from, for a person."""

    @property
    def facts(self) -> Any:
        """What `restrict`, `check_data` and `data_notes` of the core need to know."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Name of a split -> number of its examples, for a person."""

    @property
    def test_labels(self) -> Floats:
        """Labels of the test split, against which stored predictions are scored again."""


@dataclass(frozen=True, slots=True)
class Member:
    """One training to be done: a configuration and a seed."""

    config: Any
    seed: int


class Outcome(Protocol):
    """The outcome of one training."""

    status: Status
    reason: str
    kind: str
    log: str
    epochs: int
    best_epoch: int
    valid: Mapping[str, float]
    curve: Mapping[str, Sequence[float]]
    seconds: float

    @property
    def parameters(self) -> int | None:
        """Number of trained parameters; None if there is no model."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Results of a trained member on a split.

    Attributes:
        metrics: Name -> value, unrounded; an undefined metric is absent.
        predictions: Predictions in the order of the split.
    """

    metrics: Mapping[str, float]
    predictions: Floats


class Training(Protocol):
    """The training of some members, in pieces; members are named by their positions."""

    epoch: int

    @property
    def finished(self) -> bool:
        """Whether no member is left to train."""

    @property
    def seconds(self) -> float:
        """Time of all members so far in seconds, that before an interruption included."""

    @property
    def positions(self) -> range:
        """Positions of the members."""

    def train_for(self, seconds: float) -> None:
        """Train all members to their ends, or for about so many seconds."""

    def advance_epoch(self) -> tuple[int, Mapping[int, Mapping[str, float]]]:
        """Train one more epoch; return its number and the validation metrics after it."""

    def metrics_after(self, epoch: int) -> Mapping[int, Mapping[str, float]]:
        """Collect the validation metrics after an epoch (from 1)."""

    def ended_positions(self) -> Sequence[int]:
        """List the members that have ended."""

    def epochs_trained(self) -> Sequence[int]:
        """List the number of epochs trained by each member."""

    def stop_members(self, places: Collection[int]) -> None:
        """Stop members, unless they have ended already."""

    def result(self, place: int) -> Any:
        """Return the outcome of a member; one that still runs counts as stopped now."""

    def member_checkpoints(self, places: Collection[int] | None = None) -> dict[int, bytes]:
        """Make checkpoints of running members; of all if None. Empty where there are none."""


class Core(Protocol):
    """What can be trained. Configurations are instances of its class, a tree of `spaces.fields`.

    A core is a value: equal ones train alike.
    """

    def __hash__(self) -> int:
        """Hash it, so that what is computed with it can be kept."""

    @property
    def name(self) -> str:
        """Name in study files."""

    @property
    def config_class(self) -> type:
        """Class of its configurations, with the default of every field."""

    @property
    def tasks(self) -> Mapping[str, Task]:
        """Name -> task."""

    @property
    def plugins(self) -> tuple[SourceFile, ...]:
        """Files of the user's own that it was extended with."""

    def with_plugins(self, plugins: Sequence[SourceFile]) -> "Core":
        """Return the core extended with these files and no others.

        Raises:
            ConfigError: A file can't be used; the message starts with its name.
        """

    def resolve(self, config: Any) -> dict[str, Value]:
        """Return the fields that mean something; what resolves alike trains alike."""

    def is_active(self, config: Any, path: str) -> bool:
        """Check whether changing this field could change a training of this configuration."""

    def check(self, config: Any, scheme: str) -> None:
        """Check the rules between fields.

        Raises:
            ConfigError: Fields that do not go together.
        """

    def usable_fields(self, config: Any, searched: Searched) -> dict[str, Value]:
        """Return every field that a candidate can use, whether it means something or not."""

    def used_plugins(self, config: Any, searched: Searched) -> Sequence[SourceFile]:
        """Return the plugins that a candidate's training can use."""

    def code_roots(self, config: Any | None, searched: Searched) -> "CodeRoots":
        """Return where a candidate's training starts in the code; None = any training at all."""

    def parse_source(
        self, raw: Mapping[str, Any] | str | None, folder: Path, task: str = ""
    ) -> DataSource:
        """Read a data source of a study file.

        Args:
            raw: What the study names; None = nothing, and the core opens what it brings along.
            folder: Folder at which relative paths start.
            task: Task that the study names; empty = none.

        Raises:
            SettingError: A wrong setting.
        """

    def write_source(self, source: DataSource) -> dict[str, Any]:
        """Return what `parse_source` reads as this source."""

    def source_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a data source."""

    def open(self, source: DataSource) -> Data:
        """Open the data.

        Raises:
            DataError: There are none, or anything wrong in them.
        """

    def restrict(self, config: Any, facts: Any) -> Any:
        """Switch off what these data do not have."""

    def data_notes(self, facts: Any) -> Sequence[str]:
        """Return what `restrict` does on these data, for a person; empty if nothing."""

    def check_data(self, config: Any, searched: Searched, facts: Any) -> None:
        """Check that the data have what a configuration, or its search, asks for.

        Raises:
            ConfigError: They have not.
        """

    def epochs(self, config: Any) -> int:
        """Return how many epochs a training has at most; 0 = it can't be known."""

    def stops_early(self, config: Any) -> bool:
        """Check whether a training may end before its last epoch."""

    def expected_epochs(self, config: Any, best_epoch: int = 0) -> float:
        """Return how many epochs a training has about; `best_epoch` is its best so far, 0 = none.

        Where trainings do not stop early, all of them.
        """

    def pack_key(self, config: Any, device: str) -> str:
        """Return what configurations that may train in one step share; empty: they train alone."""

    def prepare(self, data: Any, configs: Sequence[Any]) -> tuple[Any, Any]:
        """Return train and valid as these configurations need them, and test apart."""

    def train(
        self,
        members: Sequence[Member],
        prepared: Any,
        *,
        device: str,
        size: int | None,
        epoch_limit: float | None,
        resume: Mapping[int, bytes],
        identity: str,
        tested: bool,
        compared: str,
    ) -> Training:
        """Begin the training of some members.

        Args:
            members: Members to train.
            prepared: First part of `prepare`.
            device: `cpu` or `cuda`.
            size: Most members in one step; None = all of a pack key.
            epoch_limit: Seconds after which an epoch counts as hung; None = never.
            resume: Position -> checkpoint; one of another identity is not used.
            identity: Text of what decides the numbers beside configuration and seed.
            tested: Whether the members will be evaluated on test.
            compared: Metric by which members are compared after an epoch; empty = they are not.
        """

    def evaluate(self, outcome: Any, test: Any, *, device: str) -> Evaluation:
        """Evaluate a complete member on test, the second part of `prepare`."""

    def cites(self, config: Any) -> Sequence[str]:
        """Return the keys of the papers that a configuration builds on."""

    def references(self) -> Mapping[str, str]:
        """Return key -> BibTeX entry."""
