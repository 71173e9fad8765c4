"""What a study will take: device-hours, wall time, disk and MLflow rows, before any of it is spent.

A pure function of what is left of the plan and of what was measured: in micro-runs
(`probe`), or by the cells of the ledger. `estimating` makes those measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from search.estimates.arm_cost import ArmCost
from search.estimates.cost import ArmWork, CellCost, Course, course
from search.estimates.remaining import Remaining
from search.schedule.pack_sizes import UNMEASURED
from spaces.plan.plan import Plan

# Seconds on two cores of 2.6 GHz (AMD Zen 4) with nothing else to do, fitted to four studies of 110
# to 560 cells; `Machine.slowness` scales them to another machine.
TO_FIRST_PACK = 6.5  # imports, Ray, Tune
WORKER_START = 1.5  # from the first pack handed out until its worker trains
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
TAGS = 13
CURVES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Where a study is to run.

    Attributes:
        workers: packs at once.
        cores: of this machine, where the workers are on it; None = they are elsewhere.
        slowness: how much longer a process takes to start than where the constants were measured.
        busy: how much longer all takes because the machine does other things now; 1 = nothing else.
        startup: seconds until the first pack, as earlier runs of the folder took; None = unknown.
    """

    workers: int
    cores: int | None
    slowness: float = 1.0
    busy: float = 1.0
    startup: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a run of a study will take.

    Attributes:
        plan: identity of the plan and of what is left of it (`remaining.identity`).
        basis: `probe`, `ledger`, or `nothing` where nothing is left to train.
        measured: how it was made, as a clause.
        cells: that will be trained.
        workers: packs at once.
        device_seconds: of training.
        arms: arm -> device-seconds.
        wall_seconds: of the whole process, its start and the report included.
        low, high: bounds of what is plausible; low supposes that the machine does nothing else.
        startup_seconds: of them, before the first epoch.
        disk_bytes: ledger and local tracking store.
        mlflow_runs, mlflow_rows: runs; and params, metrics and tags.
        seed_sd: standard deviation over tuning seeds of the primary metric on validation; None =
            unknown.
        parameters: trained numbers of the largest model seen; 0 = unknown.
        busy: how much longer it takes because the machine does other things now.
    """

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
    """What the costs are known from.

    Attributes:
        basis: `probe` or `ledger`.
        measured: how, as a clause.
        costs: arm key -> what it costs.
        doubt: the estimate may be off by this factor either way.
        seed_sd, parameters: see `Estimate`.
    """

    basis: str
    measured: str
    costs: Mapping[str, ArmCost]
    doubt: float
    seed_sd: float | None = None
    parameters: int = 0


def estimate(
    plan: Plan,
    left: Sequence[Remaining],
    identity: str,
    measurement: Measurement,
    machine: Machine,
    test_rows: int,
) -> Estimate:
    """Put together what a run will take.

    Args:
        plan: what is to be run.
        left: what of it is not finished.
        identity: of the two.
        measurement: what each arm that has something left costs.
        machine: where it is to run.
        test_rows: utterances of the test split; their predictions are kept.
    """
    works = _works(plan, left, measurement.costs)
    cells = [sum(work.tune) + work.confirm for work in works]
    if not sum(cells):
        return _nothing(plan, left, identity, machine)
    run = course(works, machine.workers, GAP * machine.slowness * machine.busy)
    startup = _start(machine)
    end = (END + REPORT + REPORT_AN_ARM * len(plan.arms)) * machine.slowness * machine.busy
    training = _with_driver(run, sum(cells), machine)
    wall = startup + training + end
    doubt = measurement.doubt
    rows, disk = 0.0, 0.0
    for work, number, one in zip(works, cells, left, strict=True):
        if number:
            cost = measurement.costs[one.arm.key]
            rows += number * (cost.fields + cost.metrics + TAGS + CURVES * cost.epochs)
            disk += number * cost.record_bytes
            disk += work.confirm * (test_rows * 4 * 4 / 3 * 2 + ARTIFACT_BYTES)
    runs = sum(cells) + (1 + len(plan.arms) if not _begun(left) else 0)
    return Estimate(
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
        disk_bytes=int(disk + rows * ROW_BYTES + (0 if _begun(left) else STORE_BYTES)),
        mlflow_runs=runs,
        mlflow_rows=round(rows),
        seed_sd=measurement.seed_sd,
        parameters=measurement.parameters,
        busy=machine.busy,
    )


def _works(plan: Plan, left: Sequence[Remaining], costs: Mapping[str, ArmCost]) -> list[ArmWork]:
    """What the workers will be given."""
    places = {arm.name: place for place, arm in enumerate(plan.arms)}
    budget, seeds = plan.study.budget, len(plan.tune_seeds)
    works = []
    for one in left:
        cost = costs.get(one.arm.key, ArmCost())
        pack = cost.pack or UNMEASURED
        candidates = budget.bracket if budget.scheduler == "bracket" else 1
        tune, tune_cost = one.tune, cost.tune
        if one.tune_seconds:
            tune = _groups(one.tune_seconds, cost, budget.generation * seeds)
            tune_cost = CellCost(each=one.tune_seconds / max(1, sum(tune)), extra=cost.tune.extra)
        works.append(
            ArmWork(
                tune=tune,
                confirm=one.confirm,
                tune_cost=tune_cost,
                confirm_cost=cost.confirm,
                pack=pack,
                whole=candidates * seeds,
                entire=budget.scheduler != "none",
                measuring=cost.measuring,
                after=places[one.arm.frozen] if one.arm.frozen else None,
            )
        )
    return works


def _groups(seconds: float, cost: ArmCost, generation: int) -> tuple[int, ...]:
    """Cells of each generation, as many as some device-seconds pay for."""
    a_cell = cost.tune.training(generation) / generation
    cells = max(1, round(seconds / a_cell)) if a_cell else 0
    full, rest = divmod(cells, generation)
    return (generation,) * full + ((rest,) if rest else ())


def _with_driver(run: Course, cells: int, machine: Machine) -> float:
    """Seconds from the first epoch to the last, the driver's own work taken into account.

    Where every core has a worker the driver takes its time from them; where not, it can only be
    the slowest.
    """
    driver = (TRACKING_START + TRACKING_A_CELL * cells) * machine.slowness * machine.busy
    if machine.cores is not None and machine.workers >= machine.cores:
        return run.wall_seconds + driver / machine.cores
    return max(run.wall_seconds, driver)


def _start(machine: Machine) -> float:
    first_pack = machine.startup or TO_FIRST_PACK * machine.slowness * machine.busy
    return first_pack * (1 + WORKER_START / TO_FIRST_PACK)


def _begun(left: Sequence[Remaining]) -> bool:
    return any(one.records for one in left)


def _nothing(plan: Plan, left: Sequence[Remaining], identity: str, machine: Machine) -> Estimate:
    seconds = NOTHING_TO_TRAIN * machine.slowness
    return Estimate(
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
