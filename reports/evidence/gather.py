"""All evidence beyond the table, from one results table."""

from collections.abc import Mapping

from reports.evidence.claims.answers import SEALED
from reports.evidence.comparison import Comparison, confirmed_cells
from reports.evidence.factorial.ablation_path import ablation_path
from reports.evidence.factorial.effects import factorial_effects
from reports.evidence.factorial.factors import design_of
from reports.evidence.factorial.matrices import factor_matrices
from reports.evidence.factorial.shapley import shapley_values
from reports.evidence.slices import slice_estimates
from reports.evidence.statistics.datasets import compare_over_datasets
from reports.evidence.tuning.anytime import anytime_curves, expected_curves
from reports.evidence.tuning.candidates import candidates_of, tuning_points
from reports.evidence.tuning.frozen import frozen_pairs
from reports.evidence.tuning.importance import importances
from reports.evidence.tuning.learning_curves import learning_curves
from reports.evidence.values import Evidence, FactorialEffects, PathStep, ShapleyValue
from reports.results import Metric, Results


def gather(
    results: Results, comparison: Comparison, metrics: Mapping[str, Metric], *, seed: int
) -> Evidence:
    """Everything beyond arms against the baseline; what can't be said is in `declined`.

    Args:
        results: complete or not, sealed or not.
        comparison: of the same results.
        metrics: name -> its definition.
        seed: of all resampling.
    """
    facts, higher = results.facts, comparison.primary.higher_is_better
    effects, shapley, path, declined = _of_factors(results, comparison, seed)
    candidates = candidates_of(results)
    expected, why_not_expected = expected_curves(candidates, facts.sampler, higher_is_better=higher)
    important, why_not_important = importances(
        candidates, facts.fields, higher_is_better=higher, seed=seed
    )
    means = {e.arm: e.mean for e in comparison.estimates if e.metric == facts.primary}
    one = compare_over_datasets(
        {facts.study: {arm: mean for arm, mean in means.items() if mean is not None}},
        higher_is_better=higher,
    )
    declined |= {
        "expected": why_not_expected,
        "importance": why_not_important,
        "datasets": one if isinstance(one, str) else "",
    }
    return Evidence(
        effects=effects,
        shapley=shapley,
        matrices=factor_matrices(facts, comparison.seed_values),
        path=path,
        frozen=frozen_pairs(
            facts, {e.arm: e for e in comparison.estimates if e.metric == facts.primary}
        ),
        importance=important,
        anytime=anytime_curves(candidates, higher_is_better=higher),
        expected=expected,
        slices=slice_estimates(results, confirmed_cells(results), metrics[facts.primary], seed),
        learning=learning_curves(results),
        tuning=tuning_points(candidates),
        declined={name: reason for name, reason in declined.items() if reason},
    )


def _of_factors(
    results: Results, comparison: Comparison, seed: int
) -> tuple[FactorialEffects | None, tuple[ShapleyValue, ...], tuple[PathStep, ...], dict[str, str]]:
    """Effects, Shapley values and the ablation path, and why there are none."""
    names = ("effects", "shapley", "path")
    if not results.facts.levels:
        return None, (), (), {}  # nobody asked
    if results.sealed:
        return None, (), (), dict.fromkeys(names, SEALED)
    design = design_of(results.facts, comparison.seed_values)
    if isinstance(design, str):
        return None, (), (), dict.fromkeys(names, design)
    effects = factorial_effects(design)
    shapley = shapley_values(design, seed)
    path = ablation_path(design, higher_is_better=comparison.primary.higher_is_better, seed=seed)
    declined = {
        name: found
        for name, found in zip(names, (effects, shapley, path), strict=True)
        if isinstance(found, str)
    }
    return (
        None if isinstance(effects, str) else effects,
        () if isinstance(shapley, str) else shapley,
        () if isinstance(path, str) else path,
        declined,
    )
