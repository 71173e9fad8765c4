from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy import stats

from reports.evidence.statistics import resampling
from reports.evidence.statistics.resampling import (
    PairedCells,
    draw_utterance_counts,
    two_level_intervals,
)


def _contrast(arm: str, seeds: int) -> PairedCells:
    return PairedCells(
        arm_keys=tuple(f"c-{arm}-{s}" for s in range(seeds)),
        baseline_keys=tuple(f"c-full-{s}" for s in range(seeds)),
    )


def test_counts_are_a_resample() -> None:
    counts = draw_utterance_counts(5, 20, np.random.default_rng(0))
    assert counts.shape == (5, 20)
    np.testing.assert_array_equal(counts.sum(axis=1), 20)
    assert counts.min() >= 0


def test_equals_a_slow_literal_bootstrap(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=range(4), utterances=15)
    draws, n, utterances = 300, 4, 15
    metrics = list(synthetic.METRICS.values())
    terms = {
        key: [metric.terms(predicted, results.labels) for metric in metrics]
        for key, predicted in results.predictions.items()
    }
    contrast = _contrast("worse arm", n)
    got = two_level_intervals({"worse arm": contrast}, terms, metrics, 3, draws=draws)

    utterance_rng, seed_rng = np.random.default_rng(3).spawn(2)
    uniform = seed_rng.random((n, draws))
    picked = utterance_rng.integers(0, utterances, (draws, utterances))
    for place, metric in enumerate(metrics):
        deltas = []
        for draw in range(draws):
            sample = picked[draw]
            gains = []
            for row in range(n):
                chosen = int(uniform[row, draw] * n)
                scores = [
                    metric.combine(
                        metric.terms(
                            results.predictions[keys[chosen]][sample], results.labels[sample]
                        ).mean(axis=0)
                    )
                    for keys in (contrast.arm_keys, contrast.baseline_keys)
                ]
                gains.append(scores[0] - scores[1])
            deltas.append(np.mean(gains))
        np.testing.assert_allclose(
            got["worse arm"][place][:4], np.quantile(deltas, [0.025, 0.975, 0.05, 0.95])
        )


def test_an_interval_depends_on_its_own_cells_alone(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=range(5), utterances=30)
    metrics = [synthetic.METRICS["corr"]]
    terms = {k: [metrics[0].terms(p, results.labels)] for k, p in results.predictions.items()}
    contrasts = {"worse arm": _contrast("worse arm", 3), "same arm": _contrast("same arm", 5)}
    both = two_level_intervals(contrasts, terms, metrics, 0, draws=700)
    alone = two_level_intervals({"worse arm": contrasts["worse arm"]}, terms, metrics, 0, draws=700)
    assert alone["worse arm"] == both["worse arm"]


def test_mostly_undefined_draws_give_no_interval(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=range(3), utterances=20)
    metric = synthetic.METRICS["corr"]
    terms = {k: [metric.terms(p, results.labels)] for k, p in results.predictions.items()}
    terms["c-worse arm-1"] = [metric.terms(np.zeros(20), results.labels)]
    got = two_level_intervals({"a": _contrast("worse arm", 3)}, terms, [metric], 0, draws=200)
    assert got["a"] == [None]


def test_interval_covers_the_effect_on_new_seeds_and_new_utterances(synthetic: ModuleType) -> None:
    """Utterances differ in how much an arm hurts them; a nested bootstrap covers 88 % here."""
    rng = np.random.default_rng(11)
    metric = synthetic.METRICS["mae"]
    seeds, utterances, replications = 8, 80, 120
    truth = np.sqrt(2 / np.pi) * (np.sqrt(0.35**2 + 0.3**2) - np.sqrt(0.25**2 + 0.3**2))
    labels = np.zeros(utterances)
    covered = 0
    for replication in range(replications):
        terms = {}
        for arm, own in (("full", 0.25), ("arm", 0.35)):
            shared = rng.normal(0, own, utterances)
            for seed in range(seeds):
                predicted = shared + rng.normal(0, 0.3, utterances)
                terms[f"c-{arm}-{seed}"] = [metric.terms(predicted, labels)]
        (interval,) = two_level_intervals(
            {"arm": _contrast("arm", seeds)}, terms, [metric], replication, draws=400
        )["arm"]
        assert interval is not None
        covered += interval.low <= truth <= interval.high
    assert stats.binomtest(covered, replications, 0.95, alternative="less").pvalue > 0.001


def test_no_contrasts_no_intervals() -> None:
    assert two_level_intervals({}, {}, [], 0) == {}


@pytest.mark.parametrize("draws", [499, 501])
def test_any_number_of_draws_will_do(synthetic: ModuleType, draws: int) -> None:
    results = synthetic.make_results(seeds=range(3), utterances=10)
    metric = synthetic.METRICS["mae"]
    terms = {k: [metric.terms(p, results.labels)] for k, p in results.predictions.items()}
    got = two_level_intervals({"a": _contrast("worse arm", 3)}, terms, [metric], 0, draws=draws)
    assert got["a"][0] is not None


def test_a_cell_has_the_same_digits_whatever_its_neighbours_are(synthetic: ModuleType) -> None:
    """Alone, its errors are whole numbers, and all its terms are the same in both arms."""
    utterances = 50
    labels = np.arange(utterances, dtype=float) % 7
    rng = np.random.default_rng(0)
    metrics = list(synthetic.METRICS.values())
    whole = {f"c-full-{s}": labels + s for s in range(4)}
    whole |= {f"c-whole-{s}": labels + rng.integers(0, 3, utterances) for s in range(4)}
    broken = {f"c-broken-{s}": labels + rng.normal(size=utterances) for s in range(4)}
    terms = {
        key: [metric.terms(predicted, labels) for metric in metrics]
        for key, predicted in (whole | broken).items()
    }
    contrasts = {"whole": _contrast("whole", 4), "broken": _contrast("broken", 4)}
    alone = two_level_intervals({"whole": contrasts["whole"]}, terms, metrics, 0, draws=120)
    both = two_level_intervals(contrasts, terms, metrics, 0, draws=120)
    assert alone["whole"] == both["whole"]


def test_a_draw_is_undefined_only_where_an_undefined_seed_was_drawn(synthetic: ModuleType) -> None:
    rng = np.random.default_rng(0)
    labels = rng.normal(size=30)
    metric = synthetic.METRICS["corr"]
    predictions = {f"c-full-{s}": labels + rng.normal(size=30) for s in range(40)}
    predictions |= {f"c-arm-{s}": labels + rng.normal(size=30) for s in range(40)}
    terms = {key: [metric.terms(p, labels)] for key, p in predictions.items()}
    one = dict(terms, **{"c-arm-7": [metric.terms(np.zeros(30), labels)]})
    contrast = {"a": _contrast("arm", 40)}
    # One of forty seeds is drawn in 1 - (39 / 40)^40 = 64 % of the draws: far too many.
    assert two_level_intervals(contrast, one, [metric], 0, draws=100)["a"] == [None]
    assert two_level_intervals(contrast, terms, [metric], 0, draws=100)["a"] != [None]


def test_terms_may_be_asked_for_one_cell_at_a_time(synthetic: ModuleType) -> None:
    results = synthetic.make_results(seeds=range(3), utterances=10)
    metric = synthetic.METRICS["mae"]
    terms = {k: [metric.terms(p, results.labels)] for k, p in results.predictions.items()}
    contrast = {"a": _contrast("worse arm", 3)}
    by_name = two_level_intervals(contrast, terms, [metric], 0, draws=50)
    assert two_level_intervals(contrast, lambda key: terms[key], [metric], 0, draws=50) == by_name


def test_contrasts_that_do_not_fit_into_memory_together_have_the_same_digits(
    synthetic: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = {"full": 0.5, "a": 0.6, "b": 0.7, "c": 0.8, "d": 0.9}
    results = synthetic.make_results(noise, seeds=range(3), utterances=12)
    metrics = list(synthetic.METRICS.values())
    asked: list[str] = []

    def terms(key: str) -> Any:
        asked.append(key)
        return [metric.terms(results.predictions[key], results.labels) for metric in metrics]

    contrasts = {arm: _contrast(arm, 3) for arm in list(noise)[1:]}
    together = two_level_intervals(contrasts, terms, metrics, 0, draws=60)
    assert asked.count("c-full-0") == 1
    monkeypatch.setattr(resampling, "TERMS_BYTES", 9 * 12 * 7 * 8)  # nine cells
    asked.clear()
    apart = two_level_intervals(contrasts, terms, metrics, 0, draws=60)
    assert apart == together and list(apart) == list(together)
    assert asked.count("c-full-0") == 2
