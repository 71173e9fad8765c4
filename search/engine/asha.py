"""Tune's ASHA for packs of one candidate: each arm has its own, so that arms never compete.

Which candidates it stops depends on what has finished when, and so on the number of workers.
"""

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from search.schedule.brackets import EPOCH, REDUCTION, RUNGS, VALUE, rung_epochs
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Plan
from spaces.search_space.domains import Choice, Int


class ArmsAsha(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """A scheduler that passes each tuning trial to the ASHA of its arm, and lets others train."""

    def __init__(self, plan: Plan) -> None:
        """Create one ASHA per tuned arm."""
        super().__init__()
        self._arms = {arm.key: _make_asha(most_epochs(arm)) for arm in plan.arms}

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        """Register a trial, for Tune."""
        if self._is_tuning(trial):
            self._asha_of(trial).on_trial_add(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Decide for Tune whether a candidate trains on after a rung."""
        if not self._is_tuning(trial) or VALUE not in result:
            decision: str = TrialScheduler.CONTINUE
        else:
            decision = self._asha_of(trial).on_trial_result(controller, trial, result)
        return decision

    def _is_tuning(self, trial: Any) -> bool:
        pack = trial.config["pack"]
        # None is an idle trial's, or that of a trial that is over and was emptied.
        return pack is not None and bool(pack.scheduler == "asha")

    def _asha_of(self, trial: Any) -> AsyncHyperBandScheduler:
        return self._arms[trial.config["pack"].arm_key]


def _make_asha(epochs: int) -> AsyncHyperBandScheduler:
    return AsyncHyperBandScheduler(
        time_attr=EPOCH,
        metric=VALUE,
        mode="min",
        max_t=epochs,
        # An arm of few epochs has no rung before its end; Tune wants a grace period all the same.
        grace_period=min((*rung_epochs(epochs, RUNGS), epochs)),
        reduction_factor=REDUCTION,
    )


def most_epochs(arm: PlannedArm) -> int:
    """Return the most epochs that a candidate of an arm can train."""
    match arm.space.get("train.epochs"):
        case Int(_, high):
            return high
        case Choice(options):
            return max(int(option) for option in options)
    return arm.config.train.epochs
