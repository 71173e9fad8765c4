"""Greedy path from all factors off to all on, over arms that were really trained."""

import numpy as np

from reports.evidence.factorial.factors import TwoLevelDesign
from reports.evidence.statistics.paired import ALPHA, bca_interval, holm_correction, sign_flip_p
from reports.evidence.values import PathStep
from reports.evidence.verdicts import Declined
from reports.results import FloatArray


def ablation_path(
    design: TwoLevelDesign, *, higher_is_better: bool, seed: int
) -> tuple[PathStep, ...] | Declined:
    """Switch on one factor at a time, each time the one that helps most.

    A step chooses among the arms that were trained, are one factor further, and from which the end
    can still be reached. It is a race over the seeds that all arms share: the arm with the best
    mean leads, and those that are worse than it by a sign-flip test of their paired differences
    (Holm-corrected over the step, p <= .05) fall out. The leader is the step; if others are left
    beside it, the seeds do not tell them apart.

    Args:
        design: Design with its values; arms that were not trained may be missing.
        higher_is_better: Direction of the metric.
        seed: Seed of intervals, and of tests that are sampled.
    """
    # All seeds are trained by now, so a race has one look with all of them: to drop arms earlier
    # would save nothing, and repeated tests would need a correction.
    rows = {tuple(row): index for index, row in enumerate(design.signs.astype(int).tolist())}
    begin, end = tuple([-1] * len(design.factors)), tuple([1] * len(design.factors))
    for state, named in ((begin, "off"), (end, "on")):
        if state not in rows:
            return Declined(
                f"no arm in which all of {', '.join(design.factors)} are {named} has a value"
            )
    reaching = _states_reaching(end, set(rows))
    if begin not in reaching:
        return Declined(
            "no chain of measured arms, one factor further each, leads from all off to all on"
        )
    gains = design.values if higher_is_better else -design.values
    steps = [_make_step(design, rows[begin], None, "", 0, 0, seed)]
    state = begin
    while state != end:
        ahead = [(index, after) for index, after in _next_states(state) if after in reaching]
        best, left = race_arms(gains[[rows[after] for _, after in ahead]], seed)
        index, after = ahead[best]
        flip = f"{design.factors[index]}: {design.levels[index][1]}"
        steps.append(_make_step(design, rows[after], rows[state], flip, len(ahead), left, seed))
        state = after
    return tuple(steps)


def race_arms(gains: FloatArray, seed: int) -> tuple[int, int]:
    """Return the row with the best mean, and the number of rows not shown to be worse, with it.

    Args:
        gains: Gains [candidates, seeds]; higher is better.
        seed: Seed of tests that are sampled.
    """
    best = int(np.argmax(gains.mean(axis=1)))
    others = [row for row in range(len(gains)) if row != best]
    p_values = [sign_flip_p(gains[best] - gains[row], seed) or 0.0 for row in others]
    return best, 1 + sum(p > ALPHA for p in holm_correction(p_values))


def _next_states(state: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """Return every factor that is off, as its index, with the state in which it is on."""
    return [
        (index, (*state[:index], 1, *state[index + 1 :]))
        for index, sign in enumerate(state)
        if sign < 0
    ]


def _states_reaching(end: tuple[int, ...], known: set[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """Return the known states from which a chain of known states leads to the end."""
    found = {end}
    # A state with more factors on is decided before those with fewer.
    for state in sorted(known, key=sum, reverse=True):
        if any(after in found for _, after in _next_states(state)):
            found.add(state)
    return found


def _make_step(
    design: TwoLevelDesign,
    row: int,
    before: int | None,
    flip: str,
    considered: int,
    left: int,
    seed: int,
) -> PathStep:
    values = design.values[row]
    differences = None if before is None else values - design.values[before]
    low, high = (
        (None, None) if differences is None else bca_interval(differences, seed) or (None, None)
    )
    return PathStep(
        arm=design.arms[row],
        flip=flip,
        mean=float(values.mean()),
        delta=None if differences is None else float(differences.mean()),
        low=low,
        high=high,
        considered=considered,
        left=left,
    )
