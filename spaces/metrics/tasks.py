"""The tasks that any core may have, and the metrics of each; the first is the default."""

import math
from collections.abc import Mapping
from functools import partial

from numpy.typing import ArrayLike

from spaces.metrics import class_counts, ranking, regression, scores
from spaces.metrics.kinds import LinearMetric, ResampledMetric

_REGRESSION = (
    LinearMetric(
        name="mae", label="MAE", higher_is_better=False, highest=None,
        terms_of=regression.absolute_errors, combination=scores.first_mean,
    ),
    LinearMetric(
        name="rmse", label="RMSE", higher_is_better=False, highest=None,
        terms_of=regression.squared_errors, combination=regression.root_of_means,
    ),
    LinearMetric(
        name="r2", label="R2", lowest=None,
        terms_of=regression.determination_terms, combination=regression.determination,
    ),
    LinearMetric(
        name="pearson", label="Pearson", lowest=-1.0,
        terms_of=regression.moment_terms, combination=regression.pearson_correlation,
    ),
    ResampledMetric(
        name="spearman", label="Spearman", lowest=-1.0, resampler_of=ranking.spearman_resampler,
    ),
    LinearMetric(
        name="ccc", label="CCC", lowest=-1.0,
        terms_of=regression.moment_terms, combination=regression.concordance,
    ),
)  # fmt: skip

_BINARY = (
    ResampledMetric(name="auroc", label="AUROC", resampler_of=ranking.auroc_resampler),
    LinearMetric(
        name="accuracy", label="Accuracy",
        terms_of=scores.binary_hits, combination=scores.first_mean,
    ),
    LinearMetric(
        name="f1", label="F1", terms_of=scores.positive_counts, combination=scores.pooled_f1,
    ),
    ResampledMetric(
        name="average_precision", label="Average precision",
        resampler_of=ranking.precision_resampler,
    ),
    LinearMetric(
        name="brier", label="Brier", higher_is_better=False,
        terms_of=scores.squared_distances, combination=scores.first_mean,
    ),
    LinearMetric(
        name="ece", label="ECE", higher_is_better=False,
        terms_of=scores.binary_gaps, combination=scores.sum_of_gaps,
    ),
)  # fmt: skip

_MULTICLASS = (
    LinearMetric(
        name="accuracy", label="Accuracy",
        terms_of=scores.class_hits, combination=scores.first_mean,
    ),
    ResampledMetric(
        name="macro_f1", label="Macro F1",
        resampler_of=partial(class_counts.class_resampler, class_counts.macro_f1),
    ),
    ResampledMetric(
        name="weighted_f1", label="Weighted F1",
        resampler_of=partial(class_counts.class_resampler, class_counts.weighted_f1),
    ),
    ResampledMetric(
        name="balanced_accuracy", label="Balanced accuracy",
        resampler_of=partial(class_counts.class_resampler, class_counts.mean_recall),
    ),
    ResampledMetric(
        name="auroc_ovr", label="AUROC (one vs rest)", resampler_of=ranking.ovr_auroc_resampler,
    ),
    LinearMetric(
        name="nll", label="NLL", higher_is_better=False, highest=None,
        terms_of=scores.surprises, combination=scores.first_mean,
    ),
    LinearMetric(
        name="ece", label="ECE", higher_is_better=False,
        terms_of=scores.top_class_gaps, combination=scores.sum_of_gaps,
    ),
)  # fmt: skip

_MULTILABEL = (
    LinearMetric(
        name="macro_f1", label="Macro F1",
        terms_of=scores.positive_counts, combination=scores.mean_f1,
    ),
    LinearMetric(
        name="micro_f1", label="Micro F1",
        terms_of=scores.positive_counts, combination=scores.pooled_f1,
    ),
    ResampledMetric(
        name="mean_average_precision", label="Mean average precision",
        resampler_of=ranking.mean_precision_resampler,
    ),
    LinearMetric(
        name="subset_accuracy", label="Subset accuracy",
        terms_of=scores.row_hits, combination=scores.first_mean,
    ),
)  # fmt: skip

TaskMetric = LinearMetric | ResampledMetric


def _by_name(metrics: tuple[TaskMetric, ...]) -> Mapping[str, TaskMetric]:
    return {metric.name: metric for metric in metrics}


TASK_METRICS: Mapping[str, Mapping[str, TaskMetric]] = {
    "regression": _by_name(_REGRESSION),
    "binary": _by_name(_BINARY),
    "multiclass": _by_name(_MULTICLASS),
    "multilabel": _by_name(_MULTILABEL),
}
"""Task -> name -> metric; those of a task are a `spaces.task.Task`."""


def score_all(task: str, predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Compute every metric of a task that is defined for these predictions.

    Args:
        task: Task, a key of `TASK_METRICS`.
        predictions: Predictions as `canonical_predictions` returns them.
        labels: Labels [N], or [N, K].

    Returns:
        Name -> value, unrounded; an undefined metric is absent.

    Raises:
        ValueError: No predictions of these labels.
    """
    values = {
        name: metric.score(predictions, labels) for name, metric in TASK_METRICS[task].items()
    }
    return {name: value for name, value in values.items() if math.isfinite(value)}
