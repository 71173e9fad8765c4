"""Matrices of two factors, with all other factors at the same levels."""

import itertools
from collections.abc import Mapping

import numpy as np

from reports.evidence.factorial.factors import OFF, ON, SeedValues, arms_of_design
from reports.evidence.values import Matrix, Number
from reports.results import StudyFacts

MOST_MATRICES = 4  # in a report; the most informative ones
MOST_LEVELS = 40  # per side
BESIDE = " + "
NOTHING = "none"

Entry = tuple[str, str, str]  # level of the row, level of the column, arm


def factor_matrices(facts: StudyFacts, seed_values: SeedValues) -> tuple[Matrix, ...]:
    """Make up to four matrices of means of the primary test metric, the most informative first.

    Where one factor (say the fusion) is crossed with all combinations of several others (say the
    modality pairs), these together are the rows. Beyond that, each two factors whose combinations
    were all planned while the others stay at the same levels: those with the most cells first, and
    among these the least additive.

    Args:
        facts: Facts of the study.
        seed_values: Arm -> seed -> value of the primary test metric.
    """
    arms = arms_of_design(facts)
    if not arms:
        return ()
    levels = {arm: facts.levels[arm] for arm in arms}
    first = levels[facts.baseline if facts.baseline in levels else min(levels)]
    factors = [name for name in first if len({own[name] for own in levels.values()}) > 1]
    crossed = _crossed_matrices(factors, levels, seed_values)
    shown = {matrix.column_factor for matrix in crossed}  # whose matrices are parts of it
    simple = [
        matrix
        for row, column in itertools.combinations(factors, 2)
        if not shown & {row, column}
        and (matrix := _matrix_of_two(row, column, factors, levels, first, seed_values)) is not None
    ]
    simple.sort(key=lambda m: (-len(m.rows) * len(m.columns), -_non_additivity(m)))
    return tuple([*crossed, *simple][:MOST_MATRICES])


def _crossed_matrices(
    factors: list[str], levels: Mapping[str, Mapping[str, str]], seed_values: SeedValues
) -> list[Matrix]:
    """Cross the factor with the most levels with all others together, of at least two others."""
    if len(factors) < 3:
        return []
    sizes = {name: len({own[name] for own in levels.values()}) for name in factors}
    # With fewer than three levels the crossed factor is a switch like the others.
    column = max(factors, key=lambda name: sizes[name])
    others = [name for name in factors if name != column]
    if sizes[column] < 3:
        return []
    entries = [
        (_joint_level({name: own[name] for name in others}), own[column], arm)
        for arm, own in levels.items()
    ]
    matrix = _build_matrix(BESIDE.join(others), column, entries, (), seed_values)
    return [matrix] if matrix else []


def _joint_level(levels: Mapping[str, str]) -> str:
    """Name a combination: `TA + TV` of components that are on; other levels with their factor."""
    parts = [
        name if level == ON else f"{name} {level}" for name, level in levels.items() if level != OFF
    ]
    return BESIDE.join(parts) or NOTHING


def _matrix_of_two(
    row: str,
    column: str,
    factors: list[str],
    levels: Mapping[str, Mapping[str, str]],
    first: Mapping[str, str],
    seed_values: SeedValues,
) -> Matrix | None:
    """Make the largest matrix of two factors; of equal ones the baseline's, or else the first."""
    others = [name for name in factors if name not in (row, column)]
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for arm, own in levels.items():
        state = tuple(own[name] for name in others)
        groups.setdefault(state, []).append((own[row], own[column], arm))
    of_first = tuple(first[name] for name in others)
    for state in sorted(groups, key=lambda s: (-len(groups[s]), s != of_first, s)):
        beside = tuple(f"{name}: {level}" for name, level in zip(others, state, strict=True))
        if matrix := _build_matrix(row, column, groups[state], beside, seed_values):
            return matrix
    return None


def _build_matrix(
    row: str, column: str, entries: list[Entry], beside: tuple[str, ...], seed_values: SeedValues
) -> Matrix | None:
    """Make a matrix if every combination was planned and some of it was measured."""
    rows = _order_levels([entry[0] for entry in entries])
    columns = _order_levels([entry[1] for entry in entries])
    arms = {entry[:2]: entry[2] for entry in entries}
    # Two arms in one entry differ in something else, so neither stands for the entry.
    whole = len(arms) == len(entries) == len(rows) * len(columns)
    if not whole or min(len(rows), len(columns)) < 2 or max(len(rows), len(columns)) > MOST_LEVELS:
        return None
    means = {arm: float(np.mean(list(v.values()))) for arm, v in seed_values.items() if v}
    if not any(arm in means for arm in arms.values()):
        return None
    measured = [
        [arm if (arm := arms[one, other]) in means else None for other in columns] for one in rows
    ]
    return Matrix(
        row_factor=row,
        column_factor=column,
        rows=rows,
        columns=columns,
        arms=tuple(tuple(line) for line in measured),
        means=tuple(tuple(means[a] if a else None for a in line) for line in measured),
        beside=beside,
    )


def _order_levels(levels: list[str]) -> tuple[str, ...]:
    """Return each level once, in its order, with what is off first."""
    return tuple(sorted(dict.fromkeys(levels), key=lambda level: level not in (OFF, NOTHING)))


def _non_additivity(matrix: Matrix) -> float:
    """Return the largest distance of a mean from row part plus column part; 0 if one is missing."""
    known: list[Number] = [mean for line in matrix.means for mean in line]
    if any(mean is None for mean in known):
        return 0.0
    means = np.array(matrix.means, dtype=np.float64)
    parts = means.mean(axis=0, keepdims=True) + means.mean(axis=1, keepdims=True) - means.mean()
    return float(np.abs(means - parts).max())
