"""Primary metric on slices of the test set: short and long, weak and strong, ..."""

from collections.abc import Iterable, Mapping

import numpy as np

from reports.evidence.statistics.resampling import Interval, PairedCells, two_level_intervals
from reports.evidence.values import Number, SliceEstimate
from reports.results import FloatArray, MetricDefinition, Results

SLICE_DRAWS = 2_000  # fewer than for the table: slices are many, and none of them is tested
# Tags with an order, by their names in `msa_core.analysis.slices`, which reports may not import.
_ORDER = ("neutral", "weak", "short", "medium", "long", "strong", "agreement", "conflict")
_POSITION = {tag: position for position, tag in enumerate(_ORDER)}

Confirmed = Mapping[str, Mapping[int, str]]  # arm -> seed -> key of its complete confirm cell


def slice_estimates(
    results: Results, confirmed: Confirmed, metric: MetricDefinition, seed: int
) -> tuple[SliceEstimate, ...]:
    """Estimate every arm on the utterances of every tag; arms in their order within a tag.

    The n-weighted mean of an arm's slices is its value on all utterances where the metric is a mean
    over utterances (the mean absolute error is). Intervals are those of the table, with utterances
    drawn within the slice, by 2,000 draws.

    Args:
        results: Results of a study; without tags or predictions there are no estimates.
        confirmed: Complete confirm cells, seeds ascending.
        metric: Primary metric.
        seed: Seed of all resampling.
    """
    labels = results.labels
    if labels is None or not results.tags:
        return ()
    known = {
        arm: {s: key for s, key in cells.items() if key in results.predictions}
        for arm, cells in confirmed.items()
    }
    # Terms are made once per cell and cut per slice: each slice is a selection of utterances.
    terms = {
        key: np.asarray(metric.terms(results.predictions[key], labels), dtype=np.float64)
        for cells in known.values()
        for key in cells.values()
    }
    found = []
    for dimension, tags in results.tags.items():
        of_tag = np.array(tags)
        for tag in order_tags(tags):
            chosen = np.flatnonzero(of_tag == tag)
            inside = {key: own[chosen] for key, own in terms.items()}
            found += _estimate_slice(results, known, metric, seed, dimension, tag, inside)
    return tuple(found)


def order_tags(tags: Iterable[str]) -> list[str]:
    """Return each tag once: those with an order in it, then the others by the alphabet."""
    return sorted(set(tags), key=lambda tag: (_POSITION.get(tag, len(_POSITION)), tag))


def _estimate_slice(
    results: Results,
    known: Confirmed,
    metric: MetricDefinition,
    seed: int,
    dimension: str,
    tag: str,
    terms: Mapping[str, FloatArray],
) -> list[SliceEstimate]:
    values = {key: _metric_value(metric, own) for key, own in terms.items()}
    # Cells without predictions have no slices, so pairs are formed anew from those that are left.
    baseline = known.get(results.facts.baseline, {})
    shared = {
        arm: [s for s in cells if s in baseline]
        for arm, cells in known.items()
        if arm != results.facts.baseline
    }
    intervals: dict[str, list[Interval | None]] = two_level_intervals(
        {
            arm: PairedCells(
                arm_keys=tuple(known[arm][s] for s in seeds),
                baseline_keys=tuple(baseline[s] for s in seeds),
            )
            for arm, seeds in shared.items()
            if seeds
        },
        {key: [own] for key, own in terms.items()},
        [metric],
        seed,
        draws=SLICE_DRAWS,
    )
    found = []
    for arm in results.facts.arms:
        if not known.get(arm):
            continue
        (interval,) = intervals.get(arm, [None])
        differences = [values[known[arm][s]] - values[baseline[s]] for s in shared.get(arm, [])]
        found.append(
            SliceEstimate(
                arm=arm,
                dimension=dimension,
                tag=tag,
                utterances=len(next(iter(terms.values()))),
                mean=_mean_of_defined([values[key] for key in known[arm].values()]),
                delta=_mean_of_defined(differences),
                low=interval.low if interval else None,
                high=interval.high if interval else None,
            )
        )
    return found


def _metric_value(metric: MetricDefinition, terms: FloatArray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(metric.combine(terms.mean(axis=0)))


def _mean_of_defined(values: list[float]) -> Number:
    """Average the defined values; None without one."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None
