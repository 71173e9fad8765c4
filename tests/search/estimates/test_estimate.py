"""What a study will take: known answers on made-up costs, and micro-runs of a small study."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from msa_core.core import CORE
from search.estimates.arm_cost import (
    ArmCost,
    expected_epochs,
    ledger_costs,
    probed_costs,
    seed_sd,
)
from search.estimates.measure_study import (
    estimate_json,
    estimate_lines,
    from_probe,
    smallest_difference,
)
from search.estimates.probe import EpochTiming, ProbeResults
from search.estimates.remaining import find_remaining, work_identity
from search.estimates.run_estimate import (
    CURVES,
    TAGS,
    Measurement,
    RunEstimate,
    estimate_report_only,
    estimate_run,
)
from search.ledger.record import CellRecord
from spaces.plan.arms_on_data import PlannedArm, Versions
from spaces.plan.plan import Phase, Plan, plan_study
from spaces.study_file.load import load_study

WriteStudy = Callable[[str], Path]

STUDY = """\
study: small
search:
  train.learning_rate: {log_uniform: [1e-4, 1e-1]}
arms:
  - leave_one_out:
      text: {model.text.use: false}
      audio: {model.audio.use: false}
budget: {candidates: 20, tune_seeds: 3, confirm_seeds: 10, generation: 10}
"""


@pytest.fixture
def plan_of(write_study: WriteStudy) -> Callable[..., Plan]:
    def make(*overrides: str, text: str = STUDY) -> Plan:
        return plan_study(load_study(write_study(text), overrides), Versions(data="", code=""))

    return make


def a_cell(plan: Plan, arm: PlannedArm, phase: str, candidate: int, seed: int) -> CellRecord:
    return CellRecord(
        key=f"{arm.name}/{phase}/{candidate}/{seed}",
        arm=arm.name,
        arm_key=arm.key,
        phase=phase,
        candidate=candidate,
        seed=seed,
        params={},
        config={"a": 1},
        status="complete",
        epochs=10,
        best_epoch=5,
        metrics={"valid.mae": 1 + candidate, "seconds": 0.5 if phase == Phase.TUNE else 0.8},
        curve={"valid.mae": [1.0] * 10},
    )


def cells_of(plan: Plan, arms: Iterable[PlannedArm], candidates: int) -> list[CellRecord]:
    """The tuning cells of some candidates, and the confirm cells of the first, which is best."""
    cells = []
    for arm in arms:
        for number in range(candidates):
            cells += [a_cell(plan, arm, Phase.TUNE, number, seed) for seed in plan.tune_seeds]
        cells += [a_cell(plan, arm, Phase.CONFIRM, 0, seed) for seed in plan.confirm_seeds]
    return cells


def made_up(plan: Plan, pack: float = 0.0) -> Measurement:
    cost = ArmCost(pack=pack, tune=0.5, confirm=0.8)
    return Measurement(
        basis="probe",
        measured="made up",
        costs={arm.key: cost for arm in plan.arms},
        cells=[a_cell(plan, plan.arms[0], Phase.TUNE, 0, 0)],
        seed_sd=0.01,
        doubt=1.2,
    )


def estimated(
    plan: Plan,
    records: Sequence[CellRecord] = (),
    *,
    workers: int = 2,
    cores: int | None = None,
    measurement: Measurement | None = None,
) -> RunEstimate:
    left = find_remaining(plan, records)
    return estimate_run(
        plan,
        left,
        work_identity(plan, left),
        measurement or made_up(plan),
        workers=workers,
        cores=cores,
        test_rows=100,
    )


def test_what_the_ledger_holds_costs_nothing(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    left = find_remaining(plan, cells_of(plan, plan.arms, 20))
    assert not any(one.is_due for one in left)
    found = estimate_report_only(left, work_identity(plan, left), workers=2)
    assert (found.device_seconds, found.cells, found.mlflow_runs) == (0.0, 0, 0)
    assert found.basis == "nothing"
    assert "nothing is left to train" in estimate_lines(found, plan)[0]


def test_an_arm_that_is_finished_costs_nothing_and_the_others_what_they_did(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of()
    whole = estimated(plan)
    rest = estimated(plan, cells_of(plan, plan.arms[:1], 20))
    assert rest.arms[plan.arms[0].name] == 0
    for arm in plan.arms[1:]:
        assert rest.arms[arm.name] == pytest.approx(whole.arms[arm.name])
    assert rest.wall_seconds < whole.wall_seconds


def test_the_device_seconds_are_those_of_the_cells(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    found = estimated(plan)
    assert found.cells == plan.cell_count() == 3 * (60 + 10)
    assert found.device_seconds == pytest.approx(3 * (60 * 0.5 + 10 * 0.8))
    assert found.low < found.wall_seconds < found.high


def test_twice_the_candidates_are_twice_the_tuning(plan_of: Callable[..., Plan]) -> None:
    confirm = 3 * 10 * 0.8
    once = estimated(plan_of()).device_seconds - confirm
    twice = estimated(plan_of("budget.candidates=40")).device_seconds - confirm
    assert twice == pytest.approx(2 * once)


def test_a_raised_budget_costs_the_new_candidates_and_the_chance_of_another_winner(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of("budget.candidates=40")
    left = find_remaining(plan, cells_of(plan, plan.arms, 20))
    assert [one.tune for one in left] == [(30, 30)] * 3
    assert [one.confirm for one in left] == [5] * 3  # half of the candidates are new


@pytest.mark.parametrize("fixed", [0.0, 2.0])
@pytest.mark.parametrize("candidates", [1, 7, 20, 100])
def test_more_workers_are_never_slower(
    plan_of: Callable[..., Plan], candidates: int, fixed: float
) -> None:
    plan = plan_of(f"budget.candidates={candidates}")
    walls = [
        estimated(plan, workers=workers, measurement=made_up(plan, fixed)).wall_seconds
        for workers in (1, 2, 4, 8, 16)
    ]
    assert walls == sorted(walls, reverse=True)


def test_generations_wait_for_one_another_and_random_candidates_do_not(
    plan_of: Callable[..., Plan],
) -> None:
    plan, free = plan_of(), plan_of("sampler=random")
    assert [one.tune for one in find_remaining(plan, ())] == [(30, 30)] * 3
    assert [one.tune for one in find_remaining(free, ())] == [(60,)] * 3
    walls = [
        estimated(p, workers=60, measurement=made_up(p, 20.0)).wall_seconds for p in (free, plan)
    ]
    assert walls[0] < walls[1] - 20


def test_the_fixed_part_of_a_pack_is_paid_once_per_pack(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of("sampler=random")
    without = estimated(plan).device_seconds
    # 60 cells in packs of 32 at most, of whole candidates, and 10 in one.
    whole = estimated(plan, workers=1, measurement=made_up(plan, 1.0)).device_seconds
    assert whole - without == pytest.approx(3 * (2 + 1))
    # Of 180 cells 3 for each of 60 workers, then one of 30 for half of them.
    shared = estimated(plan, workers=60, measurement=made_up(plan, 1.0)).device_seconds
    assert shared - without == pytest.approx(3 * (60 / 3 + 10))


def test_a_frozen_arm_waits_for_the_one_that_is_tuned_for_it(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of("retune=false")
    found = estimated(plan, workers=50)
    assert found.cells == 60 + 3 * 10
    tuning = 2 * 0.5 + 0.8  # of the baseline: two generations, and its own confirmation
    assert found.wall_seconds > found.startup_seconds + tuning + 0.8


def test_brackets_train_less(plan_of: Callable[..., Plan]) -> None:
    left = find_remaining(plan_of("budget.scheduler=bracket"), ())
    assert [one.tune for one in left] == [(54, 6)] * 3  # whole brackets of nine


def test_a_budget_in_seconds_is_spent(plan_of: Callable[..., Plan]) -> None:
    text = STUDY.replace("candidates: 20", "device_seconds: 60")
    plan = plan_of(text=text)
    found = estimated(plan)
    assert found.device_seconds == pytest.approx(3 * (60 + 10 * 0.8), rel=0.02)


def test_the_driver_shares_the_cores_with_the_workers(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    shared = estimated(plan, cores=2).wall_seconds
    spare = estimated(plan, cores=16).wall_seconds
    assert shared > spare


def probed(plan: Plan, cells: Sequence[CellRecord], seconds: float) -> ProbeResults:
    """Cells of the first arm were trained for some seconds each, and two arms timed."""
    first, second, _ = plan.arms
    return ProbeResults(
        opening=2.6,
        timings={
            first.key: EpochTiming(fixed=0.1, member=0.01),
            second.key: EpochTiming(fixed=0.3, member=0.03),
        },
        trained={
            first.key: [
                replace(cell, metrics={**cell.metrics, "seconds": seconds}) for cell in cells
            ]
        },
        busy=1.0,
    )


def test_an_epoch_costs_what_was_timed_and_a_cell_as_many_as_those_that_were_trained(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of()
    cells = [a_cell(plan, plan.arms[0], Phase.TUNE, 0, seed) for seed in range(4)]
    timed = 0.1 * 10 + 4 * 0.01 * 10  # ten epochs of a pack of four
    for slowdown in (1.0, 2.0):
        found = probed(plan, cells, slowdown * timed / 4)
        costs = probed_costs(plan, find_remaining(plan, ()), found)
        first, second, third = (costs[arm.key] for arm in plan.arms)
        assert first.pack == pytest.approx(slowdown * 1.0)
        assert first.tune == pytest.approx(slowdown * 0.1)
        assert second.tune == pytest.approx(slowdown * 0.3)
        assert third.tune == pytest.approx(slowdown * 0.2)  # neither timed nor trained


def test_arms_that_were_not_timed_widen_the_bounds(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    cells = [a_cell(plan, plan.arms[0], Phase.TUNE, 0, seed) for seed in range(4)]
    found = probed(plan, cells, 0.5)
    timing = found.timings[plan.arms[0].key]
    whole = replace(found, timings={arm.key: timing for arm in plan.arms})
    left = find_remaining(plan, ())
    some, every = (from_probe(plan, left, one) for one in (found, whole))
    assert "1 of 3 arms guessed" in some.measured and "guessed" not in every.measured
    assert some.doubt > every.doubt > 1


def test_a_cell_that_was_stopped_would_train_for_its_patience_at_least(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of()
    cell = a_cell(plan, plan.arms[0], Phase.TUNE, 0, 0)
    assert expected_epochs(CORE, cell) == 10
    stopped = replace(cell, status="pruned", config={"train.patience": 6, "train.epochs": 30})
    assert expected_epochs(CORE, stopped) == 12
    assert expected_epochs(CORE, replace(stopped, best_epoch=9)) == 15.5
    assert expected_epochs(CORE, replace(stopped, best_epoch=28)) == 30


def test_brackets_cost_less(plan_of: Callable[..., Plan]) -> None:
    def tuned(scheduler: str) -> float:
        plan = plan_of(f"budget.scheduler={scheduler}")
        cells = [a_cell(plan, plan.arms[0], Phase.TUNE, 0, 0)]
        found = probed_costs(plan, find_remaining(plan, ()), probed(plan, cells, 0.5))
        return found[plan.arms[0].key].tune

    assert 0.2 < tuned("bracket") / tuned("none") < 0.9


def test_from_the_ledger_an_arm_costs_what_its_cells_did(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of("budget.candidates=40")
    records = cells_of(plan, plan.arms[:2], 20)
    left = find_remaining(plan, records)
    costs = ledger_costs(left)
    first, second, third = (costs[arm.key] for arm in plan.arms)
    assert first.tune == second.tune == pytest.approx(0.5)
    assert first.confirm == pytest.approx(0.8)
    assert third.tune == pytest.approx(0.5)  # no cell of its own: the mean of the others
    assert ledger_costs(find_remaining(plan, ())) == {}


def test_an_estimate_is_of_one_plan_and_of_what_is_left_of_it(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of()
    assert estimated(plan).plan == estimated(plan_of()).plan
    others = [
        estimated(plan_of("budget.candidates=21")),
        estimated(plan_of(text=STUDY.replace("learning_rate", "weight_decay"))),
        estimated(plan, cells_of(plan, plan.arms[:1], 3)),
    ]
    assert len({one.plan for one in others} | {estimated(plan).plan}) == 4


def test_rows_are_counted_as_tracking_writes_them(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    found = estimated(plan)
    assert found.mlflow_runs == plan.cell_count() + len(plan.arms) + 1
    assert found.mlflow_rows == plan.cell_count() * (1 + 2 + TAGS + CURVES * 10)


def test_the_scatter_over_seeds_is_that_within_candidates(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()

    def scatter(*values: tuple[int, float | None]) -> float | None:
        cells = [
            replace(
                a_cell(plan, plan.arms[0], Phase.TUNE, candidate, seed),
                metrics={} if value is None else {"valid.mae": value},
            )
            for seed, (candidate, value) in enumerate(values)
        ]
        return seed_sd(cells, "mae")

    # Within each candidate a variance of 2; between them anything.
    assert scatter((0, 1.0), (0, 3.0), (1, 10.0), (1, 12.0)) == pytest.approx(2**0.5)
    # Of the worse half nothing is counted, nor of what has no value.
    values = [(0, 1.0), (0, 3.0), (1, 0.0), (1, 50.0), (2, None), (2, 1.0)]
    assert scatter(*values) == pytest.approx(2**0.5)
    assert scatter((0, 1.0), (1, 2.0)) is None


def test_the_smallest_difference_is_in_the_metrics_own_unit(
    plan_of: Callable[..., Plan],
) -> None:
    plan = plan_of()
    assert smallest_difference(estimated(plan), plan) == pytest.approx(
        1.00 * 2**0.5 * 0.01, rel=0.01
    )
    assert smallest_difference(replace(estimated(plan), seed_sd=None), plan) is None


def test_an_estimate_is_said_in_one_line_and_as_json(plan_of: Callable[..., Plan]) -> None:
    plan = plan_of()
    line = estimate_lines(estimated(plan), plan)[0]
    assert line.startswith("about ") and "on 2 workers (0.032 device-hours; " in line
    assert "214 MLflow runs with 7,600 rows; made up" in line
    assert json.loads(json.dumps(estimate_json(estimated(plan), plan)))["cells"] == 210


def test_micro_runs_of_a_small_study_leave_nothing_and_import_no_torch(
    small_study_text: str, tmp_path: Path
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    code = """
import json, sys
from pathlib import Path
from search.estimates.measure_study import measure_study, estimate_json
from search.study.open import open_study

(opened,) = open_study("study.yaml", [], [], Path(), need_data=True)
arguments = opened.plan, opened.dataset, opened.folder
assert measure_study(*arguments, probe_first=False) is None
found = measure_study(*arguments, workers=2, seconds=2.0)
print(json.dumps([estimate_json(found, opened.plan), "torch" in sys.modules]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    found, torch_is_here = json.loads(done.stdout)
    assert not torch_is_here
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]
    assert (found["basis"], found["cells"]) == ("probe", 20)
    assert 0.01 < found["device_seconds"] / found["busy"] < 60
    assert 2 < found["wall_seconds"] / found["busy"] < 120
    assert found["seed_sd"] > 0 and found["parameters"] > 0
    assert "'full'" in found["measured"] and "'without text'" in found["measured"]
