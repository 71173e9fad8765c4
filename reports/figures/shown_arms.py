"""The arms that a figure shows where it has no room for all."""

from collections.abc import Sequence

from reports.evidence.comparison import Comparison


def few_and_all(
    comparison: Comparison, arms: Sequence[str], most: int
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the views of a plot: all arms, or the most different ones first and then all.

    Args:
        comparison: Comparison that the arms belong to.
        arms: Arms that have something to show, in any order.
        most: Number of arms above which there are two views.

    Returns:
        Name and arms of each view, arms in the order of the study.
    """
    present = tuple(arm for arm in comparison.facts.arms if arm in set(arms))
    everything = (f"all {len(present)} arms", present)
    if len(present) <= most:
        return (everything,)
    few = farthest_arms(comparison, present, most)
    return ((f"the {len(few)} most different", few), everything)


def farthest_arms(comparison: Comparison, arms: Sequence[str], most: int) -> tuple[str, ...]:
    """Return at most so many of these arms: the baseline, and those farthest from it.

    Args:
        comparison: Comparison that the differences are taken from.
        arms: Arms to choose from, in the order of the result.
        most: Largest number of arms.
    """
    baseline, metric = comparison.facts.baseline, comparison.primary.name
    # Python's sort is stable, so arms at the same distance stay in the order of the study, and the
    # page and the paper choose the same ones.
    by_distance = sorted(
        arms,
        key=lambda arm: (
            arm != baseline,
            -abs(comparison.estimate_of(arm, metric).delta or 0.0),
        ),
    )
    chosen = set(by_distance[:most])
    return tuple(arm for arm in arms if arm in chosen)
