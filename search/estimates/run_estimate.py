"""The estimate of a run: device-hours, wall time, disk and MLflow rows, before any is spent.

A pure function of what is left of the plan and of what was measured: in micro-runs (`probe`), or
by the cells of the ledger. `measure_study` makes those measurements.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from search.estimates.arm_cost import ArmCost
from search.estimates.remaining import Remaining
from search.ledger.record import CellRecord, encode_record
from search.schedule.pack_sizes import UNMEASURED
from spaces.plan.plan import Plan

# Seconds on two cores of 2.6 GHz (AMD Zen 4) with nothing else to do, fitted to four studies of 110
# to 560 cells; `Measurement.slowness` scales them to another machine.
STARTUP = 8.0  # imports, Ray, Tune, the first worker
END = 2.7  # the last results, Ray's end, the report, the end of the process
REPORT_AN_ARM = 0.2
TRACKING_START = 1.0  # of a core: the import of MLflow
TRACKING_A_CELL = 0.03  # of a core: the driver's work for a cell, MLflow's most of all
BESIDE_A_CELL = 0.02  # of a worker: its evaluation and its record
BESIDE_A_PACK = 0.15  # of a worker: waiting for the next one
MEASURING = 0.9  # of a worker, for each arm that is packed: measuring the size of packs
NOTHING_TO_TRAIN = 6.0  # a run that only writes its report again
ROW_BYTES = 280
STORE_BYTES = 600_000
ARTIFACT_BYTES = 8_000
TAGS = 13  # of a cell's run in MLflow
CURVES = 2  # of a cell's run: training loss, and the study's metric on validation


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
    workers: int
    arms: Mapping[str, float]
    wall_seconds: float
    low: float
    high: float
    cells: int = 0
    device_seconds: float = 0.0
    startup_seconds: float = 0.0
    disk_bytes: int = 0
    mlflow_runs: int = 0
    mlflow_rows: int = 0
    seed_sd: float | None = None
    parameters: int = 0
    busy: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Measured costs of the arms, and the machine that they hold for.

    Attributes:
        basis: `probe` or `ledger`.
        measured: Origin of the numbers, as a clause.
        costs: Arm key -> cost of its cells.
        cells: Cells that were measured, with the epochs that they would train to their ends.
        doubt: Factor by which the estimate may be off either way; >= 1.
        seed_sd: Standard deviation as in `RunEstimate`.
        slowness: Factor by which a process starts slower than where the constants were measured.
        busy: Factor by which all takes longer because of other programs; 1 = there are none.
    """

    basis: str
    measured: str
    costs: Mapping[str, ArmCost]
    cells: Sequence[CellRecord]
    doubt: float
    seed_sd: float | None = None
    slowness: float = 1.0
    busy: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _ArmWork:
    """What is left of an arm.

    Attributes:
        tune, confirm: Number of its cells.
        device_seconds: Seconds of their training.
        worker_seconds: Seconds of a worker, with what it does beside training.
        shortest_tune, shortest_confirm: Seconds that they take on so many workers at least: a
            generation waits for the one before it, and confirmation for the tuning.
    """

    tune: int
    confirm: int
    device_seconds: float
    worker_seconds: float
    shortest_tune: float
    shortest_confirm: float


def estimate_run(
    plan: Plan,
    left: Sequence[Remaining],
    identity: str,
    measurement: Measurement,
    *,
    workers: int,
    cores: int | None,
    test_rows: int,
) -> RunEstimate:
    """Estimate what a run will take.

    Args:
        plan: Plan to be run.
        left: Remaining work of each arm.
        identity: Identity of the two.
        measurement: Cost of each arm that has something left.
        workers: Number of packs at once.
        cores: Cores of this machine, where the workers are on it; None = they are elsewhere.
        test_rows: Number of test utterances, whose predictions are kept.
    """
    # No pack is larger than a worker's share of the cells that wait.
    tune_share = math.ceil(sum(_first_cells(plan, one) for one in left) / workers)
    confirm_share = math.ceil(sum(one.confirm for one in left) / workers)
    works = {
        one.arm.name: _arm_work(
            plan,
            one,
            measurement.costs.get(one.arm.key, ArmCost()),
            tune_share=tune_share,
            confirm_share=confirm_share,
        )
        for one in left
    }
    tune, confirm = (sum(w.tune for w in works.values()), sum(w.confirm for w in works.values()))
    slowness = measurement.slowness * measurement.busy
    startup = STARTUP * slowness
    end = (END + REPORT_AN_ARM * len(plan.arms)) * slowness
    training = _training_wall_seconds(plan, works, workers)
    # Where every core has a worker, the driver takes its time from them. Elsewhere it works beside
    # them, and only matters where it is slower than all of them.
    driver = (TRACKING_START + TRACKING_A_CELL * (tune + confirm)) * slowness
    if cores is not None and workers >= cores:
        training += driver / cores
    else:
        training = max(training, driver)
    cells, doubt = measurement.cells, measurement.doubt
    begun = any(one.records for one in left)
    rows = (tune + confirm) * fmean(
        len(cell.config) + len(cell.metrics) + TAGS + CURVES * cell.epochs for cell in cells
    )
    record_bytes = fmean(len(encode_record(cell)) - len(cell.predictions) for cell in cells)
    # A float32 per prediction as base64, in the ledger and as an artifact.
    disk = (tune + confirm) * record_bytes + confirm * (test_rows * 4 * 4 / 3 * 2 + ARTIFACT_BYTES)
    return RunEstimate(
        plan=identity,
        basis=measurement.basis,
        measured=measurement.measured,
        cells=tune + confirm,
        workers=workers,
        device_seconds=sum(work.device_seconds for work in works.values()),
        arms={name: work.device_seconds for name, work in works.items()},
        wall_seconds=startup + training + end,
        low=(startup + training / doubt + end) / measurement.busy,
        high=startup * 1.2 + training * doubt + end * 1.2,
        startup_seconds=startup,
        disk_bytes=int(disk + rows * ROW_BYTES + (0 if begun else STORE_BYTES)),
        mlflow_runs=tune + confirm + (0 if begun else 1 + len(plan.arms)),
        mlflow_rows=round(rows),
        seed_sd=measurement.seed_sd,
        parameters=int(max(cell.metrics.get("parameters", 0) for cell in cells)),
        busy=measurement.busy,
    )


def estimate_report_only(left: Sequence[Remaining], identity: str, workers: int) -> RunEstimate:
    """Return the estimate of a run that has nothing left to train."""
    return RunEstimate(
        plan=identity,
        basis="nothing",
        measured="nothing is left to train",
        workers=workers,
        arms={one.arm.name: 0.0 for one in left},
        wall_seconds=NOTHING_TO_TRAIN,
        low=NOTHING_TO_TRAIN,
        high=NOTHING_TO_TRAIN,
    )


def _arm_work(
    plan: Plan, one: Remaining, cost: ArmCost, *, tune_share: int, confirm_share: int
) -> _ArmWork:
    """Estimate the work of an arm.

    Args:
        plan: Plan to be run.
        one: What is left of the arm.
        cost: Cost of its cells.
        tune_share: Most cells of a tuning pack, as far as workers share what waits.
        confirm_share: The same of a confirm pack.
    """
    budget, seeds = plan.study.budget, len(plan.tune_seeds)
    generations = one.tune
    if one.tune_seconds:
        # As many cells as the seconds pay for.
        size = budget.generation * seeds
        cells = max(1, round(one.tune_seconds / (cost.pack / size + cost.tune)))
        generations = (*[size] * (cells // size), *([cells % size] if cells % size else []))
    most = {"bracket": budget.bracket * seeds, "asha": seeds}.get(budget.scheduler, 0)
    if not most:
        most = max(1, min(UNMEASURED, tune_share))
        most -= most % seeds if most > seeds else 0  # whole candidates
    in_confirm = max(1, min(UNMEASURED, confirm_share, one.confirm))
    tune = sum(generations)
    tune_packs = sum(math.ceil(cells / most) for cells in generations)
    confirm_packs = math.ceil(one.confirm / in_confirm)
    device = (
        (one.tune_seconds or tune_packs * cost.pack + tune * cost.tune)
        + confirm_packs * cost.pack
        + one.confirm * cost.confirm
    )
    beside = (tune_packs + confirm_packs) * BESIDE_A_PACK + (tune + one.confirm) * BESIDE_A_CELL
    return _ArmWork(
        tune=tune,
        confirm=one.confirm,
        device_seconds=device,
        worker_seconds=device + beside + (MEASURING if cost.pack else 0.0),
        shortest_tune=sum(cost.pack + min(most, cells) * cost.tune for cells in generations),
        shortest_confirm=cost.pack + in_confirm * cost.confirm if one.confirm else 0.0,
    )


def _training_wall_seconds(plan: Plan, works: Mapping[str, _ArmWork], workers: int) -> float:
    """Return the seconds from the first epoch to the last: idle workers get an even share."""
    shared = sum(work.worker_seconds for work in works.values()) / workers
    # A frozen arm waits for the one whose values it takes.
    alone = [
        works[arm.frozen or arm.name].shortest_tune + works[arm.name].shortest_confirm
        for arm in plan.arms
    ]
    return max(shared, *alone)


def _first_cells(plan: Plan, one: Remaining) -> int:
    """Return the number of an arm's cells that can be trained when a run starts."""
    if one.tune:
        return one.tune[0]
    if one.tune_seconds:
        return plan.study.budget.generation * len(plan.tune_seeds)
    return 0 if one.arm.frozen else one.confirm
