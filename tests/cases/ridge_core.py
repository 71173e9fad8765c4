"""A second core, which only tests have: bagged ridge regression in NumPy, with a class as label.

It is as small as the contract lets it be and has none of the optional abilities.
"""

import hashlib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spaces.core import (
    CodeRoots,
    DataError,
    DataSource,
    Evaluation,
    Member,
    Searched,
    SettingError,
    SourceFile,
    Status,
)
from spaces.fields import declaration as declare
from spaces.fields.declaration import ConfigError, Value
from spaces.fields.paths import flatten

CLASSES = 3
FEATURES = 6
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class InputConfig:
    """Which features the model reads."""

    squares: bool = declare.field(False, "squares of the features beside them", "squares")
    first: bool = declare.field(True, "the first half of the features", "first half")
    noise: float = declare.field(
        0.0, "standard deviation of noise added to inputs in training", "noise",
        minimum=0.0, maximum=100.0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FitConfig:
    """How a model is fitted."""

    strength: float = declare.field(
        1.0, "weight of the squared coefficients", "strength", symbol=r"\lambda",
        above=0.0, maximum=1e6,
    )  # fmt: skip
    rounds: int = declare.count(3, "fits on resampled rows, averaged", "rounds", 100)
    pause: float = declare.field(
        0.0, "seconds that a round waits, so that a test can interrupt it", "pause",
        unit="seconds", minimum=0.0, maximum=10.0, quiet=True,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class RidgeConfig:
    """A configuration."""

    input: InputConfig = declare.section(InputConfig)
    fit: FitConfig = declare.section(FitConfig)


@dataclass(frozen=True)
class Accuracy:
    """The share of classes that are right."""

    name: str = "accuracy"
    label: str = "Accuracy"
    higher_is_better: bool = True
    lowest: float = 0.0
    highest: float = 1.0

    def terms(self, predictions: ArrayLike, labels: ArrayLike) -> Floats:
        """Return 1 where a class is right."""
        return (np.asarray(predictions) == np.asarray(labels)).astype(np.float64)[:, None]

    def combine(self, means: Floats) -> Floats:
        """Return the mean itself."""
        return means[..., 0]


@dataclass(frozen=True)
class Rows:
    """Inputs [N, D] and classes [N]."""

    inputs: Floats
    classes: Floats


@dataclass(frozen=True)
class RidgeData:
    """Generated classes, or those of an `.npz` file; see `spaces.core.Data`."""

    train: Rows
    valid: Rows
    test: Rows
    source: str
    facts: None = None

    @property
    def fingerprint(self) -> str:
        """Digest of all rows."""
        digest = hashlib.sha256()
        for rows in (self.train, self.valid, self.test):
            digest.update(rows.inputs.tobytes() + rows.classes.tobytes())
        return digest.hexdigest()

    @property
    def counts(self) -> Mapping[str, int]:
        """Number of rows per split."""
        return {name: len(getattr(self, name).classes) for name in ("train", "valid", "test")}

    @property
    def test_labels(self) -> NDArray[np.float32]:
        """Classes of the test rows."""
        return self.test.classes.astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class RidgeSource(DataSource):
    """Rows of a file, or so many generated ones."""

    rows: int = 0

    @property
    def is_named(self) -> bool:
        """Whether there is a file, or a number of rows."""
        return self.file is not None or self.rows > 0


@dataclass
class RidgeOutcome:
    """See `spaces.core.Outcome`."""

    status: Status = Status.COMPLETE
    reason: str = ""
    kind: str = ""
    log: str = ""
    epochs: int = 0
    best_epoch: int = 0
    valid: Mapping[str, float] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=lambda: {"valid.accuracy": []})
    seconds: float = 0.0
    parameters: int | None = None
    weights: Floats | None = None
    config: RidgeConfig | None = None


class RidgeTraining:
    """Members one after another, a round of all of them per epoch; see `spaces.core.Training`."""

    def __init__(self, members: Sequence[Member], data: tuple[Rows, Rows]) -> None:
        self.members = members
        self.train, self.valid = data
        self.outcomes = [RidgeOutcome(config=member.config) for member in members]
        self.draws = [np.random.default_rng(member.seed) for member in members]
        self.epoch = 0
        self.running = set(range(len(members)))

    @property
    def finished(self) -> bool:
        return not self.running

    @property
    def seconds(self) -> float:
        return sum(outcome.seconds for outcome in self.outcomes)

    @property
    def positions(self) -> range:
        return range(len(self.members))

    def train_for(self, seconds: float) -> None:
        until = time.perf_counter() + seconds
        while self.running:
            self.advance_epoch()
            if time.perf_counter() >= until:
                break

    def advance_epoch(self) -> tuple[int, dict[int, Mapping[str, float]]]:
        self.epoch += 1
        seen: dict[int, Mapping[str, float]] = {}
        for place in sorted(self.running):
            started = time.perf_counter()
            seen[place] = self._add_round(place)
            self.outcomes[place].seconds += time.perf_counter() - started
            if self.epoch >= self.members[place].config.fit.rounds:
                self.running.discard(place)
        return self.epoch, seen

    def _add_round(self, place: int) -> Mapping[str, float]:
        config: RidgeConfig = self.members[place].config
        outcome, draw = self.outcomes[place], self.draws[place]
        time.sleep(config.fit.pause)
        rows = draw.integers(0, len(self.train.classes), len(self.train.classes))
        noise = draw.normal(size=(len(rows), FEATURES)) * config.input.noise
        inputs = design_matrix(self.train.inputs[rows] + noise, config)
        targets = np.eye(CLASSES)[self.train.classes[rows].astype(int)]
        gram = inputs.T @ inputs + config.fit.strength * np.eye(inputs.shape[1])
        fitted = np.linalg.solve(gram, inputs.T @ targets)
        before = 0.0 if outcome.weights is None else outcome.weights * outcome.epochs
        outcome.epochs += 1
        outcome.weights = (before + fitted) / outcome.epochs
        found = score(predict(outcome.weights, self.valid.inputs, config), self.valid.classes)
        outcome.best_epoch, outcome.valid, outcome.parameters = outcome.epochs, found, fitted.size
        outcome.curve["valid.accuracy"].append(found["accuracy"])
        return found

    def metrics_after(self, epoch: int) -> dict[int, Mapping[str, float]]:
        curves = {place: self.outcomes[place].curve["valid.accuracy"] for place in self.positions}
        return {
            place: {"accuracy": curve[epoch - 1]}
            for place, curve in curves.items()
            if len(curve) >= epoch
        }

    def ended_positions(self) -> list[int]:
        return [place for place in self.positions if place not in self.running]

    def epochs_trained(self) -> list[int]:
        return [outcome.epochs for outcome in self.outcomes]

    def stop_members(self, places: Collection[int]) -> None:
        for place in set(places) & self.running:
            self.outcomes[place].status = Status.PRUNED
            self.outcomes[place].reason = f"stopped after epoch {self.outcomes[place].epochs}"
            self.running.discard(place)

    def result(self, place: int) -> RidgeOutcome:
        return self.outcomes[place]

    def member_checkpoints(self, places: Collection[int] | None = None) -> dict[int, bytes]:
        return {}


@dataclass(frozen=True)
class RidgeCore:
    """The core; see `spaces.core.Core`."""

    name: str = "tests.cases.ridge_core:CORE"
    config_class: type = RidgeConfig
    plugins: tuple[SourceFile, ...] = ()

    @property
    def tasks(self) -> Mapping[str, Mapping[str, Accuracy]]:
        return {"classes": {"accuracy": Accuracy()}}

    def with_plugins(self, plugins: Sequence[SourceFile]) -> "RidgeCore":
        if plugins:
            raise ConfigError(f"{plugins[0].name}: ridge regression takes no plugins")
        return self

    def resolve(self, config: RidgeConfig) -> dict[str, Value]:
        default = flatten(RidgeConfig())
        return {
            path: value
            for path, value in flatten(config).items()
            if path != "fit.pause" or value != default[path]
        }

    def is_active(self, config: RidgeConfig, path: str) -> bool:
        return True

    def check(self, config: RidgeConfig, scheme: str) -> None:
        if not (config.input.first or config.input.squares):
            raise ConfigError("nothing is left to read; keep 'input.first' or 'input.squares'")

    def usable_fields(self, config: RidgeConfig, searched: Searched) -> dict[str, Value]:
        return flatten(config)

    def used_plugins(self, config: RidgeConfig, searched: Searched) -> tuple[SourceFile, ...]:
        return ()

    def code_roots(self, config: RidgeConfig | None, searched: Searched) -> CodeRoots:
        folder = Path(__file__).parents[1]
        return CodeRoots(modules=(__name__,), folders=((folder.name, folder),))

    def parse_source(
        self, raw: Mapping[str, Any] | str | None, folder: Path, task: str = ""
    ) -> RidgeSource:
        if raw is None:
            return RidgeSource(scheme="classes")
        if isinstance(raw, str):
            return RidgeSource(scheme="classes", file=folder / raw)
        for name in raw:
            if name not in ("rows", "file"):
                raise SettingError((name,), f"data: '{name}' is not one of rows, file")
        file = folder / raw["file"] if "file" in raw else None
        return RidgeSource(scheme="classes", rows=raw.get("rows", 0), file=file)

    def write_source(self, source: Any) -> dict[str, Any]:
        return {"file": str(source.file.absolute())} if source.file else {"rows": source.rows}

    def source_schema(self) -> dict[str, Any]:
        return {"type": ["string", "object"]}

    def open(self, source: Any) -> RidgeData:
        if source.file is not None:
            if not source.file.is_file():
                raise DataError(f"{source.file}: no such file")
            kept = np.load(source.file)
            splits = [Rows(kept[f"inputs_{n}"], kept[f"classes_{n}"]) for n in SPLITS]
            return RidgeData(*splits, source=source.file.name)
        return RidgeData(*generate_rows(source.rows), source=f"{source.rows} generated rows")

    def restrict(self, config: RidgeConfig, facts: None) -> RidgeConfig:
        return config

    def data_notes(self, facts: None) -> tuple[str, ...]:
        return ()

    def check_data(self, config: RidgeConfig, searched: Searched, facts: None) -> None:
        return None

    def epochs(self, config: RidgeConfig) -> int:
        return config.fit.rounds

    def stops_early(self, config: RidgeConfig) -> bool:
        return False

    def expected_epochs(self, config: RidgeConfig, best_epoch: int = 0) -> float:
        return config.fit.rounds

    def pack_key(self, config: RidgeConfig, device: str) -> str:
        return ""

    def prepare(self, data: RidgeData, configs: Sequence[RidgeConfig]) -> tuple[Any, Any]:
        return (data.train, data.valid), data.test

    def train(self, members: Sequence[Member], prepared: Any, **how: Any) -> RidgeTraining:
        return RidgeTraining(members, prepared)

    def evaluate(self, outcome: RidgeOutcome, test: Rows, *, device: str) -> Evaluation:
        assert outcome.weights is not None and outcome.config is not None
        predictions = predict(outcome.weights, test.inputs, outcome.config)
        return Evaluation(score(predictions, test.classes), predictions.astype(np.float32))

    def cites(self, config: RidgeConfig) -> tuple[str, ...]:
        return ("hoerl1970ridge",)

    def references(self) -> Mapping[str, str]:
        return {"hoerl1970ridge": REFERENCE}


REFERENCE = """@article{hoerl1970ridge,
  author = {Hoerl, Arthur E. and Kennard, Robert W.},
  title = {Ridge Regression: Biased Estimation for Nonorthogonal Problems},
  journal = {Technometrics},
  year = {1970},
}"""
SPLITS = ("train", "valid", "test")
CORE = RidgeCore()


def design_matrix(inputs: Floats, config: RidgeConfig) -> Floats:
    """Return the columns that the model reads, with a constant."""
    half = FEATURES // 2
    columns = [np.ones((len(inputs), 1)), inputs[:, half:]]
    if config.input.first:
        columns.append(inputs[:, :half])
    if config.input.squares:
        columns.append(inputs**2)
    return np.hstack(columns)


def predict(weights: Floats, inputs: Floats, config: RidgeConfig) -> Floats:
    """Return the most likely class of each row."""
    return (design_matrix(inputs, config) @ weights).argmax(axis=1).astype(np.float64)


def score(predictions: Floats, classes: Floats) -> dict[str, float]:
    """Return every metric."""
    metric = Accuracy()
    return {"accuracy": float(metric.combine(metric.terms(predictions, classes).mean(axis=0)))}


def generate_rows(rows: int) -> Iterator[Rows]:
    """Generate splits whose classes the first half of the features decides, and a square."""
    draw = np.random.default_rng(0)
    for count in (rows, rows, rows):
        inputs = draw.normal(size=(count, FEATURES))
        scores = np.stack([inputs[:, 0], inputs[:, 1], inputs[:, 5] ** 2 - 1.0], axis=1)
        yield Rows(inputs, scores.argmax(axis=1).astype(np.float64))
