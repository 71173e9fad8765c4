"""What a core predicted, as metrics read it; and the messages for what can't be read."""

from typing import Any

import numpy as np
import pytest

from spaces.metrics.canonical import canonical_predictions
from spaces.metrics.labels import check_labels
from spaces.metrics.tasks import score_all
from tests.spaces.metrics.test_known_values import MAKERS

BINARY = np.array([0, 1, 1, 0])


@pytest.mark.parametrize("task", MAKERS)
def test_stored_predictions_give_the_same_metrics(task: str) -> None:
    rng = np.random.default_rng(4)
    cases = MAKERS[task](rng)
    for _ in range(200):
        given, wanted = next(cases)
        found = canonical_predictions(task, given, wanted)
        assert found.dtype == np.float64
        stored = found.astype(np.float32)
        np.testing.assert_array_equal(stored, found)
        np.testing.assert_array_equal(canonical_predictions(task, stored, wanted), found)
        assert score_all(task, stored, wanted) == score_all(task, found, wanted)


def test_logits_of_classes_become_probabilities() -> None:
    labels = np.array([0, 1, 2])
    logits = np.array([[2.0, 1, 0], [0, 3, 0], [700, 0, -700]])
    found = canonical_predictions("multiclass", logits, labels)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(found[0], [0.66524, 0.24473, 0.09003], atol=1e-5)
    kept = np.array([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8], [1, 0, 0]])
    np.testing.assert_allclose(canonical_predictions("multiclass", kept, labels), kept, atol=1e-7)
    # One row that is none makes all of them logits.
    kept[0, 0] = 0.4
    assert canonical_predictions("multiclass", kept, labels)[2, 0] < 0.6


def test_classes_stay_and_have_no_probabilities() -> None:
    labels = np.array([0, 1, 2, 2])
    found = canonical_predictions("multiclass", np.array([0, 1, 2, 5]), labels)
    np.testing.assert_array_equal(found, [0, 1, 2, 5])
    assert set(score_all("multiclass", found, labels)) == {
        "accuracy", "macro_f1", "weighted_f1", "balanced_accuracy",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.1, 0.9, 0.6, 0.4], [0.1, 0.9, 0.6, 0.4]),
        ([[0.1], [0.9], [0.6], [0.4]], [0.1, 0.9, 0.6, 0.4]),
        ([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6], [0.6, 0.4]], [0.1, 0.9, 0.6, 0.4]),
        ([[0, 2], [0, 30], [1, 0], [0, -40]], [2, 30, -1, -40]),
        # All differences are in 0..1, so that as logits they would be read as probabilities.
        ([[1, 1], [1, 1], [-1, 0], [1, 2]], [0.5, 0.5, 0.731059, 0.731059]),
        ([True, False, True, False], [1, 0, 1, 0]),
    ],
)
def test_binary_predictions_are_scores_of_class_1(given: Any, expected: Any) -> None:
    np.testing.assert_allclose(canonical_predictions("binary", given, BINARY), expected, atol=1e-6)


def test_large_logits_keep_their_order() -> None:
    logits = np.array([[0.0, 31], [0, 32], [0, 34], [0, 33]])
    found = canonical_predictions("binary", logits, BINARY).astype(np.float32)
    assert score_all("binary", found, BINARY)["auroc"] == 0.75


def test_a_score_that_rounds_to_1_is_a_probability() -> None:
    scores = np.array([0.2, 1 + 1e-12, 0.9, 0.4])
    assert canonical_predictions("binary", scores, BINARY).max() == 1
    assert score_all("binary", scores, BINARY)["accuracy"] == 1


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
def test_a_single_column_of_numbers_has_the_shape_of_the_labels(shape: tuple[int, ...]) -> None:
    for given in (np.arange(4.0), np.arange(4.0)[:, None]):
        assert canonical_predictions("regression", given, np.zeros(shape)).shape == shape


NO_PREDICTIONS = [
    ("regression", np.zeros(5), np.zeros(4), r"shape \(4,\), the shape of the labels.*\(5,\)"),
    ("regression", np.zeros((4, 2)), np.zeros(4), r"\(4,\), the shape.*theirs is \(4, 2\)"),
    ("regression", 0.5, np.zeros(1), r"theirs is \(\)"),
    ("regression", [], [], r"theirs is \(0,\)"),
    ("binary", np.zeros((4, 3)), BINARY, r"\(4, 2\) probabilities or logits, but.*\(4, 3\)"),
    ("multiclass", np.zeros((4, 2, 2)), BINARY, r"\(4, C\) probabilities or logits, or \(4,\)"),
    ("multiclass", np.eye(4)[:, :2], [0, 1, 2, 3], "2 columns, of the classes 0 to 1.*class 3"),
    ("multiclass", [0, 1, 0.5, 2], BINARY, r"0.5 is at index 2; for probabilities.*\(4, C\)"),
    ("multiclass", [0, 1, -1, 2], BINARY, "-1 is at index 2"),
    ("multilabel", np.zeros(4), np.zeros((4, 2)), r"\(4, 2\), the shape.*theirs is \(4,\)"),
    ("binary", [0, np.nan, np.nan, 1], BINARY, "2 of 4 are not; the first is NaN, at index 1"),
    ("regression", [[0, 1], [0, np.inf]], np.zeros((2, 2)), r"infinite, at index \(1, 1\)"),
    ("regression", [0, 1e39], np.zeros(2), r"\(as float32\).*infinite, at index 1"),
    ("regression", ["a", "b"], np.zeros(2), r"must be an array of numbers, but got \['a', 'b'\]"),
    ("regression", [[1, 2], [3]], np.zeros(2), "must be an array of numbers"),
    ("regresion", [0, 1], np.zeros(2), "'regresion' is not a task; did you mean 'regression'"),
]


@pytest.mark.parametrize(("task", "given", "labels", "message"), NO_PREDICTIONS)
def test_what_cannot_be_read_is_refused(task: str, given: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        canonical_predictions(task, given, labels)


WRONG_LABELS = [
    ("binary", [0, 1, 2, 1], "labels of 'test' must be 0 or 1, but 2 is at index 2.*3 values"),
    ("binary", [-1, 1, 1], r"-1 is at index 0; the two values are -1 and 1.*\(labels == 1\)"),
    ("binary", [[0], [1]], r"must be \[N\], but their shape is \(2, 1\); take its only column"),
    ("multiclass", [0, 1.5], "whole numbers from 0, but 1.5 is at index 1; number the classes"),
    ("multiclass", [-1, 0], "-1 is at index 0"),
    ("multiclass", np.array(["cat", "dog"]), "must be an array of numbers, but got .*cat"),
    ("multilabel", [0, 1], r"must be \[N, K\]"),
    ("multilabel", [[0, 1], [2, 2]], r"2 is at index \(1, 0\)"),
    ("regression", [0.5, np.nan], "1 of 2 are not; the first is NaN, at index 1"),
    ("regression", np.zeros((2, 2, 2)), r"\[N\] or \[N, K\], but their shape is \(2, 2, 2\)"),
    ("regression", [], r"are empty: their shape is \(0,\)"),
    ("scores", [0], "'scores' is not a task"),
]


@pytest.mark.parametrize(("task", "labels", "message"), WRONG_LABELS)
def test_labels_of_another_task_are_refused(task: str, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_labels(task, labels, "test")


@pytest.mark.parametrize("task", MAKERS)
def test_labels_of_the_task_pass(task: str) -> None:
    cases = MAKERS[task](np.random.default_rng(6))
    for _ in range(50):
        check_labels(task, next(cases)[1], "valid")
    check_labels("binary", np.array([True, False]), "valid")
    check_labels("binary", np.zeros(3), "valid")
