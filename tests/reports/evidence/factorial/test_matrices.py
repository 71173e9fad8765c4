from types import ModuleType
from typing import Any

import pytest

from msa_core.config.schema import Config
from msa_core.core import CORE
from reports.evidence.factorial.matrices import factor_matrices
from reports.evidence.values import Matrix
from spaces.designs.make_arms import Arm, Component, Factor, Part, add_one_in, grid, pairs, product

FUSIONS = ("concat", "sum", "tfn", "lmf")


def _matrices(planted: ModuleType, arms: list[Arm], **values: list[float]) -> tuple[Matrix, ...]:
    measured: dict[str, Any] = {
        arm.name: [float(place), float(place) + 1] for place, arm in enumerate(arms)
    } | values
    levels = {arm.name: dict(arm.levels) for arm in arms}
    facts = planted.facts_of(list(levels), levels=levels)
    return factor_matrices(
        facts, {arm: dict(enumerate(own)) for arm, own in measured.items() if own}
    )


def _crossed() -> list[Arm]:
    """The arms of the shipped study fusion-pairs, with half of its fusions."""
    fusion = Factor(name="fusion", levels=tuple(Part(name=n, changes={}) for n in FUSIONS))
    components = [
        Component(name=n, on=Part(name=n, changes={}), off=Part(name=n, changes={}))
        for n in ("TA", "TV", "AV")
    ]
    return product(Config, [grid(Config, [fusion]), add_one_in(components, "no pair")])


def test_fusions_are_crossed_with_all_pairs_together(planted: ModuleType) -> None:
    arms = _crossed()
    (matrix,) = _matrices(planted, arms)
    assert (matrix.row_factor, matrix.column_factor) == ("TA + TV + AV", "fusion")
    assert matrix.rows == ("none", "TA", "TV", "AV")
    assert matrix.columns == FUSIONS
    names = {arm.name: place for place, arm in enumerate(arms)}
    for row, own in zip(matrix.rows, matrix.arms, strict=True):
        for column, arm in zip(matrix.columns, own, strict=True):
            assert arm is not None and column in arm
            assert ("no pair" if row == "none" else f"with {row}") in arm
    for own_arms, own_means in zip(matrix.arms, matrix.means, strict=True):
        assert [names[arm or ""] + 0.5 for arm in own_arms] == list(own_means)


def test_an_arm_without_a_result_leaves_a_gap(planted: ModuleType) -> None:
    arms = _crossed()
    (matrix,) = _matrices(planted, arms, **{arms[5].name: []})
    gaps = [mean is None for line in matrix.means for mean in line]
    assert sum(gaps) == 1
    assert sum(arm is None for line in matrix.arms for arm in line) == 1


def test_two_levels_are_paired_with_the_others_as_in_the_baseline(planted: ModuleType) -> None:
    arms = pairs(CORE.groups, ("off", "shared"), (), ("text_audio", "text_vision", "audio_vision"))
    matrices = _matrices(planted, arms)
    assert {(m.row_factor, m.column_factor) for m in matrices} == {
        ("TA", "TV"),
        ("TA", "AV"),
        ("TV", "AV"),
    }
    for matrix in matrices:
        assert matrix.rows == matrix.columns == ("off", "shared")
        (beside,) = matrix.beside
        assert beside.endswith(": off")
        assert matrix.arms[0][0] == "no pair"


def test_the_least_additive_of_equal_matrices_comes_first(planted: ModuleType) -> None:
    levels = planted.factorial_levels("ABC")
    facts = planted.facts_of(list(levels), levels=levels)
    values = planted.played(levels, lambda on: float({"B", "C"} <= on), seeds=2)
    first, *_ = factor_matrices(facts, {arm: dict(enumerate(v)) for arm, v in values.items()})
    assert (first.row_factor, first.column_factor) == ("B", "C")


def test_three_modes_of_three_pairs_are_one_pair_against_the_others(planted: ModuleType) -> None:
    arms = pairs(
        CORE.groups, ("off", "shared", "private"), (), ("text_audio", "text_vision", "audio_vision")
    )
    assert len(arms) == 27
    first, other = _matrices(planted, arms)
    assert (len(first.rows), len(first.columns)) == (9, 3)
    assert first.rows[0] == "none" and "TV shared + AV private" in first.rows
    assert (other.row_factor, other.column_factor, other.beside) == ("TV", "AV", ("TA: off",))


@pytest.mark.parametrize("design", ["leave one out", "none"])
def test_where_combinations_were_not_planned_there_is_no_matrix(
    planted: ModuleType, design: str
) -> None:
    levels = {"full": {"A": "on", "B": "on"}, "a": {"A": "off", "B": "on"}}
    levels["b"] = {"A": "on", "B": "off"}
    facts = planted.facts_of(list(levels), levels=levels if design != "none" else {})
    assert factor_matrices(facts, {arm: {0: 1.0} for arm in levels}) == ()
    assert factor_matrices(planted.facts_of(["x"]), {}) == ()
