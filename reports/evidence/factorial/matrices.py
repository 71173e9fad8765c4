"""Two factors against each other, with everything else alike."""

import itertools
from collections.abc import Mapping

import numpy as np

from reports.evidence.factorial.factors import OFF, ON, SeedValues, same_factors
from reports.evidence.values import Matrix, Number
from reports.results import StudyFacts

MOST = 4  # matrices; the most informative ones
MOST_LEVELS = 40  # of a side
BESIDE = " + "
NOTHING = "none"

Entry = tuple[str, str, str]  # level of the row, level of the column, arm


def factor_matrices(facts: StudyFacts, seed_values: SeedValues) -> tuple[Matrix, ...]:
    """Up to four matrices of means of the primary test metric, the most informative first.

    Where one factor (say the fusion) is crossed with all combinations of several others (say the
    modality pairs), these together are the rows. Beyond that, each two factors whose combinations
    were all planned while the others stay at the same levels: those with the most cells first, and
    among these the least additive.

    Args:
        facts: of the study.
        seed_values: of the primary test metric.
    """
    arms = same_factors(facts)
    if not arms:
        return ()
    levels = {arm: facts.levels[arm] for arm in arms}
    first = levels[facts.baseline if facts.baseline in levels else min(levels)]
    factors = [name for name in first if len({own[name] for own in levels.values()}) > 1]
    crossed = _crossed(factors, levels, seed_values)
    shown = {matrix.column_factor for matrix in crossed}  # whose matrices are parts of it
    simple = [
        matrix
        for row, column in itertools.combinations(factors, 2)
        if not shown & {row, column}
        and (matrix := _of_two(row, column, factors, levels, first, seed_values)) is not None
    ]
    simple.sort(key=lambda m: (-len(m.rows) * len(m.columns), -_interplay(m)))
    return tuple([*crossed, *simple][:MOST])


def _crossed(
    factors: list[str], levels: Mapping[str, Mapping[str, str]], seed_values: SeedValues
) -> list[Matrix]:
    """The factor with the most levels against all others together, if there are at least two."""
    if len(factors) < 3:
        return []
    sizes = {name: len({own[name] for own in levels.values()}) for name in factors}
    column = max(factors, key=lambda name: sizes[name])
    others = [name for name in factors if name != column]
    if sizes[column] < 3:
        return []
    entries = [
        (_together({name: own[name] for name in others}), own[column], arm)
        for arm, own in levels.items()
    ]
    matrix = _matrix(BESIDE.join(others), column, entries, (), seed_values)
    return [matrix] if matrix else []


def _together(levels: Mapping[str, str]) -> str:
    """`TA + TV` of components that are on; other levels with their factor's name."""
    parts = [
        name if level == ON else f"{name} {level}" for name, level in levels.items() if level != OFF
    ]
    return BESIDE.join(parts) or NOTHING


def _of_two(
    row: str,
    column: str,
    factors: list[str],
    levels: Mapping[str, Mapping[str, str]],
    first: Mapping[str, str],
    seed_values: SeedValues,
) -> Matrix | None:
    """The largest matrix of two factors; of equal ones that with the baseline, then the first."""
    others = [name for name in factors if name not in (row, column)]
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for arm, own in levels.items():
        state = tuple(own[name] for name in others)
        groups.setdefault(state, []).append((own[row], own[column], arm))
    of_first = tuple(first[name] for name in others)
    for state in sorted(groups, key=lambda s: (-len(groups[s]), s != of_first, s)):
        beside = tuple(f"{name}: {level}" for name, level in zip(others, state, strict=True))
        if matrix := _matrix(row, column, groups[state], beside, seed_values):
            return matrix
    return None


def _matrix(
    row: str, column: str, entries: list[Entry], beside: tuple[str, ...], seed_values: SeedValues
) -> Matrix | None:
    """A matrix, if every combination was planned and something of it was measured."""
    rows = _ordered([entry[0] for entry in entries])
    columns = _ordered([entry[1] for entry in entries])
    arms = {entry[:2]: entry[2] for entry in entries}
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


def _ordered(levels: list[str]) -> tuple[str, ...]:
    """Each once, as they come, what is off before all."""
    return tuple(sorted(dict.fromkeys(levels), key=lambda level: level not in (OFF, NOTHING)))


def _interplay(matrix: Matrix) -> float:
    """How far the means are from a sum of a row's and a column's part; 0 where some are missing."""
    known: list[Number] = [mean for line in matrix.means for mean in line]
    if any(mean is None for mean in known):
        return 0.0
    means = np.array(matrix.means, dtype=np.float64)
    parts = means.mean(axis=0, keepdims=True) + means.mean(axis=1, keepdims=True) - means.mean()
    return float(np.abs(means - parts).max())
