"""All evidence of a study beyond the comparison of arms with the baseline."""

from collections.abc import Mapping

from reports.evidence.claims.answers import UNDER_EMBARGO
from reports.evidence.comparison import Comparison, confirmed_cells
from reports.evidence.factorial.ablation_path import ablation_path
from reports.evidence.factorial.effects import factorial_effects
from reports.evidence.factorial.factors import find_two_level_design
from reports.evidence.factorial.matrices import factor_matrices
from reports.evidence.factorial.shapley import shapley_values
from reports.evidence.slices import slice_estimates
from reports.evidence.statistics.datasets import compare_over_datasets
from reports.evidence.tuning.anytime import anytime_curves, expected_curves
from reports.evidence.tuning.candidates import collect_candidates
from reports.evidence.tuning.frozen_pairs import frozen_pairs
from reports.evidence.tuning.importance import estimate_importances
from reports.evidence.tuning.learning_curves import learning_curves
from reports.evidence.tuning.pareto import pareto_fronts
from reports.evidence.values import Evidence, FactorialEffects, PathStep, ShapleyValue
from reports.evidence.verdicts import Declined
from reports.results import MetricDefinition, Results

SEEDS_ONLY = "the primary metric has no value on a part of the test set"


def gather_evidence(
    results: Results, comparison: Comparison, metrics: Mapping[str, MetricDefinition], *, seed: int
) -> Evidence:
    """Gather all evidence of a study; the reasons for missing evidence are in `declined`.

    Args:
        results: Results of a study, complete or not, under embargo or not.
        comparison: Comparison of the same results.
        metrics: Name -> definition.
        seed: Seed of all resampling.
    """
    facts, higher = results.facts, comparison.primary.higher_is_better
    effects, shapley, path, declined = _factor_evidence(results, comparison, seed)
    candidates = collect_candidates(results)
    expected, why_not_expected = expected_curves(candidates, facts.sampler, higher_is_better=higher)
    important, why_not_important = estimate_importances(
        candidates, facts.fields, higher_is_better=higher, seed=seed
    )
    # One study is one data set, so this test is always declined: the page tells readers why.
    one = compare_over_datasets({facts.study: {}}, higher_is_better=higher)
    declined |= {
        "expected": why_not_expected,
        "importance": why_not_important,
        "datasets": one.reason if isinstance(one, Declined) else "",
        "slices": SEEDS_ONLY if results.tags and comparison.primary.seeds_only else "",
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
        tuning=tuple(candidate for own in candidates.values() for candidate in own),
        fronts=pareto_fronts(candidates, facts, metrics),
        second_label=metrics[facts.second_metric].label
        if facts.second_metric in metrics
        else facts.second_metric.capitalize(),
        declined={name: reason for name, reason in declined.items() if reason},
    )


def _factor_evidence(
    results: Results, comparison: Comparison, seed: int
) -> tuple[FactorialEffects | None, tuple[ShapleyValue, ...], tuple[PathStep, ...], dict[str, str]]:
    """Compute effects, Shapley values and the ablation path, with reasons for what is missing."""
    names = ("effects", "shapley", "path")
    if not results.facts.levels:
        return None, (), (), {}  # without a design there is nothing to decline
    # Effects are of test metrics: without a check the reason would be that no arm has a value.
    if results.embargoed:
        return None, (), (), dict.fromkeys(names, UNDER_EMBARGO)
    design = find_two_level_design(results.facts, comparison.seed_values)
    if isinstance(design, Declined):
        return None, (), (), dict.fromkeys(names, design.reason)
    effects = factorial_effects(design)
    shapley = shapley_values(design, seed)
    path = ablation_path(design, higher_is_better=comparison.primary.higher_is_better, seed=seed)
    declined = {
        name: found.reason
        for name, found in zip(names, (effects, shapley, path), strict=True)
        if isinstance(found, Declined)
    }
    return (
        None if isinstance(effects, Declined) else effects,
        () if isinstance(shapley, Declined) else shapley,
        () if isinstance(path, Declined) else path,
        declined,
    )
