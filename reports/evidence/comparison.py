"""Every arm against the baseline: paired by seed, and by utterance.

A missing or undefined quantity is None here, never 0 and never NaN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from reports.evidence.caveats import (
    Failure,
    Fairness,
    Limits,
    describe_fairness,
    describe_limits,
    list_failures,
)
from reports.evidence.claims.answers import ClaimAnswer, Pair, answer_claims, claimed_pairs
from reports.evidence.estimates import Estimate, MetricFacts, estimate_arm, judge
from reports.evidence.statistics.pareto import FrontPoint, pareto_fronts
from reports.evidence.statistics.resampling import DRAWS, Contrast, Interval, two_level_intervals
from reports.results import METRIC, FloatArray, Metric, Results, ResultsError, StudyFacts

Confirmed = dict[str, dict[int, str]]  # arm -> seed, ascending -> key of its complete confirm cell


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything a report says, as data.

    Attributes:
        facts: of the study.
        metrics: the primary one first.
        estimates: arms in the order of the facts, within them metrics in the order above.
        seed_values: arm -> seed -> value of the primary metric, defined ones only.
        limits, fairness, failures: what must be said.
        unequal_budgets: tuned arms were given different budgets.
        notes: what a reader should know, the study's own notes first.
        claims: the study's claims, answered, in the order of the facts.
        fronts: of the arms' candidates, where the study has two objectives.
    """

    facts: StudyFacts
    metrics: tuple[MetricFacts, ...]
    estimates: tuple[Estimate, ...]
    seed_values: Mapping[str, Mapping[int, float]]
    limits: Limits
    fairness: tuple[Fairness, ...]
    failures: tuple[Failure, ...]
    unequal_budgets: bool
    notes: tuple[str, ...]
    claims: tuple[ClaimAnswer, ...] = ()
    fronts: tuple[FrontPoint, ...] = ()

    def of(self, arm: str, metric: str) -> Estimate:
        """The estimate of one arm on one metric."""
        return self._by_name[arm, metric]

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Estimate]:
        return {(e.arm, e.metric): e for e in self.estimates}

    @property
    def primary(self) -> MetricFacts:
        """The metric that carries verdicts."""
        return self.metrics[0]


def compare(
    results: Results, metrics: Mapping[str, Metric], *, seed: int, draws: int = DRAWS
) -> Comparison:
    """Compare every arm with the baseline on every test metric.

    Args:
        results: complete or not; what is missing is said.
        metrics: name, as in `metric.test.<name>`, -> its definition.
        seed: of all resampling. Same seed, same digits, in whatever order arms and cells come.
        draws: of the two-level bootstrap.

    Raises:
        ResultsError: the primary metric is not among the metrics, or a seed was confirmed twice.
    """
    facts = results.facts
    if facts.primary not in metrics:
        raise ResultsError(
            f"the primary metric '{facts.primary}' is not one of {sorted(metrics)}; "
            "set `primary` of the study to one of these"
        )
    names = [facts.primary, *(name for name in metrics if name != facts.primary)]
    described = tuple(_describe(name, metrics[name], facts) for name in names)
    confirmed = confirmed_cells(results)
    values = {name: _values_by_key(results.cells, name) for name in names}
    definitions = [metrics[name] for name in names]
    intervals, notes = _intervals(results, confirmed, definitions, values, seed, draws)
    by_seed = {
        (arm, name): {s: values[name][k] for s, k in cells.items() if k in values[name]}
        for arm, cells in confirmed.items()
        for name in names
    }
    estimates = judge(
        [
            estimate_arm(
                arm,
                metric,
                by_seed[arm, metric.name],
                None if arm == facts.baseline else by_seed[facts.baseline, metric.name],
                intervals[pair][place] if (pair := (arm, facts.baseline)) in intervals else None,
                seed,
            )
            for arm in facts.arms
            for place, metric in enumerate(described)
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
            *([] if results.sealed else _undefined_notes(described, confirmed, values)),
        ),
        fronts=pareto_fronts(results, metrics),
        claims=answer_claims(
            facts.claims,
            metrics=described,
            estimates=estimates,
            values=by_seed,
            intervals=intervals,
            seed=seed,
            sealed=results.sealed,
        ),
    )


def _describe(name: str, metric: Metric, facts: StudyFacts) -> MetricFacts:
    return MetricFacts(
        name=name,
        label=metric.label,
        higher_is_better=metric.higher_is_better,
        margin=facts.margins.get(name),
    )


def confirmed_cells(results: Results) -> Confirmed:
    """Every arm's complete confirm cells, by seed.

    Raises:
        ResultsError: a seed was confirmed twice.
    """
    cells = results.cells
    complete = cells[(cells["phase"] == "confirm") & (cells["status"] == "complete")]
    confirmed: Confirmed = {arm: {} for arm in results.facts.arms}
    for row in complete.sort_values(["seed", "key"]).to_dict("records"):
        arm, seed, key = str(row["arm"]), int(row["seed"]), str(row["key"])
        if seed in confirmed[arm]:
            raise ResultsError(
                f"arm '{arm}': seed {seed} was confirmed by two cells, {confirmed[arm][seed]} and "
                f"{key}; results hold the confirm cells of one candidate an arm"
            )
        confirmed[arm][seed] = key
    return confirmed


def _values_by_key(cells: pd.DataFrame, metric: str) -> dict[str, float]:
    """Key -> value, where the test metric is defined."""
    column = f"{METRIC}test.{metric}"
    if column not in cells.columns:
        return {}
    pairs = zip(cells["key"], cells[column].astype(float), strict=True)
    return {str(key): float(value) for key, value in pairs if np.isfinite(value)}


def _intervals(
    results: Results,
    confirmed: Confirmed,
    metrics: Sequence[Metric],
    values: Mapping[str, Mapping[str, float]],
    seed: int,
    draws: int,
) -> tuple[dict[Pair, list[Interval | None]], list[str]]:
    """Two-level intervals of the pairs that have them, and why other arms have none."""
    facts, labels = results.facts, results.labels
    contrasts: dict[Pair, Contrast] = {}
    notes: list[str] = []
    against_baseline = [(arm, facts.baseline) for arm in facts.arms if arm != facts.baseline]
    for arm, other in dict.fromkeys([*against_baseline, *claimed_pairs(facts.claims)]):
        own, others = confirmed.get(arm, {}), confirmed.get(other, {})
        shared = [s for s in own if s in others]
        if not shared:
            continue
        contrast = Contrast(
            arm_keys=tuple(own[s] for s in shared),
            baseline_keys=tuple(others[s] for s in shared),
        )
        needed = {*contrast.arm_keys, *contrast.baseline_keys}
        lacking = sorted(needed - results.predictions.keys())
        if not lacking and labels is not None:
            contrasts[arm, other] = contrast
        elif other == facts.baseline:
            notes.append(
                f"{arm}: no two-level interval and no verdict, because the test predictions of "
                f"{len(lacking) or len(needed)} of {len(needed)} cells are missing."
            )
    if labels is None or not contrasts:
        return {}, notes
    wrong: dict[str, dict[str, str]] = {name: {} for name in values}

    def terms_of(key: str) -> list[FloatArray]:
        terms = [
            np.asarray(metric.terms(results.predictions[key], labels), dtype=np.float64)
            for metric in metrics
        ]
        for metric, (name, stored), own in zip(metrics, values.items(), terms, strict=True):
            if key in stored and (said := _disagreement(metric, stored[key], own)):
                wrong[name][key] = said
        return terms

    intervals = two_level_intervals(contrasts, terms_of, metrics, seed, draws=draws)
    for name, found in wrong.items():
        if found:
            key = min(found)
            notes.append(
                f"{name}: the stored value of {len(found)} cells is not what their test "
                "predictions give, so intervals may not belong to the means: "
                f"{key} ({found[key]})."
            )
    return intervals, notes


def _disagreement(metric: Metric, stored: float, terms: FloatArray) -> str:
    """What is said if a stored value is not what the predictions give; empty if it is."""
    with np.errstate(divide="ignore", invalid="ignore"):
        again = float(metric.combine(terms.mean(axis=0)))
    if abs(again - stored) <= 1e-4 + 1e-3 * abs(stored):
        return ""
    return f"{stored:.6g} stored, {again:.6g} from its predictions"


def _undefined_notes(
    metrics: Sequence[MetricFacts],
    confirmed: Confirmed,
    values: Mapping[str, Mapping[str, float]],
) -> list[str]:
    """Which complete confirm cells have no value of a metric, e.g. a correlation of constants."""
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
