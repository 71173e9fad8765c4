"""Slices of a set of utterances, and models against each other on them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msa_core.analysis.slices import (
    conflict_tags,
    leaderboard,
    length_tags,
    slice_table,
    strength_tags,
)
from msa_core.config.planted import PlantedConfig
from msa_core.data.planted import generate_planted
from msa_core.metrics import SCHEMES, score_predictions

LAW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def table(predictions, labels, tags, *, scheme="mosi", seed=0, draws=50):
    rng = np.random.default_rng(seed)
    return slice_table(scheme, predictions, labels, tags, rng=rng, draws=draws)


def of(scores, dimension, tag, metric):
    (found,) = [
        score
        for score in scores
        if (score.dimension, score.tag, score.metric) == (dimension, tag, metric)
    ]
    return found


# --- Tags.


def test_strength_is_the_distance_from_neutral():
    labels = [-3.0, -1.6, -0.6, -0.4, 0.0, 0.5, 0.6, 2.0, 2.6]
    assert strength_tags(labels, "mosi").tolist() == [
        "strong", "medium", "weak", "neutral", "neutral", "neutral", "weak", "medium", "strong",
    ]  # fmt: skip
    assert strength_tags([-1.0, -0.4, 0.0, 0.2, 0.8], "sims").tolist() == [
        "strong", "weak", "neutral", "weak", "strong",
    ]  # fmt: skip


def test_conflict_is_another_sign():
    tags = conflict_tags([1.0, -1.0, 0.0, 2.0], [0.5, 0.5, 0.2, 0.0])
    assert tags.tolist() == ["agreement", "conflict", "conflict", "conflict"]


def test_lengths_are_cut_into_thirds():
    assert length_tags([9, 1, 5, 3, 7, 2]).tolist() == [
        "long", "short", "medium", "medium", "long", "short",
    ]  # fmt: skip
    assert set(length_tags([4, 4, 4, 4])) == {"short"}


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: strength_tags([0.0], "nrc"), "scheme 'nrc'"),
        (lambda: conflict_tags([0.0, 1.0], [0.0]), r"both be \[N\]"),
        (lambda: length_tags([1.0, np.nan]), "row 1"),
    ],
)
def test_what_has_no_tag_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


# --- Scores.


@LAW
@given(st.integers(0, 2**31), st.integers(1, 40), st.integers(1, 3), st.integers(1, 4))
def test_the_errors_of_slices_average_to_that_of_all_whatever_the_slices(seed, n, runs, kinds):
    rng = np.random.default_rng(seed)
    labels, tags = rng.uniform(-3, 3, n), rng.integers(0, kinds, n)
    scores = table(rng.uniform(-3, 3, (runs, n)), labels, {"kind": tags}, draws=2)
    whole = of(scores, "all", "all", "mae")
    parts = [part for part in scores if part.dimension == "kind" and part.metric == "mae"]
    assert sum(part.utterances for part in parts) == n
    weighted = sum(part.utterances * part.score for part in parts) / n
    assert weighted == pytest.approx(whole.score, abs=1e-12)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_slice_is_scored_as_if_it_were_all_there_is(scheme):
    rng = np.random.default_rng(0)
    labels = rng.uniform(-1, 1, 60)
    predictions = labels + rng.normal(0, 0.5, (2, 60))
    tags = np.where(np.arange(60) % 3, "often", "rare")
    scores = table(predictions, labels, {"kind": tags}, scheme=scheme)
    for tag in ("often", "rare"):
        alone = [
            score_predictions(scheme, run[tags == tag], labels[tags == tag]) for run in predictions
        ]
        for name in SCHEMES[scheme]:
            found = of(scores, "kind", tag, name)
            assert found.score == pytest.approx(np.mean([one[name] for one in alone]), abs=1e-12)
            assert found.low <= found.score <= found.high
            assert found.utterances == (40 if tag == "often" else 20)


def test_the_interval_of_an_error_is_that_of_its_standard_error():
    rng = np.random.default_rng(0)
    labels = rng.uniform(-3, 3, 400)
    predictions = labels + rng.normal(0, 1, 400)
    found = of(table(predictions, labels, {}, draws=2000), "all", "all", "mae")
    half = 1.96 * np.abs(predictions - labels).std() / np.sqrt(400)
    assert found.score - found.low == pytest.approx(half, rel=0.1)
    assert found.high - found.score == pytest.approx(half, rel=0.1)


def test_runs_share_the_resampled_utterances():
    """Averaging two runs with opposite errors leaves no spread; drawn apart, it would."""
    labels = np.zeros(50)
    errors = np.random.default_rng(0).uniform(0, 2, 50)
    found = of(table([errors, 2 - errors], labels, {}, draws=200), "all", "all", "mae")
    assert found.high - found.low == pytest.approx(0, abs=1e-12)


def test_an_interval_depends_on_its_own_slice_and_the_generator_alone():
    rng = np.random.default_rng(0)
    labels = rng.uniform(-3, 3, 50)
    predictions = labels + rng.normal(0, 1, 50)
    half, third = np.arange(50) % 2, np.arange(50) % 3
    alone = table(predictions, labels, {"half": half})
    together = table(predictions, labels, {"third": third, "half": half})
    assert [s for s in together if s.dimension != "third"] == list(alone)
    assert table(predictions, labels, {"half": half}) == alone
    assert table(predictions, labels, {"half": half}, seed=1) != alone


def test_what_is_undefined_is_absent_and_nothing_else():
    """One utterance has an error and no correlation, and no interval."""
    labels = np.array([0.5, 1.0, -2.0, 2.0])
    scores = table(labels + 0.5, labels, {"kind": ["one", "rest", "rest", "rest"]})
    one = of(scores, "kind", "one", "mae")
    assert one.score == pytest.approx(0.5)
    assert (one.low, one.high) == (None, None)
    assert of(scores, "kind", "one", "corr").score is None
    rest = of(scores, "kind", "rest", "mae")
    assert rest.low == pytest.approx(0.5)


def test_a_diverged_run_leaves_no_score():
    labels = np.array([0.5, 1.0, -2.0, 2.0])
    predictions = np.stack([labels, labels])
    predictions[1, 2] = np.nan
    scores = table(predictions, labels, {"kind": ["a", "a", "b", "b"]})
    assert of(scores, "all", "all", "mae").score is None
    assert of(scores, "kind", "b", "mae").low is None
    assert of(scores, "kind", "a", "mae").score == 0.0


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"labels": np.zeros(3)}, r"\(2, 4\) and \(3,\)"),
        ({"tags": {"kind": ["a", "b"]}}, "dimension 'kind'.*one tag per utterance"),
        ({"tags": {"all": ["a"] * 4}}, "taken by the whole set"),
        ({"draws": 0}, "at least 1 draw"),
    ],
)
def test_what_can_not_be_sliced_is_refused(change, match):
    given = {"predictions": np.zeros((2, 4)), "labels": np.zeros(4), "tags": {}} | change
    with pytest.raises(ValueError, match=match):
        table(**given)


def test_in_planted_data_text_alone_fails_where_the_modalities_conflict():
    """The label of text is right about its own part, so its errors lie in the conflicts."""
    test = generate_planted(PlantedConfig(train=2, valid=2, test=800)).test
    text = test.unimodal_labels["text"]
    tags = {
        "conflict": conflict_tags(test.labels, text),
        "length": length_tags(test.lengths["text"]),
    }
    scores = table(text, test.labels, tags, draws=200)
    conflict = of(scores, "conflict", "conflict", "mae")
    agreement = of(scores, "conflict", "agreement", "mae")
    assert conflict.low > agreement.high
    assert of(scores, "conflict", "conflict", "acc2_non0").score == 0.0
    assert of(scores, "conflict", "agreement", "acc2_non0").score == 1.0
    # A length says nothing of the label, so its slices overlap.
    short, long = (of(scores, "length", tag, "mae") for tag in ("short", "long"))
    assert short.low < long.high
    assert long.low < short.high


# --- Models against each other.


def models():
    labels = np.array([-2.0, -1.0, 1.0, 2.0, 1.0, -1.0])
    tags = {"half": ["a", "a", "a", "b", "b", "b"]}
    errors = {"good": 0.1, "middling": 0.4, "bad": 0.8}
    return {name: table(labels + error, labels, tags) for name, error in errors.items()}


def test_the_leaderboard_is_best_first_and_keeps_the_raw_scores():
    standings = leaderboard(models(), "mosi", "mae")
    assert [(s.score.dimension, s.score.tag, s.model) for s in standings] == [
        (dimension, tag, model)
        for dimension, tag in (("all", "all"), ("half", "a"), ("half", "b"))
        for model in ("good", "middling", "bad")
    ]
    assert [s.score.score for s in standings[:3]] == pytest.approx([0.1, 0.4, 0.8])
    assert [s.rescaled for s in standings[:3]] == pytest.approx([7 / 8, 1 / 2, 0])
    assert standings[3].score.utterances == 3
    assert standings[3].score.low is not None


def test_models_that_are_all_perfect_can_not_be_told_apart():
    assert {s.rescaled for s in leaderboard(models(), "mosi", "acc2_has0")} == {None}


def test_where_higher_is_better_the_largest_is_near_one_and_the_smallest_zero():
    # Right in all six, in three and in none of the six utterances.
    labels = np.array([-2.0, -1.0, 1.0, 2.0, 1.0, -1.0])
    signs = {"right": labels, "half": np.abs(labels), "wrong": -labels}
    tables = {name: table(predictions, labels, {}) for name, predictions in signs.items()}
    standings = leaderboard(tables, "mosi", "acc2_has0")
    assert [s.rescaled for s in standings] == pytest.approx([1.0, 0.5, 0.0])


def test_an_undefined_score_comes_last():
    labels = np.array([-2.0, -1.0, 1.0, 2.0])
    tables = {
        "constant": table(np.zeros(4), labels, {}),
        "varying": table(-labels, labels, {}),
    }
    standings = leaderboard(tables, "mosi", "corr")
    assert [s.model for s in standings] == ["varying", "constant"]
    assert standings[1].rescaled is None


def test_models_on_other_utterances_are_not_compared():
    labels = np.array([-2.0, -1.0, 1.0, 2.0])
    tables = {
        "one": table(labels, labels, {"half": ["a", "a", "b", "b"]}),
        "other": table(labels, labels, {"half": ["a", "b", "b", "b"]}),
    }
    with pytest.raises(ValueError, match="'other' has other slices than 'one'"):
        leaderboard(tables, "mosi", "mae")
