"""How many confirm seeds would decide a claim."""

import math
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from reports.evidence.claims.claim_evidence import ClaimEvidence
from reports.evidence.claims.seeds_to_decide import seeds_to_decide
from reports.evidence.statistics.paired import detectable_effect
from reports.evidence.statistics.resampling import PairedCells, two_level_intervals
from tests.cases.results.claim_cases import claim_that, weigh_normal


def _undecided_case(
    mean: float, sd: float, n: int, relation: str = "worse", amount: float = 0.0, shared: float = 0
) -> ClaimEvidence:
    """A Gaussian case with exactly this mean and sd, and the interval that belongs to it."""
    scores = stats.norm.ppf((np.arange(n) + 0.5) / n)
    differences = mean + sd * (scores - scores.mean()) / scores.std(ddof=1)
    error = math.sqrt(shared + (n - 1) / n * sd**2 / n)
    return weigh_normal(claim_that("a", relation, amount), differences, error, shared)


@pytest.mark.parametrize("n", [10, 15, 20, 40])
def test_seeds_to_decide_are_those_of_a_paired_t_test_where_the_test_set_is_no_limit(
    n: int,
) -> None:
    effect = detectable_effect(n)
    assert effect is not None
    seeds, said = seeds_to_decide(_undecided_case(0.02 * effect, 0.02, 5), claims=1)
    assert seeds is not None and abs(seeds - n) <= 1
    assert said.startswith(f"about {seeds} confirm seeds would decide it")


def test_that_many_seeds_clear_the_bound_four_times_in_five() -> None:
    mean, sd, shared, bound = 0.03, 0.04, 0.003**2, 0.012
    seeds, _ = seeds_to_decide(_undecided_case(mean, sd, 6, amount=bound, shared=shared), claims=1)
    assert seeds is not None and 30 < seeds < 70
    rng, repetitions = np.random.default_rng(2), 4000
    luck_of_the_test_set = rng.normal(0, math.sqrt(shared), repetitions)
    drawn = rng.normal(mean, sd, (repetitions, seeds)) + luck_of_the_test_set[:, None]
    means, errors = drawn.mean(axis=1), np.sqrt(shared + drawn.var(axis=1) / seeds)
    cleared = means - 1.96 * errors >= bound
    assert 0.76 < cleared.mean() < 0.86


def test_an_equivalence_needs_seeds_for_both_bounds() -> None:
    seeds, _ = seeds_to_decide(_undecided_case(0.0, 0.04, 5, "equivalent", 0.02), claims=1)
    # Exactly in the middle each bound may be missed one time in ten.
    assert seeds is not None
    assert abs(seeds - (((1.645 + 1.282) * 0.04 / 0.02) ** 2 + 1.645**2 / 2)) <= 1


def test_more_claims_need_more_seeds() -> None:
    evidence = _undecided_case(0.03, 0.01, 4)
    assert [seeds_to_decide(evidence, claims)[0] for claims in (1, 7, 100)] == [6, 9, 12]


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (_undecided_case(0.01, 0.02, 8, shared=0.01**2), "the test set is too small to decide it"),
        (_undecided_case(0.0001, 0.02, 8), "more than 10,000 confirm seeds would be needed"),
        (weigh_normal(claim_that("a", "worse"), [0.0, 0.0], 0.0), "lies on the bound itself"),
        (weigh_normal(claim_that("a", "worse"), [0.1], 0.1), "one paired seed does not show"),
    ],
)
def test_where_no_number_of_seeds_is_known_to_decide_that_is_said(
    evidence: ClaimEvidence, said: str
) -> None:
    seeds, sentence = seeds_to_decide(evidence, claims=1)
    assert seeds is None and said in sentence


def test_what_seeds_share_of_the_test_set_is_told_from_what_they_do_not(
    synthetic: ModuleType,
) -> None:
    """Errors of its own in every cell average out over seeds; those of an arm do not."""
    rng = np.random.default_rng(3)
    results = synthetic.make_results({"full": 0.5, "arm": 0.5}, utterances=200)
    hard = np.abs(rng.normal(0, 1.0, 200))
    common = {
        key: (results.labels + hard if key.startswith("c-arm") else results.labels)
        + rng.normal(0, 0.1, 200).astype(np.float32)
        for key in results.predictions
    }
    found = []
    for predictions in (results.predictions, common):
        changed = replace(results, predictions=predictions)
        terms = {
            key: [synthetic.METRICS["mae"].terms(p, changed.labels)]
            for key, p in predictions.items()
        }
        keys = {arm: tuple(f"c-{arm}-{seed}" for seed in range(10)) for arm in ("arm", "full")}
        contrast = PairedCells(arm_keys=keys["arm"], baseline_keys=keys["full"])
        ((interval,),) = two_level_intervals(
            {"arm": contrast}, terms, [synthetic.METRICS["mae"]], 0, draws=2000
        ).values()
        assert interval is not None
        found.append(interval.of_utterances / ((interval.high - interval.low) / 3.92) ** 2)
    assert found[0] < 0.15 and found[1] > 0.8
