from types import ModuleType
from typing import Any

import numpy as np

from reports.evidence.arm_estimates import Estimate
from reports.evidence.tuning.frozen_pairs import frozen_pairs
from reports.evidence.tuning.learning_curves import learning_curves
from reports.evidence.verdicts import Verdict
from reports.results import Results


def _estimate(arm: str, verdict: Verdict, delta: float | None = 0.1, n: int = 5) -> Estimate:
    return Estimate(arm=arm, metric="mae", n=n, mean=1.0, sd=0.1, delta=delta, verdict=verdict)


def test_a_verdict_that_depends_on_tuning_flips(planted: ModuleType) -> None:
    arms = ("full", "a", "a, frozen", "b", "b, frozen")
    facts = planted.facts_of(arms, frozen={"a, frozen": "full", "b, frozen": "full"})
    estimates = {
        "full": _estimate("full", "baseline", None),
        "a": _estimate("a", "better", -0.2),
        "a, frozen": _estimate("a, frozen", "worse", 0.3),
        "b": _estimate("b", "undecided"),
        "b, frozen": _estimate("b, frozen", "undecided", None, n=0),
    }
    first, second = frozen_pairs(facts, estimates)
    assert (first.arm, first.frozen_arm, first.flips) == ("a", "a, frozen", True)
    assert (first.tuned_delta, first.frozen_delta) == (-0.2, 0.3)
    assert (first.tuned_verdict, first.frozen_verdict) == ("better", "worse")
    assert not second.flips


def test_arms_that_are_only_frozen_have_no_pair(planted: ModuleType) -> None:
    facts = planted.facts_of(("full", "a"), frozen={"a": "full"})
    estimates = {arm: _estimate(arm, "undecided") for arm in facts.arms}
    assert frozen_pairs(facts, estimates) == ()


def _with_curves(planted: ModuleType, **curves: Any) -> Results:
    results: Results = planted.results_of({"full": [1.0, 1.0, 1.0], "other": [1.0]})
    found = {f"confirm-full-0-{seed[1:]}": curve for seed, curve in curves.items()}
    return Results(
        facts=results.facts,
        cells=results.cells,
        predictions={},
        labels=None,
        curves={key: np.array(curve, dtype=np.float32) for key, curve in found.items()},
    )


def test_a_learning_curve_is_over_the_cells_still_training(planted: ModuleType) -> None:
    results = _with_curves(planted, s0=[4.0, 2.0, 1.0], s1=[2.0, 4.0], s2=[np.nan, 3.0])
    (curve,) = learning_curves(results)
    assert curve.arm == "full"
    assert curve.mean == (3.0, 3.0, 1.0)
    assert curve.low == (2.0, 2.0, 1.0) and curve.high == (4.0, 4.0, 1.0)
    assert curve.cells == (3, 3, 1)


def test_an_epoch_that_is_undefined_everywhere_is_none(planted: ModuleType) -> None:
    (curve,) = learning_curves(_with_curves(planted, s0=[np.nan, 1.0]))
    assert (curve.mean, curve.low, curve.cells) == ((None, 1.0), (None, 1.0), (1, 1))
    assert learning_curves(_with_curves(planted)) == ()
