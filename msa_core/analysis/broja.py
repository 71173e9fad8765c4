"""The joint table whose label is least predictable, given both unimodal tables.

Among all joint tables q(x1, x2, y) that keep p(x1, y) and p(x2, y), find the one that maximises
H_q(Y | X1, X2): a concave problem. The information about the label in p beyond that table is
synergy (`msa_core.analysis.pid`).

Solved by a primal-dual interior-point method, many tables at once, from a strictly interior
start: p(x1, y) p(x2, y) / p(y). An answer is never taken on trust. The dual problem is

    max  sum a(x1, y) p(x1, y) + sum b(x2, y) p(x2, y)
    subject to  sum_y exp(a(x1, y) + b(x2, y)) <= 1  for every x1, x2,

so any a and b, shifted until they satisfy that, bound the entropy from above, and any q with the
right tables bounds it from below. The distance of the two bounds is the answer's certificate.

Shape suffixes: R tables; X, Z, Y values of the first modality, the second one and the label;
C constraints of a table, (X + Z) Y.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Values = NDArray[np.float64]
MAX_STEPS = 200
START = 0.1  # complementarity of the first step
SHRINK = 0.3  # of the complementarity, aimed at in a step
TO_BOUNDARY = 0.99
NEGLIGIBLE = 1e-15  # a probability that is only rounding
RIDGE = 1e-14  # beside a unit diagonal
CHUNK_NUMBERS = 1_000_000  # of the largest arrays of the tables solved together


class NotConvergedError(ArithmeticError):
    """A certificate that is worse than was asked for."""


@dataclass(frozen=True, slots=True)
class Optima:
    """The joints with the least predictable label, of R tables.

    Attributes:
        joints: Tables [R, X, Z, Y], with the given unimodal tables up to rounding.
        entropy: H_q(Y | X1, X2) of the joints in bits, [R].
        gap: Certificate in bits, [R]; the maximum lies between entropy and entropy + gap.
    """

    joints: Values
    entropy: Values
    gap: Values


def least_predictable(joints_RXZY: Values, tolerance: float) -> Optima:
    """Maximise H_q(Y | X1, X2) over the joints with the same p(x1, y) and p(x2, y).

    Args:
        joints_RXZY: Tables of probabilities; each sums to 1.
        tolerance: Gap at which a table is finished, in bits. Below about 1e-9 rounding decides.

    Raises:
        NotConvergedError: a table's gap is still more than ten times the tolerance.
    Source: the problem is that of Bertschinger et al. 2014 (BROJA), its dual after Makkeh et al.
        2017.
    """
    tables, x, z, y = joints_RXZY.shape
    tables_RXZY = np.where(joints_RXZY < NEGLIGIBLE, 0.0, joints_RXZY)
    # The normal equations have ((X + Z) Y)^2 numbers per table: all tables at once would not
    # fit in memory, one by one would take NumPy's overhead for each.
    size = max(1, CHUNK_NUMBERS // (((x + z) * y) ** 2 + x * z * y * (y + 12)))
    parts = [
        _solve_chunk(tables_RXZY[start : start + size], tolerance * math.log(2))
        for start in range(0, tables, size)
    ]
    found = Optima(
        joints=np.concatenate([part.joints for part in parts]),
        entropy=np.concatenate([part.entropy for part in parts]) / math.log(2),
        gap=np.concatenate([part.gap for part in parts]) / math.log(2),
    )
    worst = int(found.gap.argmax())
    # Written so that a gap of NaN is refused too.
    if not found.gap[worst] <= 10.0 * tolerance:
        raise NotConvergedError(
            f"table {worst} of {tables}, of {x} x {z} x {y} values: the optimum is known to "
            f"{found.gap[worst]:.1e} bits only, but {10.0 * tolerance:.1e} were asked for; use "
            "fewer bins or a larger tolerance"
        )
    return found


@dataclass(slots=True)
class _Problem:
    """Unimodal tables [R, X, Y] and [R, Z, Y] and the cells [R, X, Z, Y] that can hold mass."""

    first: Values
    second: Values
    there: NDArray[np.bool_]

    @staticmethod
    def from_joints(joints_RXZY: Values) -> "_Problem":
        first, second = joints_RXZY.sum(axis=2), joints_RXZY.sum(axis=1)
        there = (first > 0.0)[:, :, np.newaxis] & (second > 0.0)[:, np.newaxis]
        return _Problem(first, second, there)

    def select_tables(self, rows: NDArray[Any]) -> "_Problem":
        return _Problem(self.first[rows], self.second[rows], self.there[rows])


@dataclass(slots=True)
class _Iterate:
    """Where the method is: q and its slack [R, X, Z, Y], the duals a [R, X, Y], b [R, Z, Y]."""

    joint: Values
    slack: Values
    first: Values
    second: Values

    @staticmethod
    def interior_start(problem: _Problem) -> "_Iterate":
        joint = conditional_product(problem.first, problem.second)
        cells = np.maximum(problem.there.sum(axis=(1, 2, 3), keepdims=True), 1)
        slack = _masked_ratio(START / cells, joint, problem.there)
        return _Iterate(joint, slack, np.zeros_like(problem.first), np.zeros_like(problem.second))

    def select_tables(self, rows: NDArray[Any]) -> "_Iterate":
        return _Iterate(self.joint[rows], self.slack[rows], self.first[rows], self.second[rows])


def _solve_chunk(joints_RXZY: Values, tolerance: float) -> Optima:
    """Solve `least_predictable` for one chunk, in nats and whatever its gap."""
    problem = _Problem.from_joints(joints_RXZY)
    iterate = _Iterate.interior_start(problem)
    best = Optima(
        joints=iterate.joint.copy(),
        entropy=np.full(len(joints_RXZY), -np.inf),
        gap=np.full(len(joints_RXZY), np.inf),
    )
    bound_R = np.full(len(joints_RXZY), np.inf)
    running = np.arange(len(joints_RXZY))
    for _ in range(MAX_STEPS):
        _keep_better(best, bound_R, running, problem, iterate)
        # `<=` negated: a gap of NaN keeps its table running, and so is found in the end.
        left = ~(best.gap[running] <= tolerance)
        running, problem, iterate = (
            running[left],
            problem.select_tables(left),
            iterate.select_tables(left),
        )
        if not running.size:
            break
        _newton_step(problem, iterate)
    return best


def conditional_product(first_RXY: Values, second_RZY: Values) -> Values:
    """Return p(x1, y) p(x2, y) / p(y), [R, X, Z, Y]: positive wherever a joint can be.

    Args:
        first_RXY: Table `p(x1, y)`.
        second_RZY: Table `p(x2, y)`, with the same p(y).
    """
    label_RY = first_RXY.sum(axis=1)
    scaled_RXY = first_RXY * _masked_ratio(1.0, label_RY, label_RY > 0.0)[:, np.newaxis]
    return scaled_RXY[:, :, np.newaxis] * second_RZY[:, np.newaxis]


def _masked_ratio(above: Values | float, below: Values, where: NDArray[np.bool_]) -> Values:
    """Divide where asked for, with 0 elsewhere; shaped like `where`."""
    return np.divide(above, below, out=np.zeros(where.shape), where=where)


# --- The certificate.


def _keep_better(
    best: Optima,
    bound_R: Values,
    running: NDArray[np.int64],
    problem: _Problem,
    iterate: _Iterate,
) -> None:
    """Update, in place, what is known of the tables that still run."""
    # The iterate has its tables in the limit only; an entropy counts as a lower bound when it is
    # that of a joint that has them exactly.
    joint = _with_tables(iterate.joint, problem)
    entropy_R = -(joint * _log_conditional(joint)).sum(axis=(1, 2, 3))
    better = entropy_R > best.entropy[running]
    best.joints[running[better]] = joint[better]
    best.entropy[running[better]] = entropy_R[better]
    # The best upper and the best lower bound need not be of the same step. `fmin` skips a NaN.
    bound_R[running] = np.fmin(bound_R[running], _entropy_bound(problem, iterate))
    best.gap[running] = np.maximum(bound_R[running] - best.entropy[running], 0.0)


def _log_conditional(joint_RXZY: Values) -> Values:
    """Return the logarithm of q(y | x1, x2); 0 where q is 0."""
    pair = joint_RXZY.sum(axis=3, keepdims=True)
    there = joint_RXZY > 0.0
    return np.log(np.where(there, _masked_ratio(joint_RXZY, pair, there), 1.0))


def _entropy_bound(problem: _Problem, iterate: _Iterate) -> Values:
    """Bound H_q(Y | X1, X2) from above by the present duals, in nats: [R]."""
    exponent = iterate.first[:, :, np.newaxis] + iterate.second[:, np.newaxis]
    # Of a row x1 all duals are lowered by the same number, so that its constraints hold.
    excess_RX = logsumexp(np.where(problem.there, exponent, -np.inf), axis=3).max(axis=2)
    row_RX = problem.first.sum(axis=2)
    lowered_R = (row_RX * np.where(row_RX > 0.0, excess_RX, 0.0)).sum(axis=1)
    value_R = (iterate.first * problem.first).sum(axis=(1, 2)) + (
        iterate.second * problem.second
    ).sum(axis=(1, 2))
    bound: Values = lowered_R - value_R
    return bound


def _with_tables(joint: Values, problem: _Problem) -> Values:
    """Return a joint close to this one that has the given tables, up to rounding.

    What is too much is scaled down, by x1 and then by x2; what is then missing is spread as a
    product. Source: Altschuler et al. 2017, algorithm 2.
    """
    joint = joint * _at_most_one(problem.first, joint.sum(axis=2))[:, :, np.newaxis]
    joint = joint * _at_most_one(problem.second, joint.sum(axis=1))[:, np.newaxis]
    return joint + conditional_product(
        np.maximum(problem.first - joint.sum(axis=2), 0.0),
        np.maximum(problem.second - joint.sum(axis=1), 0.0),
    )


def _at_most_one(wanted: Values, found: Values) -> Values:
    return np.divide(wanted, found, out=np.ones_like(wanted), where=found > wanted)


# --- The step.


def _newton_step(problem: _Problem, iterate: _Iterate) -> None:
    """Take one damped Newton step, in place, towards a smaller complementarity q x slack."""
    joint, slack, there = iterate.joint, iterate.slack, problem.there
    cells = np.maximum(there.sum(axis=(1, 2, 3), keepdims=True), 1)
    aim = SHRINK * (joint * slack).sum(axis=(1, 2, 3), keepdims=True) / cells
    dual = iterate.first[:, :, np.newaxis] + iterate.second[:, np.newaxis]
    wanted = np.where(there, _masked_ratio(aim, joint, there) + dual - _log_conditional(joint), 0.0)
    # The Hessian of the cells of one (x1, x2) is diag((1 + slack) / q) - 11' / q(x1, x2).
    weight = joint / (1.0 + slack)
    # Its inverse is written out (Sherman and Morrison), since it has rank one beside a diagonal.
    rest = (weight * slack).sum(axis=3, keepdims=True)
    spread = _masked_ratio(1.0, rest, rest > 0.0)

    def inverse_hessian(right: Values) -> Values:
        scaled: Values = weight * right
        along: Values = scaled.sum(axis=3, keepdims=True) * spread
        return scaled + weight * along

    free = inverse_hessian(wanted)
    first, second = _dual_step(
        weight,
        spread,
        problem.first - joint.sum(axis=2) - free.sum(axis=2),
        problem.second - joint.sum(axis=1) - free.sum(axis=1),
    )
    change = free + inverse_hessian(first[:, :, np.newaxis] + second[:, np.newaxis])
    slack_change = np.where(there, _masked_ratio(aim - slack * change, joint, there) - slack, 0.0)
    length = np.minimum(_longest_step(joint, change), _longest_step(slack, slack_change))
    iterate.joint = joint + length * change
    iterate.slack = slack + length * slack_change
    iterate.first = iterate.first + length[..., 0] * first
    iterate.second = iterate.second + length[..., 0] * second


def _longest_step(values: Values, change: Values) -> Values:
    """Return the longest step <= 1 that keeps every value positive: [R, 1, 1, 1]."""
    limit = np.divide(-values, change, out=np.full_like(values, np.inf), where=change < 0.0)
    nearest: Values = limit.min(axis=(1, 2, 3), keepdims=True)
    return np.minimum(1.0, TO_BOUNDARY * nearest)


def _dual_step(
    weight: Values, spread: Values, missing_RXY: Values, missing_RZY: Values
) -> tuple[Values, Values]:
    """Solve for the changes of both duals after which nothing of the tables is missing."""
    tables, x, z, y = weight.shape
    scale_RC, normal_RCC = _normal_equations(weight, spread)
    missing_RC = np.concatenate([missing_RXY, missing_RZY], axis=1).reshape(tables, -1)
    solution = np.linalg.solve(normal_RCC, (scale_RC * missing_RC)[..., np.newaxis])[..., 0]
    change = (scale_RC * solution).reshape(tables, x + z, y)
    return change[:, :x], change[:, x:]


def _normal_equations(weight: Values, spread: Values) -> tuple[Values, Values]:
    """Build A H^-1 A' with a unit diagonal [R, C, C], and the scale [R, C] of its rows."""
    tables, x, z, y = weight.shape
    block = weight[..., :, np.newaxis] * (weight * spread)[..., np.newaxis, :]
    label = np.arange(y)
    block[..., label, label] += weight
    first, second = np.arange(x), np.arange(x, x + z)
    normal = np.zeros((tables, x + z, y, x + z, y))
    normal[:, first, :, first] = block.sum(axis=2).swapaxes(0, 1)
    normal[:, second, :, second] = block.sum(axis=1).swapaxes(0, 1)
    normal[:, :x, :, x:] = block.transpose(0, 1, 3, 2, 4)
    normal[:, x:, :, :x] = block.transpose(0, 2, 3, 1, 4)
    normal_RCC = normal.reshape(tables, (x + z) * y, (x + z) * y)

    constraint = np.arange((x + z) * y)
    diagonal = normal_RCC[:, constraint, constraint]
    kept = diagonal > 0.0
    # Both tables hold the probability of a label: one constraint of each label follows from the
    # others, and with all of them the matrix would be singular. The one of the most weight goes.
    spare = (x + diagonal.reshape(tables, x + z, y)[:, x:].argmax(axis=1)) * y + label
    kept[np.arange(tables)[:, np.newaxis], spare] = False
    scale_RC = np.where(kept, 1.0 / np.sqrt(np.where(kept, diagonal, 1.0)), 0.0)
    normal_RCC *= scale_RC[:, :, np.newaxis] * scale_RC[:, np.newaxis]
    normal_RCC[:, constraint, constraint] += np.where(kept, RIDGE, 1.0)
    return scale_RC, normal_RCC
