"""The metrics against known answers, hand computations and slow second implementations."""

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.config.fields import LABEL_SCHEMES, METRICS_LOWER_IS_BETTER
from msa_core.metrics import SCHEMES, score_predictions

# A loaded machine is no failure.
LAW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Multiples of 1/8 hit every rounding tie and, exactly, zero.
EIGHTHS = st.integers(-32, 32).map(lambda eighths: eighths / 8)
PAIRS = st.lists(st.tuples(EIGHTHS, EIGHTHS), min_size=1, max_size=25)
EVERY_METRIC = [(scheme, name) for scheme in SCHEMES for name in SCHEMES[scheme]]


def test_names_order_and_direction_are_those_of_the_config():
    for scheme, described in LABEL_SCHEMES.items():
        assert tuple(SCHEMES[scheme]) == described.metrics
        for name, metric in SCHEMES[scheme].items():
            assert metric.name == name
            assert metric.label
            assert metric.higher_is_better == (name not in METRICS_LOWER_IS_BETTER)


def test_mosi_known_answers():
    found = score_predictions("mosi", [-1.5, 0.5, 0.0, 0.5, 2.5], [-2.0, -1.0, 0.0, 1.0, 2.0])
    assert list(found) == list(LABEL_SCHEMES["mosi"].metrics)
    assert found["mae"] == pytest.approx(0.6)
    assert found["acc2_has0"] == pytest.approx(0.8)
    assert found["acc2_non0"] == pytest.approx(0.75)
    assert found["acc7"] == pytest.approx(0.6)  # Rounds to -2, 0, 0, 0, 2.
    assert found["acc5"] == pytest.approx(0.6)
    assert found["acc3"] == pytest.approx(0.6)  # Clipped: -1, 0, 0, 0, 1 against -1, -1, 0, 1, 1.
    # With 0: 4 of 4 and 1 false positive: F1 = 6/7 on 3 true, 2/3 on 2 true.
    assert found["f1_has0"] == pytest.approx((3 * 6 / 7 + 2 * 2 / 3) / 5)
    # Without: 2 hits, 1 false: F1 = 4/5 on 2 true, 2/3 on 2 true.
    assert found["f1_non0"] == pytest.approx((2 * 4 / 5 + 2 * 2 / 3) / 4)
    # x = yhat - .4 sums to 0: sum xy = 3 + (-.5) + .5 + 5 = 8; sum xx = 9 - 5 * .16 = 8.2.
    assert found["corr"] == pytest.approx(8 / math.sqrt(8.2 * 10))


def test_perfect_predictions():
    labels = np.linspace(-1, 1, 11)
    for scheme in SCHEMES:
        found = score_predictions(scheme, labels, labels)
        assert found.pop("mae") == 0.0
        assert found == pytest.approx(dict.fromkeys(found, 1.0))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [(0.5, 0.0, True), (1.5, 2.0, True), (2.5, 2.0, True), (2.5, 3.0, False), (-0.5, 0.0, True),
     (-1.5, -2.0, True), (7.0, 3.0, True), (-3.4, -3.0, True)],
)  # fmt: skip
def test_acc7_clips_and_rounds_half_to_even(first, second, same):
    assert score_predictions("mosi", [first], [second])["acc7"] == float(same)


def test_mosi_error_and_correlation_are_not_clipped():
    found = score_predictions("mosi", [9.0, -3.0, 0.0], [3.0, -3.0, 0.0])
    assert found["mae"] == pytest.approx(2.0)
    # Centred: (7, -5, -2) and (3, -3, 0).
    assert found["corr"] == pytest.approx(36 / math.sqrt(78 * 18))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("metric", "value", "inside", "outside"),
    [
        ("acc2", 0.0, -1.0, 0.001),
        ("acc3", -0.1, -1.0, 0.0),
        ("acc3", 0.1, 0.0, 0.2),
        ("acc5", -0.7, -1.0, -0.6),
        ("acc5", -0.1, -0.6, 0.0),
        ("acc5", 0.1, 0.0, 0.2),
        ("acc5", 0.7, 0.2, 0.8),
        ("acc5", -9.0, -1.0, -0.6),
        ("acc5", 9.0, 1.0, 0.6),
    ],
)
def test_sims_bins_are_closed_on_the_right(dtype, metric, value, inside, outside):
    cut = np.array([value], dtype)
    assert score_predictions("sims", cut, np.array([inside], dtype))[metric] == 1.0
    assert score_predictions("sims", cut, np.array([outside], dtype))[metric] == 0.0


def test_sims_clips_before_everything():
    found = score_predictions("sims", [3.0, -3.0, 0.2], [1.0, -1.0, 0.2])
    assert found["mae"] == 0.0
    assert found["corr"] == pytest.approx(1.0)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_constant_predictions_have_no_correlation(constant):
    labels = np.linspace(-3, 3, 31, dtype=np.float32)
    found = score_predictions("mosi", np.full(31, constant, np.float32), labels)
    assert "corr" not in found
    assert "mae" in found
    assert "corr" not in score_predictions("mosi", labels, np.zeros(31))
    assert "corr" not in score_predictions("mosi", [1.0], [1.0])


def test_labels_that_are_all_zero_leave_the_non0_metrics_undefined():
    found = score_predictions("mosi", [1.0, -1.0], [0.0, 0.0])
    assert set(found) == {"mae", "acc2_has0", "f1_has0", "acc7", "acc5", "acc3"}


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("row", [0, 2])
def test_a_diverged_model_has_no_metrics(bad, row):
    predictions = np.array([0.0, 1.0, 2.0])
    predictions[row] = bad
    for scheme in SCHEMES:
        assert score_predictions(scheme, predictions, [0.0, 1.0, -1.0]) == {}


@pytest.mark.parametrize("shapes", [((3,), (2,)), ((3, 1), (3, 1)), ((0,), (0,)), ((3, 1), (3,))])
def test_other_shapes_are_refused(shapes):
    with pytest.raises(ValueError, match=r"both be \[N\]"):
        score_predictions("mosi", np.zeros(shapes[0]), np.zeros(shapes[1]))


@LAW
@given(PAIRS)
def test_mosi_equals_the_slow_definitions(pairs):
    predictions, labels = map(list, zip(*pairs, strict=True))
    expected = {
        "mae": sum(abs(p - y) for p, y in pairs) / len(pairs),
        "corr": slow_pearson(predictions, labels),
        "acc2_has0": share((p >= 0) == (y >= 0) for p, y in pairs),
        "f1_has0": slow_f1([p >= 0 for p in predictions], [y >= 0 for y in labels]),
        "acc2_non0": share((p > 0) == (y > 0) for p, y in pairs if y != 0),
        "f1_non0": slow_f1([p > 0 for p, y in pairs if y], [y > 0 for y in labels if y]),
    }
    for bound, name in ((3, "acc7"), (2, "acc5"), (1, "acc3")):
        expected[name] = share(
            round(max(-bound, min(bound, p))) == round(max(-bound, min(bound, y))) for p, y in pairs
        )
    assert score_predictions("mosi", predictions, labels) == pytest.approx(
        {name: value for name, value in expected.items() if value is not None}
    )


@LAW
@given(PAIRS)
def test_sims_equals_the_slow_definitions(pairs):
    clipped = [(max(-1, min(1, p)), max(-1, min(1, y))) for p, y in pairs]
    predictions, labels = map(list, zip(*clipped, strict=True))
    expected = {
        "mae": sum(abs(p - y) for p, y in clipped) / len(clipped),
        "corr": slow_pearson(predictions, labels),
        "acc2": share((p > 0) == (y > 0) for p, y in clipped),
        "f1": slow_f1([p > 0 for p in predictions], [y > 0 for y in labels]),
        "acc3": share(slow_bin(p, (-0.1, 0.1)) == slow_bin(y, (-0.1, 0.1)) for p, y in clipped),
    }
    five = (-0.7, -0.1, 0.1, 0.7)
    expected["acc5"] = share(slow_bin(p, five) == slow_bin(y, five) for p, y in clipped)
    assert score_predictions("sims", *map(list, zip(*pairs, strict=True))) == pytest.approx(
        {name: value for name, value in expected.items() if value is not None}
    )


@pytest.mark.parametrize(("scheme", "name"), EVERY_METRIC)
@LAW
@given(pairs=PAIRS, data=st.data())
def test_weighting_utterances_equals_repeating_them(scheme, name, pairs, data):
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    if not any(counts):
        counts[0] = 1
    predictions, labels = np.array(pairs).T
    metric = SCHEMES[scheme][name]
    weights = np.array(counts) / sum(counts)
    weighted = metric.combine(weights @ metric.terms(predictions, labels))
    repeated = score_predictions(scheme, np.repeat(predictions, counts), np.repeat(labels, counts))
    assert float(weighted) == pytest.approx(repeated.get(name, math.nan), nan_ok=True)


@pytest.mark.parametrize(("scheme", "name"), EVERY_METRIC)
def test_combine_works_on_any_leading_axes(scheme, name):
    generator = np.random.default_rng(0)
    metric = SCHEMES[scheme][name]
    terms = metric.terms(generator.normal(size=40), generator.normal(size=40))
    means = generator.dirichlet(np.ones(40), size=(3, 2)) @ terms
    found = metric.combine(means)
    assert found.shape == (3, 2)
    assert found[1, 0] == metric.combine(means[1, 0])


@LAW
@given(PAIRS, st.integers(-1000, 1000))
def test_correlation_does_not_depend_on_the_origin(pairs, shift):
    predictions, labels = np.array(pairs).T
    moved = score_predictions("mosi", predictions + shift, labels)
    assert moved.get("corr") == score_predictions("mosi", predictions, labels).get("corr")


def test_correlation_survives_a_large_offset():
    generator = np.random.default_rng(0)
    labels = generator.normal(size=500)
    predictions = 1e6 + 1e-3 * (labels + generator.normal(size=500))
    expected = np.corrcoef(predictions, labels)[0, 1]
    assert score_predictions("mosi", predictions, labels)["corr"] == pytest.approx(
        expected, rel=1e-6
    )


def test_neither_metrics_nor_data_import_torch():
    code = "import sys, msa_core.metrics, msa_core.data.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def share(correct):
    found = list(correct)
    return sum(found) / len(found) if found else None


def slow_bin(value, cuts):
    return sum(value > cut for cut in cuts)


def slow_pearson(first, second):
    first_mean, second_mean = sum(first) / len(first), sum(second) / len(second)
    centred = [(a - first_mean, b - second_mean) for a, b in zip(first, second, strict=True)]
    if len(set(first)) == 1 or len(set(second)) == 1:
        return None
    variances = sum(a * a for a, _ in centred) * sum(b * b for _, b in centred)
    return sum(a * b for a, b in centred) / math.sqrt(variances)


def slow_f1(predicted, true):
    """scikit-learn's `f1_score(average="weighted", zero_division=0)`."""
    if not true:
        return None
    total = 0.0
    for kind in (False, True):
        hits = sum(p == kind and t == kind for p, t in zip(predicted, true, strict=True))
        precision = hits / predicted.count(kind) if predicted.count(kind) else 0.0
        recall = hits / true.count(kind) if true.count(kind) else 0.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        total += f1 * true.count(kind)
    return total / len(true)
