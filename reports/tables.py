"""The one frozen value that every renderer draws, and the text of its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.evidence.claims.answers import ClaimAnswer
from reports.evidence.comparison import Comparison
from reports.evidence.estimates import Estimate
from reports.evidence.statistics.paired import EXACT_UP_TO
from reports.numerals import (
    choose_decimals,
    count,
    count_range,
)

Rank = Literal["best", "second"]
SPREAD = "mean ± sd"  # how the caption calls what a metric's cell holds


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The head of one metric's columns.

    Attributes:
        metric, label: name and what a person reads.
        arrow: up where higher is better, down where lower is.
        decimals: of every value of this metric in the table.
        primary: whether it carries the verdicts.
    """

    metric: str
    label: str
    arrow: Literal["↑", "↓"]
    decimals: int
    primary: bool


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """One arm's estimate of one metric, and its rank by unrounded mean; ties share a rank."""

    estimate: Estimate
    rank: Rank | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One arm. `changes` is what it fixes over the base configuration, one `field: value` each."""

    arm: str
    changes: tuple[str, ...]
    cells: tuple[TableCell, ...]

    @property
    def primary(self) -> Estimate:
        """The estimate that carries the verdict."""
        return self.cells[0].estimate


@dataclass(frozen=True, kw_only=True)
class Table:
    """What every renderer draws: plain text, unescaped, and unrounded numbers.

    Attributes:
        title: the study's question.
        caption: what the numbers are: n, test, correction, fairness.
        header: one heading a metric, the primary one first.
        rows: one row an arm, in the order of the facts.
        notes: what a reader should know beside.
        claims: the study's claims, answered.
    """

    title: str
    caption: str
    header: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    claims: tuple[ClaimAnswer, ...] = ()


def build_table(comparison: Comparison) -> Table:
    """The table of a comparison."""
    facts = comparison.facts
    header = tuple(
        Heading(
            metric=metric.name,
            label=metric.label,
            arrow="↑" if metric.higher_is_better else "↓",
            decimals=choose_decimals(e.sd for e in comparison.estimates if e.metric == metric.name),
            primary=metric is comparison.primary,
        )
        for metric in comparison.metrics
    )
    ranks = {
        metric.name: rank_means(
            [comparison.of(arm, metric.name).mean for arm in facts.arms], metric.higher_is_better
        )
        for metric in comparison.metrics
    }
    rows = tuple(
        Row(
            arm=arm,
            changes=tuple(
                f"{name}: {_written(value)}" for name, value in facts.changes.get(arm, {}).items()
            ),
            cells=tuple(
                TableCell(estimate=comparison.of(arm, metric.name), rank=ranks[metric.name][place])
                for metric in comparison.metrics
            ),
        )
        for place, arm in enumerate(facts.arms)
    )
    return Table(
        title=facts.question,
        caption=_caption(comparison),
        header=header,
        rows=rows,
        notes=comparison.notes,
        claims=comparison.claims,
    )


def _written(value: object) -> str:
    """A value as a study file has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def rank_means(means: Sequence[float | None], higher_is_better: bool) -> list[Rank | None]:
    """Best and second of the unrounded means; equal means share a rank, a lone arm has none."""
    distinct = sorted({m for m in means if m is not None}, reverse=higher_is_better)
    if len(distinct) < 2:
        return [None] * len(means)
    names: dict[float, Rank] = {distinct[0]: "best", distinct[1]: "second"}
    return [None if m is None else names.get(m) for m in means]


def _caption(comparison: Comparison) -> str:
    facts, primary = comparison.facts, comparison.primary
    estimates = [comparison.of(arm, primary.name) for arm in facts.arms]
    compared = comparison.limits.arms
    if not any(e.n for e in estimates):
        return f"No confirm cell is complete yet. {_budget(comparison)}"
    seeds = count_range((e.n for e in estimates), "confirm seed")
    parts = [f"Test metrics, {SPREAD} over {seeds}."]
    if compared:
        exact = "exact" if max(e.pairs for e in estimates) <= EXACT_UP_TO else "sampled"
        parts.append(
            f"Δ: mean {primary.label} difference from {facts.baseline}, paired by seed, with a "
            "95 % two-level bootstrap interval (seeds and test utterances). "
            f"p: {exact} two-sided sign-flip test over seeds, Holm-corrected over "
            f"{count(compared, 'arm')}. Verdicts are on {primary.label} only."
        )
    parts.append(_budget(comparison))
    return " ".join(parts)


def _budget(comparison: Comparison) -> str:
    facts = comparison.facts
    tuned = [row for row in comparison.fairness if row.searched]
    if not tuned:
        return "No arm has anything to tune."
    tried = count_range((row.candidates for row in tuned), "candidate")
    seeds = count_range((row.tune_seeds for row in tuned), "tuning seed")
    rest = len(comparison.fairness) - len(tuned) - len(facts.frozen)
    untuned = f"; {count(rest, 'arm')} had nothing to tune" if rest else ""
    if facts.frozen:
        untuned += f"; {count(len(facts.frozen), 'arm')} took the values of {facts.baseline}"
    if comparison.unequal_budgets:
        return f"Budgets are unequal: tuned arms tried {tried} on {seeds}{untuned}."
    if facts.device_seconds is not None:
        return (
            f"Every tuned arm was tuned for {facts.device_seconds:g} device-seconds: {tried} on "
            f"{seeds}{untuned}."
        )
    return f"Every tuned arm tried {tried} on {seeds}{untuned}."
