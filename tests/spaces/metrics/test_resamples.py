"""The metric of a resample is that of its examples, repeated."""

import numpy as np
import pytest

from spaces.metrics import kinds
from spaces.metrics.kinds import LinearMetric, OwnMetric, ResampledMetric
from spaces.metrics.tasks import TASK_METRICS
from tests.spaces.metrics.test_known_values import MAKERS

CASES = 150
METRICS = [(task, name) for task, metrics in TASK_METRICS.items() for name in metrics]


@pytest.mark.parametrize(("task", "name"), METRICS)
def test_a_resample_is_its_examples_repeated(task: str, name: str) -> None:
    metric = TASK_METRICS[task][name]
    rng = np.random.default_rng(8)
    cases = MAKERS[task](rng)
    defined = 0
    for _ in range(CASES):
        predicted, wanted = next(cases)
        n = len(wanted)
        counts_BN = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(4)])
        if isinstance(metric, ResampledMetric):
            found = metric.resample(predicted, wanted, counts_BN)
        else:
            found = metric.combine(counts_BN @ metric.terms(predicted, wanted) / n)
        for counts, value in zip(counts_BN, found, strict=True):
            rows = np.repeat(np.arange(n), counts)
            if isinstance(metric, ResampledMetric):
                again = metric.score(predicted[rows], wanted[rows])
            else:
                again = float(metric.combine(metric.terms(predicted, wanted)[rows].mean(axis=0)))
            assert value == pytest.approx(again, rel=1e-9, abs=1e-9, nan_ok=True)
            defined += not np.isnan(value)
    assert defined > CASES


def test_most_metrics_are_linear() -> None:
    linear = {
        name
        for metrics in TASK_METRICS.values()
        for name, metric in metrics.items()
        if isinstance(metric, LinearMetric)
    }
    assert linear >= {
        "mae",
        "rmse",
        "r2",
        "pearson",
        "ccc",
        "accuracy",
        "f1",
        "brier",
        "nll",
        "ece",
    }


@pytest.mark.parametrize("name", ["auroc", "average_precision"])
def test_chunks_of_resamples_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = TASK_METRICS["binary"][name]
    assert isinstance(metric, ResampledMetric)
    rng = np.random.default_rng(9)
    scores, labels = rng.normal(size=40), rng.integers(0, 2, 40)
    counts_BN = rng.multinomial(40, np.full(40, 1 / 40), size=33)
    whole = metric.resample(scores, labels, counts_BN)
    monkeypatch.setattr(kinds, "CHUNK", 160)
    np.testing.assert_allclose(metric.resample(scores, labels, counts_BN), whole, rtol=1e-14)
    with pytest.raises(ValueError, match=r"are \[B, 40\], but their shape is \(33, 39\)"):
        metric.resample(scores, labels, counts_BN[:, :-1])


def test_scores_of_an_order_do_not_depend_on_their_scale() -> None:
    rng = np.random.default_rng(10)
    logits, labels = rng.normal(size=50), rng.integers(0, 2, 50)
    for name in ("auroc", "average_precision"):
        metric = TASK_METRICS["binary"][name]
        assert metric.score(logits, labels) == metric.score(1 / (1 + np.exp(-logits)), labels)


def test_a_metric_of_the_user_s_has_neither_terms_nor_resamples() -> None:
    own = OwnMetric("perplexity", higher_is_better=False)
    assert (own.name, own.label, own.higher_is_better) == ("perplexity", "perplexity", False)
    assert not hasattr(own, "terms") and not hasattr(own, "resample")
