"""THE CONTRACT: the values that every source of results produces and a report is made from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

CELL_COLUMNS = ("key", "arm", "phase", "candidate", "seed", "status", "epochs")
METRIC = "metric."  # metric.valid.<name>, metric.test.<name> (confirm only), metric.seconds
PARAM = "param."  # param.<dotted path>; missing where the field means nothing in that arm

FloatArray = NDArray[np.float64]


class CellPhase(StrEnum):
    """Phase of a cell, in the order in which a study runs them."""

    TUNE = "tune"
    CONFIRM = "confirm"


class CellStatus(StrEnum):
    """End of a cell's training; a cell that still trains is not in the results."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAILED = "failed"


# Plain text, because messages and data frames show the values and not the members.
PHASES = tuple(phase.value for phase in CellPhase)
STATUSES = tuple(status.value for status in CellStatus)


class ResultsError(ValueError):
    """Error of results that break the contract; the message names the column and the row."""


class MetricDefinition(Protocol):
    """Metric as readers see it; one that is no more than this has no value on a resample."""

    @property
    def name(self) -> str:
        """Name, as in the column `metric.test.<name>`."""

    @property
    def label(self) -> str:
        """Name for readers."""

    @property
    def higher_is_better(self) -> bool:
        """Direction of the metric."""


@runtime_checkable
class LinearDefinition(MetricDefinition, Protocol):
    """Metric as a function of a mean over examples: `combine(mean of terms)`.

    One formula serves the sample and any reweighted (bootstrapped) sample of it, so that 10,000
    bootstrap draws are one matrix product.
    """

    def terms(self, predictions: NDArray[Any], labels: NDArray[Any]) -> FloatArray:
        """Return statistics per example, [N, k], of predictions and labels of N examples."""

    def combine(self, means: FloatArray) -> FloatArray:
        """Return metric values [...] of means over examples [..., k]; NaN where undefined."""


@runtime_checkable
class GeneralDefinition(MetricDefinition, Protocol):
    """Metric that is no such function, such as the area under a curve."""

    def score(self, predictions: NDArray[Any], labels: NDArray[Any]) -> float:
        """Return the metric of N examples; NaN where undefined."""

    def resample(
        self, predictions: NDArray[Any], labels: NDArray[Any], counts_BN: NDArray[np.int64]
    ) -> FloatArray:
        """Return the metric [B] of resamples; b has example n `counts_BN[b, n]` times."""


@dataclass(frozen=True, kw_only=True)
class StatedClaim:
    """Expectation of the study's author: `arm` is `relation` than (to) `other` on `metric`.

    Attributes:
        text: The claim in the author's words.
        arm, relation, other, metric: Parts of the sentence above.
        amount: Least difference of a better or worse arm, >= 0; bound of an equivalence, > 0.
    """

    text: str
    arm: str
    relation: Literal["better", "worse", "equivalent"]
    other: str
    metric: str
    amount: float


@dataclass(frozen=True, kw_only=True)
class FieldFacts:
    """Description of a field of the configuration, for readers.

    Attributes:
        label: Short name for tables and plots.
        symbol: LaTeX without dollar signs; empty if the field has none.
        domain: Searched range or choices in the words of a study file; empty if not searched.
        log: Whether the search was on a logarithmic scale.
    """

    label: str
    symbol: str = ""
    domain: str = ""
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Amount:
    """Amount of information in bits, with its uncertainty.

    Attributes:
        value: Estimate, corrected for the bias of few utterances; may be slightly negative.
        low, high: Ends of the 95 % bootstrap interval.
        null_high: 95 % quantile of the estimate under shuffled labels.
        p: Permutation p against labels that are independent of the features.
    """

    value: float
    low: float
    high: float
    null_high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class SharedInformation:
    """Information of two modalities about the label: alone, alike, and only together.

    Attributes:
        first, second: Names of the modalities.
        redundancy, unique_first, unique_second, synergy, total: Parts of the decomposition that
            `msa_core.analysis.pid` makes.
        utterances: Number of utterances in the estimate.
        split: Split that the utterances come from.
        method: Discretisation of the features, in a few words.
    """

    first: str
    second: str
    redundancy: Amount
    unique_first: Amount
    unique_second: Amount
    synergy: Amount
    total: Amount
    utterances: int
    split: str
    method: str


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """Description of a study, apart from its cells.

    Attributes:
        arms: Names in the order of the table; includes the baseline.
        changes: Arm -> field -> value that the arm fixes over the base configuration.
        primary: Name of the metric that carries verdicts.
        margins: Metric -> smallest difference that the author cares about.
        scheme: Name of the task, such as `mosi`; decides which metrics exist.
        candidates: Tuning budget of every arm with searched fields, in candidates.
        searched: Arm -> fields searched in it; empty if there is nothing to tune.
        tune_seeds, confirm_seeds: Seeds of the two phases.
        notes: Events that a reader should know of, e.g. arms left out for lack of data.
        provenance: Name -> value, for readers: versions, git commit, data fingerprint.
        claims: Claims that the report answers, in the order of the study file.
        frozen: Arm -> arm whose best candidate's values it takes, instead of being tuned.
        device_seconds: Seconds of training in the tuning of each arm, where these are the budget
            and not a number of candidates (`candidates` is then 0).
        second_metric: Second objective of the tuning; empty if there is one objective.
        levels: Arm -> factor -> level in that arm (`on` and `off` of a component), for arms that
            come from a design of factors.
        fields: Path of every searched or changed field -> its description.
        sampler: Sampler of the candidates; only those of `random` are independent.
        methods: Arm -> keys of `references` that it is built from.
        references: Key -> BibTeX entry.
        core: Name of the core, where it is not the one that ships.
        own_metrics: Metric that only the core's own code can compute -> whether larger is better.
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
    claims: tuple[StatedClaim, ...] = ()
    frozen: Mapping[str, str] = field(default_factory=dict)
    device_seconds: float | None = None
    second_metric: str = ""
    levels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fields: Mapping[str, FieldFacts] = field(default_factory=dict)
    sampler: str = ""
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)
    core: str = ""
    own_metrics: Mapping[str, bool] = field(default_factory=dict)

    @property
    def example(self) -> str:
        """Word for one example of the data."""
        return "example" if self.core else "utterance"


# Facts that describe a study and do not decide which cells it has.
DESCRIPTIONS = (
    "notes", "provenance", "claims", "levels", "fields", "sampler", "methods", "references",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of one study.

    Attributes:
        cells: One row per cell: `CELL_COLUMNS`, then `metric.*`, then `param.*`; an unknown or
            undefined value is missing (NaN / None), never 0.
        predictions: Key of a complete confirm cell -> its test predictions, float32; flat, or in
            the shape of `shape_predictions`.
        labels: Test labels, float32 [N] or [N, K]; None if no confirm cell is complete yet.
        reasons: Key of a failed or pruned cell -> reason in one line.
        kinds: Key of a failed cell -> kind of the failure, in a word or two.
        logs: Key of a failed cell -> last lines that its training printed.
        curves: Key -> validation curve of the primary metric, float32 [epochs], NaN where
            undefined; only of cells that have one.
        tags: Dimension -> tag of every test utterance [N]; a slice is all utterances of one tag.
        information: Information of each pair of modalities; empty if the study did not ask for it.
        embargoed: Whether the study is unfinished and its test metrics are under embargo: there are
            then no test metrics, predictions or labels here.
        planned_confirm: Number of confirm cells in the plan; 0 if unknown.
        unblindings: Sentences about test metrics that were unblinded before the end.
    """

    facts: StudyFacts
    cells: pd.DataFrame
    predictions: Mapping[str, NDArray[np.float32]]
    labels: NDArray[np.float32] | None
    reasons: Mapping[str, str] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    curves: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    information: tuple[SharedInformation, ...] = ()
    embargoed: bool = False
    planned_confirm: int = 0
    unblindings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse results that break the contract.

        Raises:
            ResultsError: Some value breaks it; the message names the column and the row.
        """
        _check_columns(self.cells)
        _check_values(self.cells, self.facts)
        _check_predictions(self)
        _check_tags(self)
        _check_embargo(self)


def order_cells(cells: pd.DataFrame, facts: StudyFacts) -> pd.DataFrame:
    """Sort cells by arm and phase in the study's order, candidate, seed and key.

    A ledger has the cells in the order in which they ended: same cells, same bytes in a report.
    """
    places: Mapping[object, Mapping[str, int]] = {
        "arm": {arm: index for index, arm in enumerate(facts.arms)},
        "phase": {phase: index for index, phase in enumerate(PHASES)},
    }
    return cells.sort_values(
        ["arm", "phase", "candidate", "seed", "key"],
        key=lambda column: column.map(places[column.name]) if column.name in places else column,
    )


def select_complete(cells: pd.DataFrame, phase: CellPhase) -> pd.DataFrame:
    """Return the rows of the complete cells of a phase, in the order of the table."""
    return cells[(cells["phase"] == phase) & (cells["status"] == CellStatus.COMPLETE)]


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
    # A repeated key would make one training count as two seeds.
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
    # A tuning cell with a test metric would let the choice of candidates depend on the test set.
    leaked = cells[(cells["phase"] == CellPhase.TUNE) & cells[tests].notna().any(axis=1)]
    if len(leaked):
        raise ResultsError(f"cell {leaked.iloc[0]['key']}: a tuning cell has a test metric")


def _check_predictions(results: Results) -> None:
    for key, predictions in results.predictions.items():
        if results.labels is None or not _fit_labels(predictions, results.labels):
            raise ResultsError(f"cell {key}: test predictions do not fit the test labels")


def _fit_labels(predictions: NDArray[Any], labels: NDArray[Any]) -> bool:
    # K labels per example have K predictions; one label has one, or as many as there are classes.
    if labels.ndim > 1 or not labels.size:
        return predictions.size == labels.size
    return predictions.size > 0 and predictions.size % labels.size == 0


def shape_predictions(
    predictions: NDArray[np.float32], labels: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the predictions of a cell, which are stored flat, in the shape that metrics read.

    Returns:
        The shape of the labels, or [N, C] where there are C numbers for each of N labels.
    """
    if predictions.size == labels.size:
        return predictions.reshape(labels.shape)
    return predictions.reshape(len(labels), -1)


def _check_tags(results: Results) -> None:
    for dimension, tags in results.tags.items():
        # Without labels nothing is sliced, so tags of an unfinished study are not compared.
        if results.labels is not None and len(tags) != len(results.labels):
            raise ResultsError(f"dimension '{dimension}': not one tag per test utterance")


def _check_embargo(results: Results) -> None:
    tested = any(str(name).startswith(f"{METRIC}test.") for name in results.cells.columns)
    # The embargo holds by leaving data out, so that no renderer can show it by mistake.
    if results.embargoed and (tested or results.predictions or results.labels is not None):
        raise ResultsError("the results are sealed, and hold test metrics or predictions")
