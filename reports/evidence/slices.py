"""Primary metric on slices of the test set: short and long, weak and strong, ..."""

from collections.abc import Iterable, Mapping

import numpy as np

from reports.evidence.pair_intervals import Confirmed
from reports.evidence.statistics.cell_values import (
    Part,
    count_examples,
    is_resampled,
    part_of_cell,
    select_examples,
    value_of_part,
)
from reports.evidence.statistics.resampling import PairedCells, pair_by_seed, two_level_intervals
from reports.evidence.tuning.candidates import finite_mean
from reports.evidence.values import SliceEstimate
from reports.results import MetricDefinition, Results

SLICE_DRAWS = 2_000  # fewer than for the table: slices are many, and none of them is tested
# Tags with an order, by their names in `msa_core.analysis.slices`, which reports may not import.
_ORDER = ("neutral", "weak", "short", "medium", "long", "strong", "agreement", "conflict")
_POSITION = {tag: position for position, tag in enumerate(_ORDER)}


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
    if results.labels is None or not results.tags or not is_resampled(metric):
        return ()
    known = {
        arm: {s: key for s, key in cells.items() if key in results.predictions}
        for arm, cells in confirmed.items()
    }
    # Parts are made once per cell and cut per slice: each slice is a selection of utterances.
    parts = {
        key: part_of_cell(results, key, metric)
        for cells in known.values()
        for key in cells.values()
    }
    found = []
    for dimension, tags in results.tags.items():
        of_tag = np.array(tags)
        for tag in order_tags(tags):
            chosen = np.flatnonzero(of_tag == tag)
            inside = {key: select_examples(own, chosen) for key, own in parts.items()}
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
    parts: Mapping[str, Part],
) -> list[SliceEstimate]:
    values = {key: value_of_part(metric, own) for key, own in parts.items()}
    # Cells without predictions have no slices, so pairs are formed anew from those that are left.
    baseline = known.get(results.facts.baseline, {})
    pairs = {
        arm: paired
        for arm, cells in known.items()
        if arm != results.facts.baseline and (paired := pair_by_seed(cells, baseline))
    }
    intervals = two_level_intervals(
        pairs,
        {key: [own] for key, own in parts.items()},
        [metric],
        seed,
        draws=SLICE_DRAWS,
    )
    found = []
    for arm in results.facts.arms:
        if not known.get(arm):
            continue
        (interval,) = intervals.get(arm, [None])
        pair = pairs.get(arm, PairedCells(arm_keys=(), baseline_keys=()))
        keys = zip(pair.arm_keys, pair.baseline_keys, strict=True)
        found.append(
            SliceEstimate(
                arm=arm,
                dimension=dimension,
                tag=tag,
                utterances=count_examples(next(iter(parts.values()))),
                mean=finite_mean(values[key] for key in known[arm].values()),
                delta=finite_mean(values[own] - values[other] for own, other in keys),
                low=interval.low if interval else None,
                high=interval.high if interval else None,
            )
        )
    return found
