"""Bootstraps of metrics that have no terms, and intervals of those that have no resamples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.evidence.statistics.cell_values import (
    Examples,
    count_examples,
    is_resampled,
    select_examples,
    value_of_part,
)
from reports.evidence.statistics.resampling import (
    PairedCells,
    seeds_only_interval,
    two_level_intervals,
)
from spaces.metrics.kinds import OwnMetric
from spaces.metrics.tasks import TASK_METRICS

AUROC = TASK_METRICS["binary"]["auroc"]
ACCURACY = TASK_METRICS["binary"]["accuracy"]


@dataclass(frozen=True)
class ResampledMean:
    """The mean error without terms: its bootstrap must be that of the linear one."""

    name: str = "mean"
    label: str = "Mean"
    higher_is_better: bool = False

    def score(self, predictions: Any, labels: Any) -> float:
        return float(np.abs(predictions - labels).mean())

    def resample(self, predictions: Any, labels: Any, counts_BN: Any) -> Any:
        return counts_BN @ np.abs(predictions - labels) / len(labels)


def _pair(seeds: int) -> PairedCells:
    return PairedCells(
        arm_keys=tuple(f"arm-{s}" for s in range(seeds)),
        baseline_keys=tuple(f"full-{s}" for s in range(seeds)),
    )


def _cells(seeds: int, size: int, seed: int = 0) -> tuple[dict[str, Any], Any]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size)
    return {
        f"{arm}-{s}": labels * shift + rng.normal(size=size)
        for arm, shift in (("arm", 1.5), ("full", 1.0))
        for s in range(seeds)
    }, labels


def test_a_resampled_mean_has_the_interval_of_a_linear_one() -> None:
    predictions, labels = _cells(4, 30)
    linear, general = TASK_METRICS["regression"]["mae"], ResampledMean()
    parts = {
        key: [linear.terms(p, labels), Examples(p, labels), linear.terms(p, labels)]
        for key, p in predictions.items()
    }
    found = two_level_intervals({0: _pair(4)}, parts, [linear, general, linear], 5, draws=700)[0]
    assert found[0] == found[2]
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9)


def test_a_general_metric_alone_is_a_literal_bootstrap() -> None:
    predictions, labels = _cells(3, 25)
    parts = {key: [Examples(p, labels)] for key, p in predictions.items()}
    (found,) = two_level_intervals({0: _pair(3)}, parts, [AUROC], 3, draws=200)[0]
    example_rng, seed_rng = np.random.default_rng(3).spawn(2)
    uniform = seed_rng.random((3, 200))
    deltas = []
    for draw, rows in enumerate(example_rng.integers(0, 25, (200, 25))):
        gains = [
            AUROC.score(predictions[f"arm-{s}"][rows], labels[rows])
            - AUROC.score(predictions[f"full-{s}"][rows], labels[rows])
            for s in range(3)
        ]
        deltas.append(np.mean([gains[int(u * 3)] for u in uniform[:, draw]]))
    assert found is not None
    np.testing.assert_allclose(found[:4], np.quantile(deltas, [0.025, 0.975, 0.05, 0.95]))


def test_a_slice_is_a_selection_of_examples() -> None:
    predictions, labels = _cells(1, 20)
    rows = np.array([1, 4, 5, 9, 12, 15, 17])
    part = select_examples(Examples(predictions["arm-0"], labels), rows)
    assert count_examples(part) == 7
    assert value_of_part(AUROC, part) == AUROC.score(predictions["arm-0"][rows], labels[rows])


def test_metrics_without_resamples_are_told_apart() -> None:
    assert is_resampled(AUROC) and is_resampled(ACCURACY)
    assert not is_resampled(OwnMetric("perplexity", higher_is_better=False))


def test_an_interval_over_seeds_only_is_students() -> None:
    differences = np.array([0.1, 0.3, 0.25, 0.18])
    found = seeds_only_interval(differences)
    assert found is not None and found.seeds_only
    for share, ends in ((0.95, found[:2]), (0.9, found[2:4])):
        known = stats.t.interval(share, 3, differences.mean(), stats.sem(differences))
        np.testing.assert_allclose(ends, known)
    assert seeds_only_interval(differences[:1]) is None
    constant = seeds_only_interval(np.full(3, 0.5))
    assert constant is not None and constant[:4] == (0.5,) * 4


@pytest.mark.slow
def test_the_interval_of_auroc_covers_the_effect_in_500_studies() -> None:
    """Scores are normal in each class, so that the area under the curve is known."""
    seeds, size, studies = 8, 80, 500
    shared, own = 0.8, 0.6  # sd of what an arm's seeds share on an example, and of what each adds
    rng = np.random.default_rng(21)
    truth = float(np.subtract(*stats.norm.cdf(np.array([1.5, 1.0]) / np.sqrt(2))))
    covered = 0
    for study in range(studies):
        labels = np.arange(size) % 2
        parts = {}
        for arm, shift in (("arm", 1.5), ("full", 1.0)):
            common = shift * labels + rng.normal(0, shared, size)
            for s in range(seeds):
                scores = common + rng.normal(0, own, size)
                parts[f"{arm}-{s}"] = [Examples(scores, labels)]
        (interval,) = two_level_intervals({0: _pair(seeds)}, parts, [AUROC], study, draws=400)[0]
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert 0.93 <= covered / studies <= 0.97
