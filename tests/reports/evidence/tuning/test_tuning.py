from types import ModuleType
from typing import Any

import pytest

from reports.evidence.tuning.candidates import collect_candidates
from reports.evidence.values import Candidate
from reports.results import Results


def _row(candidate: int, seed: int, value: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "arm": "full",
        "candidate": candidate,
        "seed": seed,
        "metric.valid.mae": value,
        "metric.seconds": 10.0,
        "param.lr": 0.1 * (candidate + 1),
        **changes,
    }


def _results(planted: ModuleType, *rows: dict[str, Any]) -> Results:
    found: Results = planted.results_of(
        {"full": [1.0, 2.0], "other": [1.0]},
        tuning=rows,
        searched={"full": ("lr", "loss.weight"), "other": ()},
        tune_seeds=(101, 102),
    )
    return found


def test_a_candidate_is_the_mean_of_its_tuning_seeds(planted: ModuleType) -> None:
    results = _results(planted, _row(0, 102, 0.5), _row(0, 101, 0.7))
    (candidate,) = collect_candidates(results)["full"]
    assert candidate == Candidate(
        arm="full",
        number=0,
        params={"lr": 0.1},
        value=pytest.approx(0.6),  # type: ignore[arg-type]
        status="complete",
        seconds=20.0,
        confirmed=True,
    )
    assert candidate.is_finished
    assert "other" not in collect_candidates(results)


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ([_row(1, 101, 0.5)], "unfinished"),
        ([_row(1, 101, 0.5), _row(1, 102, 0.5, status="pruned")], "pruned"),
        ([_row(1, 101, 0.5, status="pruned"), _row(1, 102, None, status="failed")], "failed"),
    ],
)
def test_what_is_not_complete_on_every_seed_says_so(
    planted: ModuleType, rows: list[dict[str, Any]], status: str
) -> None:
    (point,) = collect_candidates(_results(planted, *rows))["full"]
    assert (point.status, point.value, point.confirmed) == (status, 0.5, False)


def test_a_candidate_without_any_value_has_none(planted: ModuleType) -> None:
    rows = [_row(0, 101, None, status="failed", **{"metric.seconds": None})]
    (candidate,) = collect_candidates(_results(planted, *rows))["full"]
    assert (candidate.value, candidate.seconds, candidate.is_finished) == (None, None, False)


def test_fields_that_meant_nothing_are_absent_and_others_keep_their_kind(
    planted: ModuleType,
) -> None:
    rows = [
        _row(0, 101, 0.5, **{"param.loss.weight": 2.0, "param.lr": 3}),
        _row(1, 101, 0.5, **{"param.loss.weight": None, "param.lr": True}),
        _row(2, 101, 0.5, **{"param.lr": "high"}),
    ]
    first, second, third = collect_candidates(_results(planted, *rows))["full"]
    assert dict(first.params) == {"lr": 3, "loss.weight": 2.0}
    assert dict(second.params) == {"lr": True}
    assert dict(third.params) == {"lr": "high"}
    assert second.params["lr"] is True
