"""THE CORE made of functions of the user's own: a Python file, or an installed module.

The user's code is imported in a child process and nowhere else (`code_host`).
"""

import functools
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from search.cores.cell_training import CellTraining
from search.cores.code_host import (
    CellProcess,
    CodeDescription,
    CodePlace,
    LoadedData,
    describe_code,
    host_of,
    release_host,
)
from search.cores.config_class import make_config_class
from search.cores.function_data import (
    FunctionData,
    FunctionSource,
    PreparedFunctionData,
    TestSplit,
    labels_like,
)
from search.cores.function_training import FunctionTraining
from search.cores.outcome import FunctionOutcome, Scoring
from search.cores.used_packages import used_packages
from spaces.code_version import CodeTree, modules_beside
from spaces.core import (
    CodeRoots,
    DataError,
    DataSource,
    Evaluation,
    Member,
    Searched,
    SettingError,
    SourceFile,
)
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import did_you_mean, flatten
from spaces.find_core import is_code_file
from spaces.metrics.kinds import OwnMetric
from spaces.metrics.labels import check_labels
from spaces.metrics.tasks import TASK_METRICS, score_all
from spaces.task import Task

SCORES = "scores"  # the task of a core that evaluates itself
# Names of a field that is the number of a training's reports.
EPOCH_FIELDS = ("epochs", "max_epochs", "num_epochs", "n_epochs", "num_train_epochs")


@dataclass(frozen=True)
class FunctionCore:
    """A core made of functions; see `spaces.core.Core`.

    Attributes:
        name: Name of the file, or dotted name of an installed module.
        plugins: The file and the modules beside it that it imports, the file first; empty for an
            installed module.
    """

    name: str
    plugins: tuple[SourceFile, ...] = ()

    # --- The code.

    @property
    def _place(self) -> CodePlace:
        if not is_code_file(self.name):
            return CodePlace(module=self.name)
        if not self.plugins:
            raise ConfigError(f"'{self.name}' is a file whose text is not at hand")
        return CodePlace(
            module=Path(self.name).stem, files=self.plugins, folder=self.plugins[0].folder
        )

    @property
    def _described(self) -> CodeDescription:
        return describe_code(self._place)

    def with_plugins(self, plugins: Sequence[SourceFile]) -> "FunctionCore":
        """Return the core made of these files; it is imported.

        Raises:
            ConfigError: It can't be used; the message names file and line.
        """
        if plugins and not is_code_file(self.name):
            raise ConfigError(f"{plugins[0].name}: '{self.name}' takes no plugins")
        core = replace(self, plugins=tuple(plugins))
        if core.plugins or not is_code_file(self.name):
            _check_names(core._place.file, describe_code(core._place))
        return core

    def used_plugins(self, config: Any, searched: Searched) -> tuple[SourceFile, ...]:
        """Return none: the version of the code has all of them in it, comments left out."""
        return ()

    def code_roots(self, config: Any | None, searched: Searched) -> CodeRoots:
        """Return the file or module, what it can reach beside it, and its packages' versions."""
        place = self._place
        if place.files:
            assert place.folder is not None, "versions are made where the files are"
            own = modules_beside(place.folder / self.name)
            texts = [file.text for file in place.files]
        else:
            own, texts = _installed_package(self.name)
        return CodeRoots(
            modules=(place.module,),
            folders=tuple(own.items()),
            packages=used_packages(texts, own),
        )

    # --- The configuration.

    @property
    def config_class(self) -> type:
        """Class made of the fields that the code declares."""
        return make_config_class(self._described.fields)

    def resolve(self, config: Any) -> dict[str, Value]:
        """Return every field: which ones mean something only the code knows."""
        return flatten(config)

    def is_active(self, config: Any, path: str) -> bool:
        """Return True, see `resolve`."""
        return True

    def check(self, config: Any, scheme: str) -> None:
        """Check nothing: rules between fields are the code's own, and end a training."""

    def usable_fields(self, config: Any, searched: Searched) -> dict[str, Value]:
        """Return every field."""
        return flatten(config)

    def restrict(self, config: Any, facts: None) -> Any:
        """Return the configuration itself."""
        return config

    def check_data(self, config: Any, searched: Searched, facts: None) -> None:
        """Check nothing, see `check`."""

    def epochs(self, config: Any) -> int:
        """Return the field that is the number of reports; 0 where no field is."""
        for path, value in flatten(config).items():
            if path.rpartition(".")[2] in EPOCH_FIELDS and type(value) is int:
                return max(1, value)
        return 0

    def stops_early(self, config: Any) -> bool:
        """Return True: the code may end a training when it likes."""
        return True

    def expected_epochs(self, config: Any, best_epoch: int = 0) -> float:
        """Return all of its epochs; those of its best one where their number is unknown."""
        return self.epochs(config) or max(1, best_epoch)

    def pack_key(self, config: Any, device: str) -> str:
        """Return no key: each trains in a process of its own."""
        return ""

    # --- Task and data.

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks that its functions can serve, each with the metrics that it computes itself.

        Of a file whose text is not at hand those of the platform alone.
        """
        if is_code_file(self.name) and not self.plugins:
            return {**TASK_METRICS, SCORES: {}}
        described = self._described
        own = {
            name: OwnMetric(name=name, higher_is_better=better)
            for name, better in described.metrics.items()
        }
        with_labels = {task: {**metrics, **own} for task, metrics in TASK_METRICS.items()}
        return {
            **(with_labels if "predict" in described.functions else {}),
            **({SCORES: own} if "evaluate" in described.functions else {}),
        }

    def parse_source(
        self, raw: Mapping[str, Any] | str | None, folder: Path, task: str = ""
    ) -> FunctionSource:
        """Read a data source: a path, a mapping with a `file`, or nothing."""
        known = tuple(self.tasks)
        if not task and len(known) > 1:
            raise SettingError(
                (), f"'task' is missing: what are predictions and labels? one of {', '.join(known)}"
            )
        file = raw
        if isinstance(raw, Mapping):
            for name in raw:
                if name != "file":
                    hint = did_you_mean(name, ["file"])
                    raise SettingError((name,), f"data: '{name}' is not a setting{hint}; file is")
            file = raw.get("file")
        if file is not None and not isinstance(file, str):
            raise SettingError(("file",), f"data.file: must be a path, but got {file!r}")
        return FunctionSource(
            scheme=task or known[0],
            file=folder / file if file is not None else None,
            needs_path=self._described.needs_path,
        )

    def write_source(self, source: DataSource) -> dict[str, Any]:
        """Return what `parse_source` reads as this source."""
        return {"file": str(source.file.absolute())} if source.file is not None else {}

    def source_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of a data source."""
        return {
            "type": ["string", "object"],
            "properties": {"file": {"type": "string"}},
            "additionalProperties": False,
        }

    def open(self, source: DataSource) -> FunctionData:
        """Open the data in a process that is gone afterwards.

        Raises:
            DataError: `load` can't read them, or returns something else than splits.
        """
        if source.file is not None and not source.file.exists():
            raise DataError(f"{source.file}: no such file or folder")
        path = "" if source.file is None else str(source.file.absolute())
        try:
            loaded = host_of(self._place).load(path)
        except ConfigError as error:
            raise DataError(str(error)) from None
        finally:
            release_host(self._place)
        self._check_labels(loaded, source.scheme)
        labels = loaded.labels
        return FunctionData(
            scheme=source.scheme,
            path=path,
            fingerprint=loaded.fingerprint,
            source=path or f"load of {self._place.file}",
            counts=loaded.counts,
            valid_labels=labels.get("valid"),
            test_labels=labels.get("test", np.zeros(0)).astype(np.float32),
        )

    def _check_labels(self, loaded: LoadedData, scheme: str) -> None:
        if scheme == SCORES:
            return
        for split, labels in loaded.labels.items():
            try:
                check_labels(scheme, labels, split)
            except ValueError as error:
                raise DataError(f"{self._place.file}: load: {error}") from None

    def data_notes(self, facts: None) -> tuple[str, ...]:
        """Return none."""
        return ()

    # --- Training and evaluation.

    def prepare(
        self, data: FunctionData, configs: Sequence[Any]
    ) -> tuple[PreparedFunctionData, TestSplit]:
        """Return what a worker needs to load train and valid, and the labels of test apart."""
        prepared = PreparedFunctionData(
            scheme=data.scheme,
            path=data.path,
            fingerprint=data.fingerprint,
            valid_labels=data.valid_labels,
            like_test=labels_like(data.test_labels),
        )
        return prepared, TestSplit(scheme=data.scheme, labels=data.test_labels)

    def train(
        self,
        members: Sequence[Member],
        prepared: PreparedFunctionData,
        *,
        device: str,
        size: int | None,
        epoch_limit: float | None,
        resume: Mapping[int, bytes],
        identity: str,
        tested: bool,
        compared: str,
    ) -> FunctionTraining:
        """Begin the training of some members, each in a process of its own."""
        host = host_of(self._place)

        def start_member(member: Member, folder: Path) -> CellProcess:
            host.load_same(prepared.path, prepared.fingerprint)
            return host.start_cell(
                values=flatten(member.config),
                seed=member.seed,
                device=device,
                folder=folder,
                tested=tested,
            )

        cells = [
            CellTraining(partial(start_member, member), host.scratch, identity, resume.get(place))
            for place, member in enumerate(members)
        ]
        scoring = Scoring(
            scheme=prepared.scheme,
            task=self.tasks[prepared.scheme],
            labels=prepared.valid_labels,
            like_test=prepared.like_test if tested else None,
            compared=compared,
        )
        return FunctionTraining(cells, scoring, epoch_limit)

    def evaluate(self, outcome: FunctionOutcome, test: TestSplit, *, device: str) -> Evaluation:
        """Score what a complete member predicted for test at its end."""
        predictions = outcome.test_predictions
        scores = {} if predictions is None else score_all(test.scheme, predictions, test.labels)
        kept = np.zeros(0) if predictions is None else predictions
        return Evaluation(
            metrics={**scores, **outcome.test_numbers},
            predictions=kept.ravel().astype(np.float32),
        )

    def cites(self, config: Any) -> tuple[str, ...]:
        """Return no paper."""
        return ()

    def references(self) -> Mapping[str, str]:
        """Return no paper."""
        return {}


@functools.cache
def function_core(name: str) -> FunctionCore:
    """Return the core of a file, whose text `with_plugins` gives it, or of an installed module."""
    return FunctionCore(name=name)


def _check_names(file: str, described: CodeDescription) -> None:
    """Check that no metric of the code has the name of one that the platform computes."""
    if "predict" not in described.functions:
        return
    known = {name for metrics in TASK_METRICS.values() for name in metrics}
    for name in described.metrics:
        if name in known:
            raise ConfigError(
                f"{file}: '{name}' is computed from what predict returns already; give the metric "
                "of the file another name"
            )


def _installed_package(name: str) -> tuple[dict[str, Path], list[str]]:
    """Return the package of a module with its folder, and the texts that the module can reach."""
    top = name.partition(".")[0]
    spec = importlib.util.find_spec(top)
    origin = Path(spec.origin) if spec and spec.origin else None
    if origin is None:
        raise ConfigError(f"'{name}': the package '{top}' has no file __init__.py")
    own = {top: origin.parent if origin.name == "__init__.py" else origin}
    try:
        reached = CodeTree(own).version([name]).files
    except ModuleNotFoundError:
        raise ConfigError(f"'{name}': '{top}' is installed, but has no such module") from None
    return own, [(origin.parents[1] / file).read_text(encoding="utf-8") for file in reached]
