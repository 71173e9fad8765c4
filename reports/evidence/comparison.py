"""Comparison of every arm with the baseline: paired by seed and by utterance.

A missing or undefined quantity is None here, never 0 and never NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from reports.evidence.arm_estimates import Estimate, MetricFacts, estimate_arm, judge_arms
from reports.evidence.caveats import (
    FailedCell,
    Fairness,
    Limits,
    describe_fairness,
    describe_limits,
    list_failures,
)
from reports.evidence.claims.answers import (
    ClaimAnswer,
    answer_claims,
)
from reports.evidence.pair_intervals import Confirmed, intervals_of_pairs
from reports.evidence.statistics.cell_values import (
    is_resampled,
)
from reports.evidence.statistics.resampling import (
    DRAWS,
    Interval,
)
from reports.evidence.verdicts import Declined
from reports.results import (
    METRIC,
    CellPhase,
    MetricDefinition,
    Results,
    ResultsError,
    StudyFacts,
    select_complete,
)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Results of a study as estimates, verdicts and caveats.

    Attributes:
        facts: Facts of the study.
        metrics: Metrics, the primary one first.
        estimates: Arms in the order of the facts, within them metrics in the order above.
        seed_values: Arm -> seed -> value of the primary metric, defined ones only.
        limits, fairness, failures: Caveats of the comparison.
        unequal_budgets: Whether tuned arms were given different budgets.
        notes: Remarks for the reader, the study's own notes first.
        claims: Claims of the study with their answers, in the order of the facts.
    """

    facts: StudyFacts
    metrics: tuple[MetricFacts, ...]
    estimates: tuple[Estimate, ...]
    seed_values: Mapping[str, Mapping[int, float]]
    limits: Limits
    fairness: tuple[Fairness, ...]
    failures: tuple[FailedCell, ...]
    unequal_budgets: bool
    notes: tuple[str, ...]
    claims: tuple[ClaimAnswer, ...] = ()

    def estimate_of(self, arm: str, metric: str) -> Estimate:
        """Return the estimate of one arm on one metric."""
        return self._by_name[arm, metric]

    # Cached: renderers ask for every arm and metric, and a search would make that quadratic.
    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Estimate]:
        return {(e.arm, e.metric): e for e in self.estimates}

    @property
    def primary(self) -> MetricFacts:
        """Metric that carries verdicts."""
        return self.metrics[0]


def compare_arms(
    results: Results, metrics: Mapping[str, MetricDefinition], *, seed: int, draws: int = DRAWS
) -> Comparison:
    """Compare every arm with the baseline on every test metric.

    Args:
        results: Results of a study, complete or not; notes list what is missing.
        metrics: Name, as in `metric.test.<name>` -> definition.
        seed: Seed of all resampling. The order of arms and cells changes no digit.
        draws: Number of draws of the two-level bootstrap.

    Raises:
        ResultsError: The primary metric is not among the metrics, or a seed was confirmed twice.
    """
    facts = results.facts
    if facts.primary not in metrics:
        raise ResultsError(
            f"the primary metric '{facts.primary}' is not one of {sorted(metrics)}; "
            "set `primary` of the study to one of these"
        )
    names = [facts.primary, *(name for name in metrics if name != facts.primary)]
    described = tuple(_describe_metric(name, metrics[name], facts) for name in names)
    confirmed = confirmed_cells(results)
    values = {name: _values_by_key(results.cells, name) for name in names}
    definitions = [metrics[name] for name in names]
    intervals, notes = intervals_of_pairs(results, confirmed, definitions, values, seed, draws)
    by_seed = {
        (arm, name): {s: values[name][k] for s, k in cells.items() if k in values[name]}
        for arm, cells in confirmed.items()
        for name in names
    }
    estimates = judge_arms(
        [
            estimate_arm(
                arm,
                metric,
                by_seed[arm, metric.name],
                None if arm == facts.baseline else by_seed[facts.baseline, metric.name],
                _known_interval(intervals.get((arm, facts.baseline)), index),
                seed,
            )
            for arm in facts.arms
            for index, metric in enumerate(described)
        ],
        described[0],
        facts.baseline,
    )
    primary = {e.arm: e for e in estimates if e.metric == facts.primary}
    compared = [primary[arm] for arm in facts.arms if arm != facts.baseline]
    fairness = describe_fairness(results)
    return Comparison(
        facts=facts,
        metrics=described,
        estimates=tuple(estimates),
        seed_values={arm: by_seed[arm, facts.primary] for arm in facts.arms},
        limits=describe_limits(
            # Before any cell is done, the planned seeds show what the design can find.
            seeds=max((e.pairs for e in compared), default=0) or len(facts.confirm_seeds),
            arms=len(compared),
            difference_sds=[e.delta_sd for e in compared if e.delta_sd is not None],
            test_size=None if results.labels is None else len(results.labels),
            baseline_means={e.metric: e.mean for e in estimates if e.arm == facts.baseline},
        ),
        fairness=fairness,
        failures=list_failures(results),
        unequal_budgets=any(row.unequal for row in fairness),
        notes=(
            *facts.notes,
            *_missing_notes(facts, fairness),
            *notes,
            # Under embargo no cell has a test metric, which is no defect of the cells.
            *([] if results.embargoed else _undefined_notes(described, confirmed, values)),
        ),
        claims=answer_claims(
            facts.claims,
            metrics=described,
            estimates=estimates,
            values=by_seed,
            intervals=intervals,
            example=facts.example,
            seed=seed,
            embargoed=results.embargoed,
        ),
    )


def _describe_metric(name: str, metric: MetricDefinition, facts: StudyFacts) -> MetricFacts:
    return MetricFacts(
        name=name,
        label=metric.label,
        higher_is_better=metric.higher_is_better,
        margin=facts.margins.get(name),
        seeds_only=not is_resampled(metric),
    )


def confirmed_cells(results: Results) -> Confirmed:
    """Return the complete confirm cells of every arm by seed, ascending.

    Raises:
        ResultsError: A seed was confirmed twice.
    """
    complete = select_complete(results.cells, CellPhase.CONFIRM)
    confirmed: Confirmed = {arm: {} for arm in results.facts.arms}
    # Sorted by key too, so that an error names the same two cells whatever the order of the table.
    for row in complete.sort_values(["seed", "key"]).to_dict("records"):
        arm, seed, key = str(row["arm"]), int(row["seed"]), str(row["key"])
        if seed in confirmed[arm]:
            raise ResultsError(
                f"arm '{arm}': seed {seed} was confirmed by two cells, {confirmed[arm][seed]} and "
                f"{key}; results hold the confirm cells of one candidate per arm"
            )
        confirmed[arm][seed] = key
    return confirmed


def _values_by_key(cells: pd.DataFrame, metric: str) -> dict[str, float]:
    """Return the value of a test metric by the key of the cell, where it is defined."""
    column = f"{METRIC}test.{metric}"
    if column not in cells.columns:
        return {}
    pairs = zip(cells["key"], cells[column].astype(float), strict=True)
    return {str(key): float(value) for key, value in pairs if np.isfinite(value)}


def _known_interval(
    intervals: Sequence[Interval | Declined | None] | None, index: int
) -> Interval | None:
    found = intervals[index] if intervals is not None else None
    return None if isinstance(found, Declined) else found


def _undefined_notes(
    metrics: Sequence[MetricFacts],
    confirmed: Confirmed,
    values: Mapping[str, Mapping[str, float]],
) -> list[str]:
    """Note complete confirm cells without a value of a metric, e.g. a correlation of constants."""
    notes = []
    for metric in metrics:
        for arm, cells in confirmed.items():
            undefined = [str(s) for s, key in cells.items() if key not in values[metric.name]]
            if undefined:
                notes.append(f"{arm}: {metric.label} is undefined for seed {', '.join(undefined)}.")
    return notes


def _missing_notes(facts: StudyFacts, fairness: Sequence[Fairness]) -> list[str]:
    planned = len(facts.confirm_seeds)
    return [
        f"{row.arm}: {planned - row.missing} of {planned} confirm seeds are complete"
        + ("; compared on the seeds it shares with the baseline." if row.complete else ".")
        for row in fairness
        if row.missing
    ]
