"""Pareto fronts of two objectives: the candidates of an arm that no other one dominates."""

from collections.abc import Mapping, Sequence

from reports.evidence.values import Candidate
from reports.results import MetricDefinition, StudyFacts


def pareto_fronts(
    candidates: Mapping[str, Sequence[Candidate]],
    facts: StudyFacts,
    metrics: Mapping[str, MetricDefinition],
) -> tuple[Candidate, ...]:
    """Find the fronts of all arms, within an arm the best by the primary metric first.

    Args:
        candidates: Arm -> its candidates, which have a second value where there is an objective.
        facts: Facts of the study.
        metrics: Name -> definition.
    """
    signs = [
        -1.0 if name in metrics and metrics[name].higher_is_better else 1.0
        for name in (facts.primary, facts.second_metric)
    ]
    found: list[Candidate] = []
    for own in candidates.values():
        losses = {
            c.number: (signs[0] * c.value, signs[1] * c.second)
            for c in own
            if c.is_finished and c.value is not None and c.second is not None
        }
        front = [
            c
            for c in own
            if c.number in losses
            and not any(_dominates(other, losses[c.number]) for other in losses.values())
        ]
        found += sorted(front, key=lambda c: losses[c.number][0])
    return tuple(found)


def _dominates(other: tuple[float, float], own: tuple[float, float]) -> bool:
    """Check whether the other is better in one objective and not worse in the other one."""
    return other != own and other[0] <= own[0] and other[1] <= own[1]
