"""Pairs of an arm with its own hyperparameters and the same arm with the baseline's."""

from collections.abc import Mapping

from reports.evidence.arm_estimates import Estimate
from reports.evidence.values import FrozenPair
from reports.evidence.verdicts import Verdict
from reports.results import StudyFacts

ENDING = ", frozen"  # end of a frozen arm's name where the re-tuned one is there too


def frozen_pairs(facts: StudyFacts, estimates: Mapping[str, Estimate]) -> tuple[FrozenPair, ...]:
    """Pair every arm that was both tuned and frozen, and check whether its verdict depends on it.

    Args:
        facts: Facts of the study.
        estimates: Arm -> its estimate of the primary metric.
    """
    pairs = []
    for frozen in (arm for arm in facts.arms if arm in facts.frozen):
        arm = frozen.removesuffix(ENDING)
        # A frozen arm without the ending is there alone, so there is nothing to pair it with.
        if arm == frozen or arm not in facts.arms or arm in facts.frozen:
            continue
        tuned, kept = estimates[arm], estimates[frozen]
        # An arm without a result has no verdict that could flip.
        known = not (tuned.no_result or kept.no_result)
        pairs.append(
            FrozenPair(
                arm=arm,
                frozen_arm=frozen,
                tuned_delta=tuned.delta,
                frozen_delta=kept.delta,
                tuned_verdict=tuned.verdict or Verdict.UNDECIDED,
                frozen_verdict=kept.verdict or Verdict.UNDECIDED,
                flips=known and tuned.verdict != kept.verdict,
            )
        )
    return tuple(pairs)
