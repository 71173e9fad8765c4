"""The estimate of a run: device-hours, wall time, disk and MLflow rows, before any is spent.

A pure function of what is left of the plan and of what was measured: in micro-runs (`probe`), or
by the cells of the ledger. `measure` makes those measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.estimates.arm_cost import ArmCost
from search.estimates.cost import ArmWork, CellCost, SimulatedRun, simulate_run
from search.estimates.remaining import Remaining
from search.schedule.pack_sizes import UNMEASURED
from spaces.plan.plan import Plan

# Seconds on two cores of 2.6 GHz (AMD Zen 4) with nothing else to do, fitted to four studies of 110
# to 560 cells; `Machine.slowness` scales them to another machine.
TO_FIRST_PACK = 6.5  # imports, Ray, Tune
WORKER_START = 1.5  # from the first pack assigned until its worker trains
END = 1.2  # the last results, Ray's end, the end of the process
REPORT = 1.5
REPORT_AN_ARM = 0.2
TRACKING_START = 1.0  # of a core: the import of MLflow
TRACKING_A_CELL = 0.03  # of a core: the driver's work for a cell, MLflow's most of all
GAP = 0.15  # between two packs of a worker
NOTHING_TO_TRAIN = 6.0  # a run that only writes its report again
ROW_BYTES = 280
STORE_BYTES = 600_000
ARTIFACT_BYTES = 8_000
TAGS = 13  # of a cell's run in MLflow
CURVES = 2  # of a cell's run: training loss, and the study's metric on validation


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """The machine that a study is to run on.

    Attributes:
        workers: Number of packs at once.
        cores: Cores of this machine, where the workers are on it; None = they are elsewhere.
        slowness: Factor by which a process starts slower than where the constants were measured.
        busy: Factor by which all takes longer because of other programs; 1 = there are none.
        startup: Time until the first pack in earlier runs of the folder, in seconds; None =
            unknown.
    """

    workers: int
    cores: int | None
    slowness: float = 1.0
    busy: float = 1.0
    startup: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunEstimate:
    """The estimate of what a run of a study will take.

    Attributes:
        plan: Identity of the plan and of what is left of it (`remaining.work_identity`).
        basis: `probe`, `ledger`, or `nothing` where nothing is left to train.
        measured: Origin of the numbers, as a clause.
        cells: Number of cells that will be trained.
        workers: Number of packs at once.
        device_seconds: Time of training, over all devices.
        arms: Arm -> device-seconds.
        wall_seconds: Time of the whole process, its start and the report included.
        low, high: Bounds of what is plausible, in seconds; low supposes that no other program
            runs.
        startup_seconds: Part of `wall_seconds` before the first epoch.
        disk_bytes: Size of the ledger and of the local tracking store.
        mlflow_runs, mlflow_rows: Number of runs; and of params, metrics and tags.
        seed_sd: Standard deviation over tuning seeds of the primary metric on validation; None =
            unknown.
        parameters: Number of trained parameters of the largest model seen; 0 = unknown.
        busy: Factor by which it takes longer because of other programs.
    """

    # Its fields are those of `triptych plan --json`.

    plan: str
    basis: str
    measured: str
    cells: int
    workers: int
    device_seconds: float
    arms: Mapping[str, float]
    wall_seconds: float
    low: float
    high: float
    startup_seconds: float
    disk_bytes: int
    mlflow_runs: int
    mlflow_rows: int
    seed_sd: float | None = None
    parameters: int = 0
    busy: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Measured costs of the arms.

    Attributes:
        basis: `probe` or `ledger`.
        measured: Origin of the numbers, as a clause.
        costs: Arm key -> cost of its cells.
        doubt: Factor by which the estimate may be off either way; >= 1.
        seed_sd, parameters: Numbers as in `RunEstimate`.
    """

    basis: str
    measured: str
    costs: Mapping[str, ArmCost]
    doubt: float
    seed_sd: float | None = None
    parameters: int = 0


def estimate_run(
    plan: Plan,
    left: Sequence[Remaining],
    identity: str,
    measurement: Measurement,
    machine: Machine,
    test_rows: int,
) -> RunEstimate:
    """Estimate what a run will take.

    Args:
        plan: Plan to be run.
        left: Remaining work of each arm.
        identity: Identity of the two.
        measurement: Cost of each arm that has something left.
        machine: Machine that it is to run on.
        test_rows: Number of test utterances, whose predictions are kept.
    """
    works = _plan_work(plan, left, measurement.costs)
    cells = [sum(work.tune) + work.confirm for work in works]
    if not sum(cells):
        return _estimate_report_only(plan, left, identity, machine)
    run = simulate_run(works, machine.workers, GAP * machine.slowness * machine.busy)
    startup = _startup_seconds(machine)
    end = (END + REPORT + REPORT_AN_ARM * len(plan.arms)) * machine.slowness * machine.busy
    training = _training_wall_seconds(run, sum(cells), machine)
    wall = startup + training + end
    doubt = measurement.doubt
    rows, disk = 0.0, 0.0
    for work, number, one in zip(works, cells, left, strict=True):
        if number:
            cost = measurement.costs[one.arm.key]
            rows += number * (cost.fields + cost.metrics + TAGS + CURVES * cost.epochs)
            disk += number * cost.record_bytes
            # A float32 per prediction as base64, in the ledger and as an artifact.
            disk += work.confirm * (test_rows * 4 * 4 / 3 * 2 + ARTIFACT_BYTES)
    runs = sum(cells) + (1 + len(plan.arms) if not _has_begun(left) else 0)
    return RunEstimate(
        plan=identity,
        basis=measurement.basis,
        measured=measurement.measured,
        cells=sum(cells),
        workers=machine.workers,
        device_seconds=sum(run.device_seconds),
        arms={one.arm.name: seconds for one, seconds in zip(left, run.device_seconds, strict=True)},
        wall_seconds=wall,
        low=(startup + training / doubt + end) / machine.busy,
        high=startup * 1.2 + training * doubt + end * 1.2,
        startup_seconds=startup,
        disk_bytes=int(disk + rows * ROW_BYTES + (0 if _has_begun(left) else STORE_BYTES)),
        mlflow_runs=runs,
        mlflow_rows=round(rows),
        seed_sd=measurement.seed_sd,
        parameters=measurement.parameters,
        busy=machine.busy,
    )


def _plan_work(
    plan: Plan, left: Sequence[Remaining], costs: Mapping[str, ArmCost]
) -> list[ArmWork]:
    """List the work of the arms, in the order of the plan."""
    indexes = {arm.name: index for index, arm in enumerate(plan.arms)}
    budget, seeds = plan.study.budget, len(plan.tune_seeds)
    works = []
    for one in left:
        cost = costs.get(one.arm.key, ArmCost())
        pack = cost.pack or UNMEASURED
        candidates = budget.bracket if budget.scheduler == "bracket" else 1
        tune, tune_cost = one.tune, cost.tune
        if one.tune_seconds:
            tune = _generation_sizes(one.tune_seconds, cost, budget.generation * seeds)
            tune_cost = CellCost(each=one.tune_seconds / max(1, sum(tune)), extra=cost.tune.extra)
        works.append(
            ArmWork(
                tune=tune,
                confirm=one.confirm,
                tune_cost=tune_cost,
                confirm_cost=cost.confirm,
                pack=pack,
                group_cells=candidates * seeds,
                whole_groups=budget.scheduler != "none",
                measuring=cost.measuring,
                tuned_after=indexes[one.arm.frozen] if one.arm.frozen else None,
            )
        )
    return works


def _generation_sizes(seconds: float, cost: ArmCost, generation: int) -> tuple[int, ...]:
    """Return the cells of each generation, as many as some device-seconds pay for."""
    a_cell = cost.tune.training_seconds(generation) / generation
    cells = max(1, round(seconds / a_cell)) if a_cell else 0
    full, rest = divmod(cells, generation)
    return (generation,) * full + ((rest,) if rest else ())


def _training_wall_seconds(run: SimulatedRun, cells: int, machine: Machine) -> float:
    """Return the seconds from the first epoch to the last, the driver's own work included."""
    # Where every core has a worker, the driver takes its time from them. Elsewhere it works beside
    # them, and only matters where it is slower than all of them.
    driver = (TRACKING_START + TRACKING_A_CELL * cells) * machine.slowness * machine.busy
    if machine.cores is not None and machine.workers >= machine.cores:
        return run.wall_seconds + driver / machine.cores
    return max(run.wall_seconds, driver)


def _startup_seconds(machine: Machine) -> float:
    # Earlier runs of the folder know best; they also had the machine's slowness and load.
    first_pack = machine.startup or TO_FIRST_PACK * machine.slowness * machine.busy
    return first_pack * (1 + WORKER_START / TO_FIRST_PACK)


def _has_begun(left: Sequence[Remaining]) -> bool:
    return any(one.records for one in left)


def _estimate_report_only(
    plan: Plan, left: Sequence[Remaining], identity: str, machine: Machine
) -> RunEstimate:
    seconds = NOTHING_TO_TRAIN * machine.slowness
    return RunEstimate(
        plan=identity,
        basis="nothing",
        measured="nothing is left to train",
        cells=0,
        workers=machine.workers,
        device_seconds=0.0,
        arms={one.arm.name: 0.0 for one in left},
        wall_seconds=seconds,
        low=seconds,
        high=seconds,
        startup_seconds=0.0,
        disk_bytes=0,
        mlflow_runs=0,
        mlflow_rows=0,
    )
