"""The frozen value that every renderer of a table draws, and its caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reports.evidence.arm_estimates import Estimate
from reports.evidence.claims.answers import ClaimAnswer
from reports.evidence.comparison import Comparison
from reports.evidence.statistics.paired import EXACT_UP_TO
from reports.numerals import choose_decimals, format_count, format_count_range

Rank = Literal["best", "second"]
SPREAD = "mean ± sd"  # content of a metric's cell in the words of the caption


@dataclass(frozen=True, kw_only=True)
class Heading:
    """Heading of one metric's columns.

    Attributes:
        metric, label: Name of the metric, and its name for readers.
        arrow: Up where higher is better, down where lower is.
        decimals: Decimals of every value of this metric in the table.
        primary: Whether this metric carries the verdicts.
    """

    metric: str
    label: str
    arrow: Literal["↑", "↓"]
    decimals: int
    primary: bool


@dataclass(frozen=True, kw_only=True)
class TableCell:
    """Estimate of one arm on one metric, and its rank by unrounded mean; ties share a rank."""

    estimate: Estimate
    rank: Rank | None


@dataclass(frozen=True, kw_only=True)
class Row:
    """Row of one arm."""

    arm: str
    cells: tuple[TableCell, ...]

    @property
    def primary(self) -> Estimate:
        """Estimate that carries the verdict."""
        return self.cells[0].estimate


@dataclass(frozen=True, kw_only=True)
class Table:
    """Content of a table: plain, unescaped text and unrounded numbers.

    Attributes:
        title: Question of the study.
        caption: Meaning of the numbers: n, test, correction, fairness.
        header: One heading per metric, the primary one first.
        rows: One row per arm, in the order of the facts.
        notes: Remarks for the reader.
        claims: Claims of the study with their answers.
    """

    title: str
    caption: str
    header: tuple[Heading, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    claims: tuple[ClaimAnswer, ...] = ()


def build_table(comparison: Comparison) -> Table:
    """Build the table of a comparison."""
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
            [comparison.estimate_of(arm, metric.name).mean for arm in facts.arms],
            metric.higher_is_better,
        )
        for metric in comparison.metrics
    }
    rows = tuple(
        Row(
            arm=arm,
            cells=tuple(
                TableCell(
                    estimate=comparison.estimate_of(arm, metric.name),
                    rank=ranks[metric.name][index],
                )
                for metric in comparison.metrics
            ),
        )
        for index, arm in enumerate(facts.arms)
    )
    return Table(
        title=facts.question,
        caption=_write_caption(comparison),
        header=header,
        rows=rows,
        notes=comparison.notes,
        claims=comparison.claims,
    )


def rank_means(means: Sequence[float | None], higher_is_better: bool) -> list[Rank | None]:
    """Rank unrounded means as best and second; equal means share a rank, a lone arm has none."""
    # Ranks of rounded means would call arms equal that the files tell apart.
    distinct = sorted({m for m in means if m is not None}, reverse=higher_is_better)
    if len(distinct) < 2:
        return [None] * len(means)
    names: dict[float, Rank] = {distinct[0]: "best", distinct[1]: "second"}
    return [None if m is None else names.get(m) for m in means]


def _write_caption(comparison: Comparison) -> str:
    facts, primary = comparison.facts, comparison.primary
    estimates = [comparison.estimate_of(arm, primary.name) for arm in facts.arms]
    compared = comparison.limits.arms
    if not any(e.n for e in estimates):
        return f"No confirm cell is complete yet. {_describe_budget(comparison)}"
    seeds = format_count_range((e.n for e in estimates), "confirm seed")
    parts = [f"Test metrics, {SPREAD} over {seeds}."]
    if compared:
        # One arm with sampled sign flips is enough: the caption is about all p values.
        exact = "exact" if max(e.pairs for e in estimates) <= EXACT_UP_TO else "sampled"
        parts.append(
            f"Δ: mean {primary.label} difference from {facts.baseline}, paired by seed, with a "
            f"{_describe_interval(comparison)}. "
            f"p: {exact} two-sided sign-flip test over seeds, Holm-corrected over "
            f"{format_count(compared, 'arm')}. Verdicts are on {primary.label} only."
        )
    parts.append(_describe_budget(comparison))
    return " ".join(parts)


def _describe_interval(comparison: Comparison) -> str:
    if comparison.primary.seeds_only:
        return "95 % t interval (seeds only)"
    return f"95 % two-level bootstrap interval (seeds and test {comparison.facts.example}s)"


def _describe_budget(comparison: Comparison) -> str:
    facts = comparison.facts
    tuned = [row for row in comparison.fairness if row.searched]
    if not tuned:
        return "No arm has anything to tune."
    tried = format_count_range((row.candidates for row in tuned), "candidate")
    seeds = format_count_range((row.tune_seeds for row in tuned), "tuning seed")
    # Frozen arms are not tuned either, and have a sentence of their own.
    rest = len(comparison.fairness) - len(tuned) - len(facts.frozen)
    untuned = f"; {format_count(rest, 'arm')} had nothing to tune" if rest else ""
    if facts.frozen:
        untuned += f"; {format_count(len(facts.frozen), 'arm')} took the values of {facts.baseline}"
    if comparison.unequal_budgets:
        return f"Budgets are unequal: tuned arms tried {tried} on {seeds}{untuned}."
    if facts.device_seconds is not None:
        return (
            f"Every tuned arm was tuned for {facts.device_seconds:g} device-seconds: {tried} on "
            f"{seeds}{untuned}."
        )
    return f"Every tuned arm tried {tried} on {seeds}{untuned}."
