"""Micro-runs of a core that does not time its epochs itself, and whose trainings wait."""

from collections.abc import Callable
from pathlib import Path

from search.estimates.arm_cost import probed_costs
from search.estimates.probe import ProbeTask
from search.estimates.probe_worker import probe_arms
from search.estimates.remaining import find_remaining
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study

PAUSE = 0.1  # seconds of an epoch, of which the processor works almost none
ROUNDS = 3
STUDY = f"""\
study: ridge
core: tests.cases.ridge_core:CORE
data: {{rows: 60}}
base: {{fit.rounds: {ROUNDS}, fit.pause: {PAUSE}}}
search: {{fit.strength: {{log_uniform: [0.1, 100]}}}}
arms: [{{leave_one_out: {{squares: {{input.squares: false}}}}}}]
budget: {{candidates: 3, tune_seeds: 2, confirm_seeds: 8}}
"""


def test_a_training_that_waits_costs_its_wall_time_and_the_machine_is_not_called_busy(
    write_study: Callable[[str], Path], tmp_path: Path
) -> None:
    study = load_study(write_study(STUDY))
    plan = plan_study(study, Versions(data="", code=""))
    keys = tuple(arm.key for arm in plan.arms)
    found = probe_arms(
        ProbeTask(plan=plan, source=study.data, folder=tmp_path, arms=keys, seconds=1.0)
    )
    assert found.busy == 1.0
    assert set(found.timings) == set(keys)
    # Longer is possible, since other programs are part of it.
    assert all(PAUSE <= timing.member < 5 * PAUSE for timing in found.timings.values())
    assert found.trained
    costs = probed_costs(plan, find_remaining(plan, ()), found)
    for cost in costs.values():
        assert cost.pack == 0.0
        assert ROUNDS * PAUSE <= cost.tune < 5 * ROUNDS * PAUSE
