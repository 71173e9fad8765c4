import warnings
from collections.abc import Sequence

import numpy as np
import optuna
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from reports.evidence.tuning.importance import FEWEST, RESAMPLES, estimate_importances
from reports.evidence.values import Candidate
from reports.results import FieldFacts

LOGS = ("rate", "weight", "width")
FIELDS = {
    name: FieldFacts(label=name, log=name in LOGS, domain="choice [16, 32]" * (name == "batch"))
    for name in ("rate", "weight", "width", "depth", "dropout", "kind", "use", "batch")
}


def _candidates(count: int, seed: int, *, ties: bool = False) -> list[Candidate]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        params: dict[str, bool | int | float | str] = {
            "rate": float(10 ** rng.uniform(-4, -2)),
            "dropout": float(rng.uniform(0, 0.5)),
            "depth": int(rng.integers(1, 7)),
            "width": int(2 ** rng.uniform(3, 8)),
            "kind": str(rng.choice(["concat", "sum", "gated"])),
            "use": bool(rng.random() < 0.5),
            "batch": int(rng.choice([16, 32])),
        }
        if rng.random() < 0.6:  # a conditional field
            params["weight"] = float(10 ** rng.uniform(-2, 2))
        value = abs(np.log10(float(params["rate"])) + 3) + 0.05 * rng.random()
        value += 0.1 * (params["kind"] == "sum")
        found.append(
            Candidate(
                arm="full",
                number=number,
                params=params,
                value=round(float(value), 1) if ties else float(value),
                status="complete",
                seconds=1.0,
                confirmed=False,
            )
        )
    return found


def _by_optuna(candidates: Sequence[Candidate], *, maximize: bool) -> dict[str, float]:
    domains: dict[str, BaseDistribution] = {}
    for name in FIELDS:
        known = [c.params[name] for c in candidates if name in c.params]
        if name in ("kind", "use", "batch"):
            domains[name] = CategoricalDistribution(sorted(set(known), key=str))
        elif name in ("width", "depth"):
            domains[name] = IntDistribution(min(known), max(known), log=name in LOGS)
        else:
            domains[name] = FloatDistribution(min(known), max(known), log=name in LOGS)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize" if maximize else "minimize")
    for candidate in candidates:
        study.add_trial(
            optuna.trial.create_trial(
                params=dict(candidate.params),
                distributions={name: domains[name] for name in candidate.params},
                value=candidate.value,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(
            target_quantile=max(0.1, 5 / len(candidates))
        )
        return optuna.importance.get_param_importances(study, evaluator=evaluator)


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize(("count", "ties"), [(10, False), (25, True), (60, False), (60, True)])
def test_importance_is_that_of_optuna(count: int, ties: bool, maximize: bool) -> None:
    candidates = _candidates(count, seed=count, ties=ties)
    found, reason = estimate_importances(
        {"full": candidates}, FIELDS, higher_is_better=maximize, seed=0
    )
    wanted = _by_optuna(candidates, maximize=maximize)
    assert reason == ""
    assert {one.field: one.value for one in found} == pytest.approx(wanted, abs=1e-9)


def test_the_field_that_decides_is_the_most_important() -> None:
    found, _ = estimate_importances(
        {"full": _candidates(60, seed=1)}, FIELDS, higher_is_better=False, seed=0
    )
    first, *_ = found
    assert first.field == "rate" and first.value > 0.5
    assert sum(one.value for one in found) == pytest.approx(1)
    for one in found:
        assert one.low is not None and one.high is not None
        assert 0 <= one.low <= one.high <= 1
        assert (one.candidates, one.resamples) == (60, RESAMPLES)


def test_the_order_of_candidates_and_other_arms_change_nothing() -> None:
    own, other = _candidates(30, seed=2), _candidates(20, seed=3)
    alone, _ = estimate_importances({"full": own}, FIELDS, higher_is_better=False, seed=5)
    beside, _ = estimate_importances(
        {"x": other, "full": own}, FIELDS, higher_is_better=False, seed=5
    )
    assert [one for one in beside if one.candidates == 30] == list(alone)
    elsewhere, _ = estimate_importances({"full": own}, FIELDS, higher_is_better=False, seed=6)
    assert [o.value for o in elsewhere] == [o.value for o in alone]
    assert [o.low for o in elsewhere] != [o.low for o in alone]


def test_few_candidates_are_declined_and_a_constant_field_explains_nothing() -> None:
    few = _candidates(FEWEST - 1, seed=4)
    found, reason = estimate_importances({"full": few}, FIELDS, higher_is_better=False, seed=0)
    assert found == () and f"fewer than {FEWEST}" in reason
    assert estimate_importances({}, FIELDS, higher_is_better=False, seed=0) == (
        (),
        "nothing was tuned",
    )
    same = [
        Candidate(**{**_as_dict(c), "params": {"rate": c.params["rate"], "dropout": 0.1}})
        for c in _candidates(20, seed=5)
    ]
    found, _ = estimate_importances({"full": same}, FIELDS, higher_is_better=False, seed=0)
    assert {one.field: one.value for one in found} == {"rate": 1.0, "dropout": 0.0}


def _as_dict(candidate: Candidate) -> dict[str, object]:
    return dict(vars(candidate))
