"""Tune's ASHA for packs of one candidate: each arm has its own, so that arms never compete.

Which candidates it stops depends on what has finished when, and so on the number of workers.
"""

from collections.abc import Mapping
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler

from search.schedule.brackets import EPOCH, REDUCTION, RUNGS, VALUE, rung_epochs
from spaces.core import Core
from spaces.fields.paths import replace
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Plan
from spaces.search_space.domains import Choice


class ArmsAsha(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types for it
    """A scheduler that passes each tuning trial to the ASHA of its arm, and lets others train."""

    def __init__(self, plan: Plan) -> None:
        """Create one ASHA per tuned arm."""
        super().__init__()
        self._arms = {arm.key: _make_asha(most_epochs(plan.study.core, arm)) for arm in plan.arms}

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        """Register a trial, for Tune."""
        if asha := self._asha_of(trial):
            asha.on_trial_add(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: Mapping[str, Any]) -> str:
        """Decide for Tune whether a candidate trains on after a rung."""
        asha = self._asha_of(trial)
        decision: str = TrialScheduler.CONTINUE
        if asha and VALUE in result:
            decision = asha.on_trial_result(controller, trial, result)
        return decision

    def _asha_of(self, trial: Any) -> AsyncHyperBandScheduler | None:
        """Return the ASHA of the arm that a trial tunes, if it does."""
        pack = trial.config["pack"]
        # None is an idle trial's, or that of a trial that is over and was emptied.
        return self._arms[pack.arm_key] if pack and pack.scheduler == "asha" else None


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


def most_epochs(core: Core, arm: PlannedArm) -> int:
    """Return the most epochs that a candidate of an arm can train."""
    ends = [
        replace(arm.config, {path: value})
        for path, domain in arm.space.items()
        for value in (domain.options if isinstance(domain, Choice) else (domain.low, domain.high))
    ]
    return max(core.epochs(config) for config in (arm.config, *ends))
