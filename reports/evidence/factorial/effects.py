"""Main effects and two-way interactions of a two-level design.

The model is `value = seed + effects + error` by ordinary least squares: every seed is a block of
its own, so a shift that all arms share on a seed is no error. Levels are coded -1 and +1, and an
effect is twice its coefficient.
"""

import itertools
from dataclasses import replace

import numpy as np
from statsmodels.regression.linear_model import OLS

from reports.evidence.factorial.factors import TwoLevelDesign
from reports.evidence.statistics.paired import ALPHA, holm_correction
from reports.evidence.values import Effect, FactorialEffects
from reports.evidence.verdicts import Declined
from reports.results import FloatArray

TIMES = " \N{MULTIPLICATION SIGN} "
Term = tuple[int, ...]  # indices of one factor, or of two


def factorial_effects(design: TwoLevelDesign) -> FactorialEffects | Declined:
    """Estimate main effects and interactions of a balanced design.

    Interactions are estimated where nothing is mixed with them: neither main effects nor other
    two-way interactions. Higher interactions count as error.

    Args:
        design: Design with its values.
    """
    if reason := _why_unbalanced(design):
        return Declined(reason)
    count = len(design.factors)
    mains: list[Term] = [(index,) for index in range(count)]
    pairs: list[Term] = list(itertools.combinations(range(count), 2))
    columns = {term: design.signs[:, list(term)].prod(axis=1) for term in (*mains, *pairs)}
    mixed_with = {term: _mixed_with(term, columns) for term in columns}
    clear = [pair for pair in pairs if not mixed_with[pair] and np.ptp(columns[pair]) > 0]
    fitted = _fit_effects(
        design, [*mains, *clear], columns, _nuisance_columns(pairs, mains, clear, columns)
    )
    label_of = {term: TIMES.join(design.factors[i] for i in term) for term in columns}
    return FactorialEffects(
        factors=design.factors,
        arms=len(design.arms),
        seeds=len(design.seeds),
        main=_with_holm_p([fitted[term] for term in mains]),
        interactions=_with_holm_p([fitted[term] for term in clear]),
        levels=design.levels,
        mixed=tuple(
            f"{label_of[term]} with {' and '.join(label_of[other] for other in others)}"
            for term, others in mixed_with.items()
            if others
        ),
    )


def _why_unbalanced(design: TwoLevelDesign) -> str:
    """Explain why main effects can't be told apart; empty if they can."""
    with_mean = np.column_stack([np.ones(len(design.arms)), design.signs])
    # Orthogonal columns, the mean among them, are what makes each main effect its own estimate.
    products = with_mean.T @ with_mean
    if not (products - np.diag(np.diag(products))).any():
        return ""
    if design.missing:
        return (
            f"the design is not balanced without {', '.join(design.missing)}, which has no "
            "confirmed value"
        )
    if _is_star(design.signs):
        return (
            "every arm differs from one arm in a single factor, so the differences in the table "
            "are the main effects; a factorial or fractional design tells them from interactions"
        )
    return (
        "the design is not balanced: some factors' levels go together; a factorial or fractional "
        "design keeps them apart"
    )


def _is_star(signs: FloatArray) -> bool:
    """Check whether some arm is one flip away from every other."""
    flips = (signs[:, None] != signs[None]).sum(axis=2)
    return bool((flips <= 1).all(axis=1).any())


def _mixed_with(term: Term, columns: dict[Term, FloatArray]) -> list[Term]:
    """Return the terms whose columns are not orthogonal to that of a term."""
    own = columns[term]
    return [other for other, column in columns.items() if other != term and own @ column != 0]


def _nuisance_columns(
    pairs: list[Term], mains: list[Term], clear: list[Term], columns: dict[Term, FloatArray]
) -> list[FloatArray]:
    """Choose columns of mixed interactions that touch no main effect."""
    # In the model without an estimate of their own: what they explain would else count as error.
    kept: list[FloatArray] = []
    for pair in pairs:
        column = columns[pair]
        apart = pair not in clear and not any(column @ columns[main] for main in mains)
        if apart and column.sum() == 0:
            trial = np.column_stack([*kept, column])
            if np.linalg.matrix_rank(trial) == len(kept) + 1:
                kept.append(column)
    return kept


def _fit_effects(
    design: TwoLevelDesign,
    terms: list[Term],
    columns: dict[Term, FloatArray],
    nuisances: list[FloatArray],
) -> dict[Term, Effect]:
    arms, seeds = design.values.shape
    of_arms = np.column_stack([*(columns[term] for term in terms), *nuisances])
    blocks = np.eye(seeds)
    matrix = np.hstack([np.tile(of_arms, (seeds, 1)), np.repeat(blocks, arms, axis=0)])
    values = design.values.T.ravel()
    fit = OLS(values, matrix).fit()
    free = arms * seeds - matrix.shape[1]
    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    # Values without any error leave residuals of rounding, whose tests would all be significant.
    exact = free <= 0 or float(np.sqrt(max(fit.ssr, 0.0) / values.size)) <= 1e-12 * scale
    ends = [] if exact else fit.conf_int(alpha=ALPHA)
    return {
        term: Effect(
            factors=tuple(design.factors[index] for index in term),
            # Exact zeros come out as 1e-17 or so, by rounding.
            estimate=_without_rounding(2 * float(fit.params[row]), scale),
            low=None if exact else 2 * float(ends[row][0]),
            high=None if exact else 2 * float(ends[row][1]),
            p=None if exact else float(fit.pvalues[row]),
            p_holm=None,
        )
        for row, term in enumerate(terms)
    }


def _without_rounding(estimate: float, scale: float) -> float:
    return 0.0 if abs(estimate) <= 1e-13 * scale else estimate


def _with_holm_p(effects: list[Effect]) -> tuple[Effect, ...]:
    """Add Holm's correction over the effects of one order."""
    if any(effect.p is None for effect in effects):
        return tuple(effects)
    corrected = holm_correction([effect.p for effect in effects if effect.p is not None])
    return tuple(replace(e, p_holm=p) for e, p in zip(effects, corrected, strict=True))
