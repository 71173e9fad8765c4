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
class FieldFacts:
    """A field of the configuration, for a person.

    Attributes:
        label: short name for tables and plots.
        symbol: LaTeX, without dollar signs; empty if the field has none.
        domain: where it was searched, as a study file says it; empty = nowhere.
        log: whether it was searched by orders of magnitude.
    """

    label: str
    symbol: str = ""
    domain: str = ""
    log: bool = False


@dataclass(frozen=True, kw_only=True)
class Amount:
    """An amount of information in bits, and how sure it is.

    Attributes:
        value: corrected for the bias of few utterances; may be slightly negative.
        low, high: 95 % bootstrap interval.
        null_high: 95 % quantile of the same with shuffled labels.
        p: of the permutation test against labels that know nothing.
    """

    value: float
    low: float
    high: float
    null_high: float
    p: float


@dataclass(frozen=True, kw_only=True)
class SharedInformation:
    """What two modalities say of the label: alone, alike, and only together.

    Attributes:
        first, second: the modalities.
        redundancy, unique_first, unique_second, synergy, total: see `msa_core.analysis.pid`.
        utterances: that it was estimated from, and of which split.
        method: how the features were made discrete, in a few words.
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
        levels: arm -> factor -> its level in that arm (`on` and `off` of a component), for arms
            that come from a design of factors.
        fields: path of every searched or changed field -> what a person calls it.
        sampler: that drew the candidates; only those of `random` are independent.
        methods: arm -> keys of `references` that it is built from.
        references: key -> BibTeX entry.
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
    levels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    fields: Mapping[str, FieldFacts] = field(default_factory=dict)
    sampler: str = ""
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    references: Mapping[str, str] = field(default_factory=dict)


# What is said of a study and does not decide which cells it has.
DESCRIPTIONS = (
    "notes", "provenance", "claims", "levels", "fields", "sampler", "methods", "references",
)  # fmt: skip


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
        curves: key -> validation curve of the primary metric, float32 [epochs], one value an
            epoch, NaN where undefined; of cells that have one.
        tags: dimension -> tag of every test utterance [N], by which slices are told apart.
        information: what each pair of modalities says of the label; empty if nobody asked.
        sealed: the study is unfinished and its test metrics are kept shut: there are no test
            metrics, predictions or labels here.
        planned_confirm: confirm cells that the plan has; 0 = unknown.
        openings: what a reader must know of test metrics that were seen before the end.
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
    sealed: bool = False
    planned_confirm: int = 0
    openings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse results that break the contract.

        Raises:
            ResultsError: names the column and the row.
        """
        _check_columns(self.cells)
        _check_values(self.cells, self.facts)
        _check_predictions(self)
        _check_tags(self)
        _check_seal(self)


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


def _check_tags(results: Results) -> None:
    for dimension, tags in results.tags.items():
        if results.labels is not None and len(tags) != len(results.labels):
            raise ResultsError(f"dimension '{dimension}': not one tag a test utterance")


def _check_seal(results: Results) -> None:
    tested = any(str(name).startswith(f"{METRIC}test.") for name in results.cells.columns)
    if results.sealed and (tested or results.predictions or results.labels is not None):
        raise ResultsError("the results are sealed, and hold test metrics or predictions")
