"""THE CONTRACT: what a report is made from. Every source of results produces these values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CELL_COLUMNS = ("key", "arm", "phase", "candidate", "seed", "status", "epochs")
METRIC = "metric."  # metric.valid.<name>, metric.test.<name> (confirm only), metric.seconds
PARAM = "param."  # param.<dotted path>; missing where the field means nothing in that arm
PHASES = ("tune", "confirm")
STATUSES = ("complete", "pruned", "failed")

FloatArray = NDArray[np.float64]


class ResultsError(ValueError):
    """Results that break the contract; the message names the column and the row."""


class Metric(Protocol):
    """A metric as a function of a mean over utterances: `combine(mean of terms)`.

    Being one formula for the sample and for any reweighted (bootstrapped) sample of it is what
    makes 10,000 bootstrap draws a matrix product.
    """

    @property
    def name(self) -> str:
        """As in the column `metric.test.<name>`."""

    @property
    def label(self) -> str:
        """As a person reads it."""

    @property
    def higher_is_better(self) -> bool:
        """The direction of the metric."""

    def terms(self, predictions: NDArray[Any], labels: NDArray[Any]) -> FloatArray:
        """Per-utterance statistics [N, k] of predictions [N] and labels [N]."""

    def combine(self, means: FloatArray) -> FloatArray:
        """Metric values [...] from means over utterances [..., k]; NaN where undefined."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What the study's author expects: `arm` is `relation` than (to) `other` on `metric`.

    Attributes:
        text: as the author wrote it.
        arm, relation, other, metric: see above.
        amount: better or worse by at least this, >= 0; equivalent within this, > 0.
    """

    text: str
    arm: str
    relation: Literal["better", "worse", "equivalent"]
    other: str
    metric: str
    amount: float


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """What a report needs to know of the study.

    Attributes:
        arms: in the order of the table; includes the baseline.
        changes: arm -> field -> value: what the arm fixes over the base configuration.
        primary: the metric that carries verdicts.
        margins: metric -> smallest difference the author cares about.
        scheme: `mosi` or `sims`: which metrics exist.
        candidates: tuning budget of every arm with searched fields.
        searched: arm -> the fields searched in it; empty = nothing to tune.
        tune_seeds, confirm_seeds: the seeds of the two phases.
        notes: what happened that a reader should know, e.g. arms left out for lack of data.
        provenance: name -> value, for a person: versions, git commit, data fingerprint.
        claims: what the report answers, in the order of the study file.
        frozen: arm -> the arm whose best candidate's values it takes, instead of being tuned.
        device_seconds: of training in each arm's tuning, where arms are given these and not a
            number of candidates (`candidates` is then 0).
        second_metric: the second objective of the tuning; empty = one objective.
    """

    study: str
    question: str
    arms: tuple[str, ...]
    changes: Mapping[str, Mapping[str, Any]]
    baseline: str
    primary: str
    margins: Mapping[str, float]
    scheme: str
    candidates: int
    searched: Mapping[str, tuple[str, ...]]
    tune_seeds: tuple[int, ...]
    confirm_seeds: tuple[int, ...]
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)
    device_seconds: float | None = None
    second_metric: str = ""


@dataclass(frozen=True, kw_only=True)
class Results:
    """One study's results.

    Attributes:
        cells: one row a cell: `CELL_COLUMNS`, then `metric.*`, then `param.*`; an unknown or
            undefined value is missing (NaN / None), never 0.
        predictions: key of a complete confirm cell -> its test predictions, float32 [N].
        labels: test labels, float32 [N]; None if no confirm cell is complete yet.
        reasons: key of a failed or pruned cell -> one line that says why.
        kinds: key of a failed cell -> the kind of its failure, in a word or two.
        logs: key of a failed cell -> the last lines that its training said.
    """

    facts: StudyFacts
    cells: pd.DataFrame
    predictions: Mapping[str, NDArray[np.float32]]
    labels: NDArray[np.float32] | None
    reasons: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse results that break the contract.

        Raises:
            ResultsError: names the column and the row.
        """
        _check_columns(self.cells)
        _check_values(self.cells, self.facts)
        _check_predictions(self)


def _check_columns(cells: pd.DataFrame) -> None:
    missing = [name for name in CELL_COLUMNS if name not in cells.columns]
    if missing:
        raise ResultsError(f"results lack the columns {missing}")
    unknown = [
        name
        for name in cells.columns
        if name not in CELL_COLUMNS and not str(name).startswith((METRIC, PARAM))
    ]
    if unknown:
        raise ResultsError(f"results have columns that are neither metric.* nor param.*: {unknown}")


def _check_values(cells: pd.DataFrame, facts: StudyFacts) -> None:
    repeated = cells["key"][cells["key"].duplicated()]
    if len(repeated):
        raise ResultsError(f"cell {repeated.iloc[0]} is in the results more than once")
    for column, allowed in (("arm", facts.arms), ("phase", PHASES), ("status", STATUSES)):
        wrong = cells[~cells[column].isin(allowed)]
        if len(wrong):
            row = wrong.iloc[0]
            raise ResultsError(
                f"cell {row['key']}: {column} '{row[column]}' is not one of {allowed}"
            )
    tests = [name for name in cells.columns if str(name).startswith(f"{METRIC}test.")]
    leaked = cells[(cells["phase"] == "tune") & cells[tests].notna().any(axis=1)]
    if len(leaked):
        raise ResultsError(f"cell {leaked.iloc[0]['key']}: a tuning cell has a test metric")


def _check_predictions(results: Results) -> None:
    for key, predictions in results.predictions.items():
        if results.labels is None or predictions.shape != results.labels.shape:
            raise ResultsError(f"cell {key}: test predictions do not fit the test labels")
