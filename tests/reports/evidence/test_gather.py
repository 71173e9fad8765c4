from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reports.evidence import pair_intervals
from reports.evidence.comparison import Comparison, compare_arms
from reports.evidence.gather import gather_evidence
from reports.evidence.values import Evidence, Matrix
from reports.results import Results, StatedClaim

QUICK = settings(
    max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def _small(large: ModuleType, **options: Any) -> Results:
    values = {"arms": 9, "candidates": 14, "seeds": 5, "utterances": 40, "epochs": 4, **options}
    found: Results = large.large_results(**values)
    return found


def _all(
    large: ModuleType, results: Results, seed: int = 0, draws: int = 150
) -> tuple[Comparison, Evidence]:
    comparison = compare_arms(results, large.METRICS, seed=seed, draws=draws)
    return comparison, gather_evidence(results, comparison, large.METRICS, seed=seed)


def _sealed(results: Results) -> Results:
    tests = [name for name in results.cells.columns if name.startswith("metric.test.")]
    return replace(
        results,
        cells=results.cells.drop(columns=tests),
        predictions={},
        labels=None,
        tags={},
        embargoed=True,
    )


def test_everything_is_there_where_everything_was_asked(large: ModuleType) -> None:
    _, evidence = _all(large, _small(large))
    assert evidence.effects is not None and len(evidence.effects.factors) == 3
    assert len(evidence.shapley) == 3 and len(evidence.path) == 4 and len(evidence.matrices) == 3
    assert {one.arm for one in evidence.anytime} == {one.arm for one in evidence.learning}
    assert len(evidence.tuning) == 9 * 14
    assert evidence.slices and evidence.importance
    assert set(evidence.declined) <= {"expected", "importance", "datasets"}
    assert "there is 1" in evidence.declined["datasets"]


def _unordered(evidence: Evidence) -> dict[str, Any]:
    """What an order of arms may show in, sorted by arm; the rest as it is."""
    found = asdict(evidence)
    for name in ("importance", "anytime", "expected", "slices", "learning", "tuning", "frozen"):
        found[name] = sorted(found[name], key=repr)
    found["matrices"] = sorted((_cells_of(m) for m in evidence.matrices), key=repr)
    found["declined"] = sorted(name for name in evidence.declined)
    return found


def _cells_of(matrix: Matrix) -> list[Any]:
    return sorted(
        (arm or "", mean or 0.0)
        for arms, means in zip(matrix.arms, matrix.means, strict=True)
        for arm, mean in zip(arms, means, strict=True)
    )


@QUICK
@given(seed=st.integers(0, 10_000))
def test_order_and_keys_change_no_digit(large: ModuleType, planted: ModuleType, seed: int) -> None:
    results = _small(large, seed=seed % 3)
    first, before = _all(large, results)
    rng = np.random.default_rng(seed)
    for other in (planted.shuffled(results, rng), planted.renamed(results)):
        second, after = _all(large, other)
        for arm in results.facts.arms:
            for name in large.METRICS:
                assert second.estimate_of(arm, name) == first.estimate_of(arm, name)
        assert _unordered(after) == _unordered(before)


def test_the_same_seed_gives_the_same_digits_and_another_others(large: ModuleType) -> None:
    results = _small(large)
    assert _all(large, results) == _all(large, results)
    (first, before), (second, after) = _all(large, results), _all(large, results, seed=1)
    assert first.estimates != second.estimates and before.slices != after.slices
    assert [e.mean for e in first.estimates] == [e.mean for e in second.estimates]


def test_an_arm_has_the_same_digits_in_a_smaller_study(large: ModuleType) -> None:
    results = _small(large)
    kept = tuple(results.facts.arms[i] for i in (0, 2, 5))
    cells = results.cells[results.cells["arm"].isin(kept)]
    keys = set(cells["key"])
    part = replace(
        results,
        facts=replace(results.facts, arms=kept),
        cells=cells,
        predictions={k: v for k, v in results.predictions.items() if k in keys},
        curves={k: v for k, v in results.curves.items() if k in keys},
    )
    (whole, all_of_it), (small, some) = _all(large, results), _all(large, part)
    for arm in kept:
        for name in large.METRICS:
            one, other = small.estimate_of(arm, name), whole.estimate_of(arm, name)
            assert replace(one, p_holm=None, verdict=None) == replace(
                other, p_holm=None, verdict=None
            )
    assert set(some.importance) <= set(all_of_it.importance)
    assert set(some.slices) <= set(all_of_it.slices)


def test_sealed_results_show_tuning_and_nothing_of_the_test(large: ModuleType) -> None:
    claim = StatedClaim(
        text="x", arm="A", relation="better", other="none", metric="mae", amount=0.0
    )
    results = _sealed(_small(large, claims=(claim,)))
    comparison, evidence = _all(large, results)
    assert {e.n for e in comparison.estimates} == {0}
    assert all(e.no_result for e in comparison.estimates)
    assert not any("undefined" in note for note in comparison.notes)
    (answer,) = comparison.claims
    assert answer.verdict == "undecided" and "sealed" in answer.reason
    assert evidence.effects is None
    assert evidence.shapley == evidence.path == evidence.matrices == evidence.slices == ()
    assert len(evidence.tuning) == 9 * 14 and evidence.anytime and evidence.importance
    assert evidence.learning  # validation curves
    for name in ("effects", "shapley", "path"):
        assert "sealed" in evidence.declined[name]


def test_a_study_without_any_cell_has_no_evidence_and_no_error(large: ModuleType) -> None:
    results = _small(large)
    empty = replace(results, cells=results.cells.iloc[:0], predictions={}, labels=None, curves={})
    comparison, evidence = _all(large, replace(empty, tags={}))
    assert all(e.no_result for e in comparison.estimates)
    assert evidence.tuning == () and evidence.effects is None
    assert "fewer than two arms" in evidence.declined["effects"]
    assert evidence.declined["importance"] == "nothing was tuned"


def test_without_a_design_nobody_asked_for_effects(large: ModuleType) -> None:
    _, evidence = _all(large, _small(large, levels={}))
    assert evidence.effects is None and evidence.matrices == ()
    assert not {"effects", "shapley", "path"} & set(evidence.declined)


def test_an_arm_whose_cells_all_failed_has_no_result_and_is_not_undecided(
    large: ModuleType,
) -> None:
    results = _small(large)
    arm = results.facts.arms[3]
    lost = (results.cells["arm"] == arm) & (results.cells["phase"] == "confirm")
    cells = results.cells.assign(status=results.cells["status"].mask(lost, "failed"))
    tests = [name for name in cells.columns if name.startswith("metric.test.")]
    cells.loc[lost, tests] = np.nan
    kept = {k: v for k, v in results.predictions.items() if k not in set(cells[lost]["key"])}
    comparison, evidence = _all(large, replace(results, cells=cells, predictions=kept))
    estimate = comparison.estimate_of(arm, "mae")
    assert estimate.no_result and estimate.outcome == "no result"
    other = comparison.estimate_of(results.facts.arms[1], "mae")
    assert not other.no_result and other.outcome == other.verdict
    assert comparison.estimate_of(results.facts.baseline, "mae").outcome == "baseline"
    assert comparison.estimate_of(results.facts.arms[1], "corr").outcome == ""
    assert arm in evidence.declined["effects"] and arm in evidence.declined["shapley"]
    assert not any(s.arm == arm for s in evidence.slices)
    assert len(comparison.failures) == 5


def test_a_row_with_another_budget_is_marked(large: ModuleType) -> None:
    results = _small(large)
    arm = results.facts.arms[2]
    cells = results.cells
    cut = (cells["arm"] == arm) & (cells["phase"] == "tune") & (cells["candidate"] > 6)
    comparison, _ = _all(large, replace(results, cells=cells[~cut]))
    assert [row.arm for row in comparison.fairness if row.unequal] == [arm]
    assert comparison.unequal_budgets
    given = replace(results.facts, device_seconds=14 * 30.0)
    seconds = cells["metric.seconds"].where(cells["phase"] != "tune", 30.0)
    alike = replace(results, facts=given, cells=cells.assign(**{"metric.seconds": seconds}))
    assert not _all(large, alike)[0].unequal_budgets
    longer = seconds.where(cells["arm"] != arm, 40.0)
    unlike = replace(alike, cells=cells.assign(**{"metric.seconds": longer}))
    assert [row.arm for row in _all(large, unlike)[0].fairness if row.unequal] == [arm]


def test_a_stored_value_that_predictions_do_not_give_is_noted_by_the_first_key(
    large: ModuleType,
) -> None:
    results = _small(large)
    wrong = results.cells["key"].isin(["c2-1", "c1-4"])
    cells: pd.DataFrame = results.cells.copy()
    cells.loc[wrong, "metric.test.acc7"] = 0.99
    comparison, _ = _all(large, replace(results, cells=cells))
    (note,) = [note for note in comparison.notes if note.startswith("acc7:")]
    assert "of 2 cells" in note and "c1-4 (0.99 stored" in note


def test_terms_of_a_cell_are_made_once_and_of_one_more_to_see_their_size(
    large: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = _small(large)
    asked: list[str] = []
    real = pair_intervals.two_level_intervals

    def counting(contrasts: Any, terms: Any, *rest: Any, **options: Any) -> Any:
        def ask(key: str) -> Any:
            asked.append(key)
            return terms(key)

        return real(contrasts, ask, *rest, **options)

    monkeypatch.setattr(pair_intervals, "two_level_intervals", counting)
    compare_arms(results, large.METRICS, seed=0, draws=20)
    assert len(set(asked)) == 45 and len(asked) == 46
