"""Intervals of pairs of arms: two-level ones where metrics can be resampled, else over seeds."""

from collections.abc import Mapping, Sequence

import numpy as np

from reports.evidence.claims.answers import NO_PREDICTIONS, Pair, claimed_pairs
from reports.evidence.statistics.cell_values import (
    Part,
    is_resampled,
    part_of_cell,
    value_of_part,
)
from reports.evidence.statistics.resampling import (
    Interval,
    PairedCells,
    pair_by_seed,
    seeds_only_interval,
    two_level_intervals,
)
from reports.evidence.verdicts import Declined
from reports.results import FloatArray, LinearDefinition, MetricDefinition, Results, StudyFacts

Confirmed = dict[str, dict[int, str]]  # arm -> seed, ascending -> key of its complete confirm cell
FEWER_DRAWS = 2_000  # of a metric that is no function of means, which takes longer by far


def intervals_of_pairs(
    results: Results,
    confirmed: Confirmed,
    metrics: Sequence[MetricDefinition],
    values: Mapping[str, Mapping[str, float]],
    seed: int,
    draws: int,
) -> tuple[dict[Pair, list[Interval | Declined | None]], list[str]]:
    """Compute intervals of pairs of arms, one per metric, and notes on those that are missing.

    They are two-level intervals; of a metric that has no value on resamples, over seeds only.
    """
    facts, labels = results.facts, results.labels
    # Pairs of claims join those with the baseline, so that all share the draws of utterances.
    contrasts: dict[Pair, PairedCells] = {}
    predicted: dict[Pair, PairedCells] = {}
    resampled = [metric for metric in metrics if is_resampled(metric)]
    notes: list[str] = []
    against_baseline = [(arm, facts.baseline) for arm in facts.arms if arm != facts.baseline]
    for arm, other in dict.fromkeys([*against_baseline, *claimed_pairs(facts.claims)]):
        contrast = pair_by_seed(confirmed.get(arm, {}), confirmed.get(other, {}))
        if contrast is None:
            continue
        contrasts[arm, other] = contrast
        needed = {*contrast.arm_keys, *contrast.baseline_keys}
        lacking = sorted(needed - results.predictions.keys())
        if not lacking and labels is not None:
            predicted[arm, other] = contrast
        # The answer to a claim gives the reason itself, so notes are for the baseline's pairs only.
        elif other == facts.baseline and resampled:
            notes.append(
                f"{arm}: no two-level interval and no verdict, because the test predictions of "
                f"{len(lacking) or len(needed)} of {len(needed)} cells are missing."
            )
    two_level: dict[Pair, dict[str, Interval | None]] = {}
    for count, chosen in _metrics_by_draws(facts, resampled, draws).items():
        found, disagreements = _two_level_of_pairs(results, predicted, chosen, values, seed, count)
        notes += disagreements
        if found and count < draws:
            notes.append(
                f"{', '.join(metric.label for metric in chosen)}: intervals are of {count:,} draws "
                f"instead of {draws:,}, since no verdict or claim is of these metrics."
            )
        for pair, own in found.items():
            names = (metric.name for metric in chosen)
            two_level.setdefault(pair, {}).update(zip(names, own, strict=True))
    if not results.embargoed and contrasts:
        notes += _seeds_only_notes(metrics, facts.example)
    intervals: dict[Pair, list[Interval | Declined | None]] = {}
    for pair, contrast in contrasts.items():
        of_pair = two_level.get(pair, {})
        intervals[pair] = [
            of_pair.get(metric.name, Declined(NO_PREDICTIONS))
            if is_resampled(metric)
            else seeds_only_interval(_seed_differences(contrast, values[metric.name]))
            for metric in metrics
        ]
    return intervals, notes


def _metrics_by_draws(
    facts: StudyFacts, metrics: Sequence[MetricDefinition], draws: int
) -> dict[int, list[MetricDefinition]]:
    """Return number of draws -> metrics: fewer for costly ones that no verdict is of."""
    judged = {facts.primary, *facts.margins, *(claim.metric for claim in facts.claims)}
    found: dict[int, list[MetricDefinition]] = {}
    for metric in metrics:
        costly = not isinstance(metric, LinearDefinition) and metric.name not in judged
        found.setdefault(min(draws, FEWER_DRAWS) if costly else draws, []).append(metric)
    return found


def _seed_differences(contrast: PairedCells, values: Mapping[str, float]) -> FloatArray:
    """Return arm - other of the seeds where both are defined."""
    keys = zip(contrast.arm_keys, contrast.baseline_keys, strict=True)
    return np.array([values[a] - values[b] for a, b in keys if a in values and b in values])


def _seeds_only_notes(metrics: Sequence[MetricDefinition], example: str) -> list[str]:
    return [
        f"{metric.label}: intervals are over seeds only (Student's t), because its value on "
        f"resampled test {example}s can't be computed; the luck of which {example}s are in the "
        "test set is in none of them."
        for metric in metrics
        if not is_resampled(metric)
    ]


def _two_level_of_pairs(
    results: Results,
    contrasts: Mapping[Pair, PairedCells],
    metrics: Sequence[MetricDefinition],
    values: Mapping[str, Mapping[str, float]],
    seed: int,
    draws: int,
) -> tuple[dict[Pair, list[Interval | None]], list[str]]:
    """Compute two-level intervals, and notes on stored values that are not the predictions'."""
    wrong: dict[str, dict[str, str]] = {metric.name: {} for metric in metrics}

    # Checked while parts are at hand: to make all of them first would need memory for every cell.
    def parts_of(key: str) -> list[Part]:
        parts = [part_of_cell(results, key, metric) for metric in metrics]
        for metric, own in zip(metrics, parts, strict=True):
            stored = values[metric.name].get(key)
            if stored is not None and (text := _describe_disagreement(metric, stored, own)):
                wrong[metric.name][key] = text
        return parts

    intervals = two_level_intervals(contrasts, parts_of, metrics, seed, draws=draws)
    notes = []
    for name, found in wrong.items():
        if found:
            key = min(found)
            notes.append(
                f"{name}: the stored value of {len(found)} cells is not what their test "
                "predictions give, so intervals may not belong to the means: "
                f"{key} ({found[key]})."
            )
    return intervals, notes


def _describe_disagreement(metric: MetricDefinition, stored: float, part: Part) -> str:
    """Describe how a stored value differs from that of the predictions; empty if it does not."""
    again = value_of_part(metric, part)
    # Predictions are float32, so the two agree only up to rounding.
    if abs(again - stored) <= 1e-4 + 1e-3 * abs(stored):
        return ""
    return f"{stored:.6g} stored, {again:.6g} from its predictions"
