"""Metrics against scikit-learn and SciPy, over random and degenerate inputs."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from spaces.metrics.canonical import canonical_predictions
from spaces.metrics.tasks import TASK_METRICS, score_all

Case = tuple[Any, Any]
Oracle = Callable[[Any, Any], float]


def per_column(function: Oracle) -> Oracle:
    def mean(predicted: Any, wanted: Any) -> float:
        n = len(wanted)
        pairs = zip(predicted.reshape(n, -1).T, wanted.reshape(n, -1).T, strict=True)
        return float(np.mean([function(x, y) for x, y in pairs]))

    return mean


def concordance(x: Any, y: Any) -> float:
    dx, dy = x - x.mean(), y - y.mean()
    whole = (dx**2).mean() + (dy**2).mean() + (x - y).mean() ** 2
    return float(2 * (dx * dy).mean() / whole) if whole > 0 else np.nan


def undefined_where_constant(function: Oracle, *, labels_only: bool = False) -> Oracle:
    def value(x: Any, y: Any) -> float:
        constant = np.ptp(y) == 0 or (not labels_only and np.ptp(x) == 0)
        return np.nan if constant else function(x, y)

    return value


def calibration_error(confidence: Any, right: Any) -> float:
    total, n = 0.0, len(confidence)
    for low in range(15):
        edges = np.float32(low / 15), np.float32((low + 1) / 15 if low < 14 else 2)
        inside = [i for i in range(n) if edges[0] <= np.float32(confidence[i]) < edges[1]]
        total += abs(sum(right[i] - confidence[i] for i in inside)) / n
    return total


def auroc(scores: Any, true: Any) -> float:
    return float(sk.roc_auc_score(true, scores)) if 0 < true.sum() < len(true) else np.nan


def average_precision(scores: Any, true: Any) -> float:
    return float(sk.average_precision_score(true, scores)) if true.any() else np.nan


def mean_of_defined(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def classes(p: Any) -> Any:
    return p if p.ndim == 1 else p.argmax(1)


def probability(scores: Any) -> Any:
    outside = ((scores < 0) | (scores > 1)).any()
    return 1 / (1 + np.exp(-scores)) if outside else scores


def labels_of(scores: Any) -> Any:
    return (probability(scores) > 0.5).astype(int)


ORACLES: dict[str, dict[str, Oracle]] = {
    "regression": {
        "mae": lambda p, y: sk.mean_absolute_error(y, p),
        "rmse": lambda p, y: sk.root_mean_squared_error(y, p),
        "r2": per_column(
            undefined_where_constant(lambda p, y: sk.r2_score(y, p), labels_only=True)
        ),
        "pearson": per_column(undefined_where_constant(lambda p, y: stats.pearsonr(p, y)[0])),
        "spearman": per_column(undefined_where_constant(lambda p, y: stats.spearmanr(p, y)[0])),
        "ccc": per_column(concordance),
    },
    "binary": {
        "auroc": auroc,
        "accuracy": lambda p, y: sk.accuracy_score(y, labels_of(p)),
        "f1": lambda p, y: sk.f1_score(y, labels_of(p)),
        "average_precision": average_precision,
        "brier": lambda p, y: sk.brier_score_loss(y, probability(p), pos_label=1, labels=[0, 1]),
        "ece": lambda p, y: calibration_error(probability(p), y),
    },
    "multiclass": {
        "accuracy": lambda p, y: sk.accuracy_score(y, classes(p)),
        "macro_f1": lambda p, y: sk.f1_score(y, classes(p), average="macro"),
        "weighted_f1": lambda p, y: sk.f1_score(y, classes(p), average="weighted"),
        "balanced_accuracy": lambda p, y: sk.balanced_accuracy_score(y, classes(p)),
        "auroc_ovr": lambda p, y: (
            mean_of_defined([auroc(p[:, c], y == c) for c in range(p.shape[1])])
            if p.ndim == 2
            else np.nan
        ),
        "nll": lambda p, y: sk.log_loss(y, p, labels=range(p.shape[1])) if p.ndim == 2 else np.nan,
        "ece": lambda p, y: calibration_error(p.max(1), classes(p) == y) if p.ndim == 2 else np.nan,
    },
    "multilabel": {
        "macro_f1": lambda p, y: sk.f1_score(y, labels_of(p), average="macro"),
        "micro_f1": lambda p, y: sk.f1_score(y, labels_of(p), average="micro"),
        "mean_average_precision": lambda p, y: mean_of_defined(
            [average_precision(p[:, k], y[:, k]) for k in range(y.shape[1])]
        ),
        "subset_accuracy": lambda p, y: sk.accuracy_score(y, labels_of(p)),
    },
}


def regression_cases(rng: np.random.Generator) -> Iterator[Case]:
    while True:
        n = int(rng.integers(1, 30))
        shape = (n,) if rng.random() < 0.6 else (n, int(rng.integers(1, 4)))
        offset = rng.choice([0.0, 0.0, 1e3, -1e7])
        y = rng.normal(size=shape) + offset
        p = y + rng.normal(size=shape) * rng.choice([0.0, 0.1, 10.0])
        if rng.random() < 0.3:
            y, p = np.round(y), np.round(p)
        if rng.random() < 0.1:
            p = np.full(shape, 0.1)
        if rng.random() < 0.1:
            y = np.full(shape, 1 / 3)
        yield p, y


def scores_of(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    scores = rng.random(shape) if rng.random() < 0.5 else rng.normal(size=shape) * 3
    if rng.random() < 0.3:
        scores = np.round(scores, 1)
    if rng.random() < 0.1:
        scores = np.full(shape, 0.4)
    return scores


def binary_cases(rng: np.random.Generator) -> Iterator[Case]:
    while True:
        n = int(rng.integers(1, 30))
        yield scores_of(rng, (n,)), (rng.random(n) < rng.choice([0, 0.1, 0.5, 1])).astype(int)


def multiclass_cases(rng: np.random.Generator) -> Iterator[Case]:
    while True:
        n, c = int(rng.integers(1, 30)), int(rng.integers(2, 6))
        y = rng.integers(0, int(rng.integers(1, c + 1)), n)
        logits = np.round(rng.normal(size=(n, c)), int(rng.integers(0, 3))) * 2
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        if rng.random() < 0.1:
            p = np.eye(c)[rng.integers(0, c, n)]
        yield (p if rng.random() < 0.7 else rng.integers(0, c + 2, n).astype(float)), y


def multilabel_cases(rng: np.random.Generator) -> Iterator[Case]:
    while True:
        shape = int(rng.integers(1, 20)), int(rng.integers(2, 5))
        share = rng.choice([0, 0.1, 0.5, 1], size=shape[1])
        yield scores_of(rng, shape), (rng.random(shape) < share).astype(int)


MAKERS = {
    "regression": regression_cases,
    "binary": binary_cases,
    "multiclass": multiclass_cases,
    "multilabel": multilabel_cases,
}


def test_every_metric_has_an_oracle_and_the_first_is_the_default() -> None:
    assert {t: list(m) for t, m in TASK_METRICS.items()} == {t: list(m) for t, m in ORACLES.items()}
    for task in TASK_METRICS.values():
        assert all(metric.name == name and metric.label for name, metric in task.items())


@pytest.mark.parametrize("number", [100, pytest.param(2_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("task", MAKERS)
def test_metrics_are_those_of_the_libraries(task: str, number: int) -> None:
    cases = MAKERS[task](np.random.default_rng(5))
    defined = dict.fromkeys(ORACLES[task], 0)
    for _ in range(number):
        predicted, wanted = next(cases)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            known = {name: float(f(predicted, wanted)) for name, f in ORACLES[task].items()}
        known = {name: value for name, value in known.items() if not np.isnan(value)}
        found = score_all(task, predicted, wanted)
        assert found == pytest.approx(known, rel=1e-9, abs=1e-9), (predicted, wanted)
        for name in found:
            defined[name] += 1
            metric = TASK_METRICS[task][name]
            assert metric.lowest is None or metric.lowest <= found[name] + 1e-12
            assert metric.highest is None or found[name] - 1e-12 <= metric.highest
    assert min(defined.values()) > number / 4


@pytest.mark.parametrize("task", MAKERS)
def test_a_better_prediction_is_on_the_better_side(task: str) -> None:
    rng = np.random.default_rng(0)
    good = {
        "regression": (np.arange(9.0), np.arange(9.0)),
        "binary": (np.array([0.0, 0, 1, 1]), np.array([0, 0, 1, 1])),
        "multiclass": (np.eye(3), np.arange(3)),
        "multilabel": (np.eye(3), np.eye(3)),
    }[task]
    bad = rng.permutation(good[0])[::-1], good[1]
    for metric in TASK_METRICS[task].values():
        difference = metric.score(*good) - metric.score(*bad)
        assert (difference > 0) == metric.higher_is_better, metric.name


@pytest.mark.parametrize("offset", [1e6, -1e9, 1e12])
def test_an_offset_does_not_drown_a_correlation(offset: float) -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(size=500) + offset
    p = y + rng.normal(size=500)
    found = score_all("regression", p, y)
    # Not of the offset numbers themselves: the library subtracts means, which round at 1e12.
    x, z = p - offset, y - offset
    assert found["pearson"] == pytest.approx(stats.pearsonr(x, z)[0], abs=1e-9)
    assert found["r2"] == pytest.approx(sk.r2_score(z, x), abs=1e-9)
    assert found["ccc"] == pytest.approx(concordance(x, z), abs=1e-9)
    # A resample of one example repeated has no correlation, whatever rounding leaves.
    for name in ("pearson", "r2"):
        metric = TASK_METRICS["regression"][name]
        assert np.isnan(metric.combine(metric.terms(p, y)[[7] * 500].mean(axis=0)))


def test_auroc_of_all_classes_is_the_library_s() -> None:
    rng = np.random.default_rng(2)
    y = np.arange(60) % 4
    p = canonical_predictions("multiclass", rng.normal(size=(60, 4)), y)
    known = sk.roc_auc_score(y, p / p.sum(1, keepdims=True), multi_class="ovr")
    assert score_all("multiclass", p, y)["auroc_ovr"] == pytest.approx(known, abs=1e-9)


@pytest.mark.parametrize("task", MAKERS)
def test_nothing_is_defined_for_a_diverged_model(task: str) -> None:
    predicted, wanted = next(MAKERS[task](np.random.default_rng(3)))
    predicted = np.array(predicted, dtype=float)
    predicted.flat[0] = np.nan
    assert score_all(task, predicted, wanted) == {}


@pytest.mark.parametrize("task", MAKERS)
def test_other_examples_are_refused(task: str) -> None:
    predicted, wanted = next(MAKERS[task](np.random.default_rng(3)))
    for metric in TASK_METRICS[task].values():
        with pytest.raises(ValueError, match="same examples"):
            metric.score(predicted[:-1], wanted)


def test_columns_are_not_repeated_to_fit() -> None:
    for name, metric in TASK_METRICS["regression"].items():
        with pytest.raises(ValueError, match=r"shape of the labels, \(4, 2\)"):
            metric.score(np.zeros((4, 1)), np.zeros((4, 2)))
        one_column = metric.score(np.arange(3.0), np.arange(3.0)[:, None])
        assert one_column == pytest.approx(0 if name in ("mae", "rmse") else 1)
