import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.evidence.tuning.anytime import anytime_curves, expected_best, expected_curves
from reports.evidence.values import Candidate


def _candidate(number: int, value: float | None, **changes: object) -> Candidate:
    values: dict[str, object] = {
        "arm": "full",
        "number": number,
        "params": {},
        "value": value,
        "status": "complete",
        "seconds": 10.0,
        "confirmed": False,
    }
    return Candidate(**{**values, **changes})  # type: ignore[arg-type]


def test_the_best_so_far_against_all_time_spent() -> None:
    own = [
        _candidate(0, 0.8),
        _candidate(1, 0.5, status="pruned", seconds=3.0),
        _candidate(2, 0.9),
        _candidate(3, None, status="failed", seconds=None),
        _candidate(4, 0.6),
    ]
    (curve,) = anytime_curves({"full": own}, higher_is_better=False)
    assert curve.seconds == (10.0, 23.0, 33.0)
    assert curve.best == (0.8, 0.8, 0.6)
    (curve,) = anytime_curves({"full": own}, higher_is_better=True)
    assert curve.best == (0.8, 0.9, 0.9)


def test_without_times_or_finished_candidates_there_is_no_curve() -> None:
    silent = [_candidate(0, 0.8, seconds=None)]
    stopped = [_candidate(0, 0.8, status="pruned")]
    assert anytime_curves({"a": silent, "b": stopped}, higher_is_better=True) == ()


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=7), st.booleans())
def test_expected_best_is_the_mean_over_all_subsets(values: list[float], higher: bool) -> None:
    got = expected_best(values, higher_is_better=higher)
    pick = max if higher else min
    for n, expected in enumerate(got, start=1):
        subsets = [pick(chosen) for chosen in itertools.combinations(values, n)]
        assert expected == pytest.approx(np.mean(subsets), abs=1e-9)


def test_expected_best_begins_at_the_mean_and_ends_at_the_best() -> None:
    values = np.random.default_rng(0).normal(size=60).tolist()
    got = expected_best(values, higher_is_better=True)
    assert got[0] == pytest.approx(np.mean(values)) and got[-1] == pytest.approx(max(values))
    assert list(got) == sorted(got)
    again = expected_best(values[::-1], higher_is_better=True)
    assert again == got


def test_only_independent_candidates_have_an_expected_best() -> None:
    own = {"full": [_candidate(i, float(i)) for i in range(4)]}
    (curve,), reason = expected_curves(own, "random", higher_is_better=False)
    assert (curve.arm, len(curve.values), reason) == ("full", 4, "")
    for sampler in ("tpe", "sobol", ""):
        curves, reason = expected_curves(own, sampler, higher_is_better=False)
        assert curves == () and "sampler: random" in reason
    assert expected_curves({}, "random", higher_is_better=False) == ((), "nothing was tuned")


def test_an_arm_of_which_some_were_stopped_has_none_and_is_named() -> None:
    fine = [_candidate(i, float(i)) for i in range(3)]
    cut = [*fine, _candidate(3, 9.0, status="pruned")]
    curves, reason = expected_curves({"a": fine, "b": cut}, "random", higher_is_better=False)
    assert [curve.arm for curve in curves] == ["a"]
    assert reason.startswith("b: ") and "no fair sample" in reason
