"""Arms with the baseline's hyperparameters, beside the same arms with their own."""

from collections.abc import Mapping

from reports.evidence.estimates import Estimate
from reports.evidence.values import FrozenPair
from reports.results import StudyFacts

ENDING = ", frozen"  # of an arm's name where the re-tuned one is there too


def frozen_pairs(facts: StudyFacts, estimates: Mapping[str, Estimate]) -> tuple[FrozenPair, ...]:
    """Every arm that was both tuned and frozen, and whether its verdict depends on it.

    Args:
        facts: of the study.
        estimates: arm -> its estimate of the primary metric.
    """
    pairs = []
    for frozen in (arm for arm in facts.arms if arm in facts.frozen):
        arm = frozen.removesuffix(ENDING)
        if arm == frozen or arm not in facts.arms or arm in facts.frozen:
            continue
        tuned, kept = estimates[arm], estimates[frozen]
        known = not (tuned.no_result or kept.no_result)
        pairs.append(
            FrozenPair(
                arm=arm,
                frozen_arm=frozen,
                tuned_delta=tuned.delta,
                frozen_delta=kept.delta,
                tuned_verdict=tuned.verdict or "undecided",
                frozen_verdict=kept.verdict or "undecided",
                flips=known and tuned.verdict != kept.verdict,
            )
        )
    return tuple(pairs)
