"""The estimate of `triptych plan`: measuring what must be measured, and the lines that show it."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from search.estimates.arm_cost import expected_epochs, ledger_costs, probed_costs, seed_sd
from search.estimates.probe import TRAIN_SECONDS, ProbeResults, ProbeTask, run_probes
from search.estimates.remaining import Remaining, find_remaining, work_identity
from search.estimates.run_estimate import (
    Measurement,
    RunEstimate,
    estimate_report_only,
    estimate_run,
)
from search.ledger.ledger import read_ledger
from search.ledger.record import CellRecord
from search.results.history import format_duration
from spaces.core import Data, DataSource
from spaces.plan.plan import Plan
from spaces.plan.power import detectable_effect

# Processor seconds until a micro-run has opened the study, on the machine of `run_estimate`.
OPENING_SECONDS = 2.6
MENTIONED = 1.25  # factor of a busy machine from which on it gets a line of its own
ENOUGH_CELLS = 3  # cells of an arm in the ledger from which its costs are known


def measure_study(
    plan: Plan,
    dataset: Data,
    folder: Path,
    *,
    source: DataSource | None = None,
    workers: int | None = None,
    local: bool = True,
    device: str = "cpu",
    probe_first: bool | None = None,
    seconds: float = TRAIN_SECONDS,
) -> RunEstimate | None:
    """Estimate what running the plan in this folder will take; None without any known cost.

    Args:
        plan: Plan of the study on its data.
        dataset: The data.
        folder: Results folder.
        source: Source of the data, where it was named beside the study.
        workers: Number of packs at once; None = this machine's cores.
        local: Whether the workers are on this machine.
        device: `cpu` or `cuda`; micro-runs are made on the CPU alone.
        probe_first: Whether to make micro-runs; None = unless the ledger knows every arm that is
            left.
        seconds: Time of training in each process of micro-runs, in seconds.

    Raises:
        LedgerError: a damaged ledger.
    """
    left = find_remaining(plan, read_ledger(folder).values())
    name = work_identity(plan, left)
    cores = os.cpu_count() or 1
    count = workers or cores
    due = [one for one in left if one.is_due]
    if not due:
        return estimate_report_only(left, name, count)
    measurement = _from_ledger(plan, left)
    known = all(len(_trained_cells(one.records)) >= ENOUGH_CELLS for one in due)
    wanted = not known if probe_first is None else probe_first
    data = source or plan.study.data
    if wanted and device == "cpu" and data.is_named:
        task = ProbeTask(
            plan=plan,
            source=data,
            folder=folder,
            arms=tuple(one.arm.key for one in due),
            seconds=seconds,
        )
        probed = run_probes(task, min(count, cores))
        measurement = from_probe(plan, due, probed) if probed else measurement
    if measurement is None:
        return None
    return estimate_run(
        plan,
        left,
        name,
        measurement,
        workers=count,
        cores=cores if local else None,
        test_rows=len(dataset.test_labels),
    )


def plan_identity(plan: Plan, folder: Path) -> str:
    """Identify the plan and what is left of it; for `read_estimate`, before a run starts."""
    return work_identity(plan, find_remaining(plan, read_ledger(folder).values()))


def estimate_lines(found: RunEstimate, plan: Plan) -> list[str]:
    """Write an estimate for the terminal."""
    if not found.cells:
        seconds = format_duration(found.wall_seconds)
        return [f"nothing is left to train; the report takes about {seconds}"]
    workers = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
    lines = [
        f"about {format_duration(found.wall_seconds)} on {workers} "
        f"({_format_hours(found.device_seconds)} device-hours; {format_duration(found.low)} to "
        f"{format_duration(found.high)} is possible), {decimal(found.disk_bytes)}, "
        f"{found.mlflow_runs:,} MLflow runs with {_round_to_two_digits(found.mlflow_rows):,} rows; "
        f"{found.measured}"
    ]
    if found.busy >= MENTIONED:
        lines.append(
            f"this machine is busy with other things: what trains now takes {found.busy:.1f} times "
            "as long as it would alone, and the estimate supposes that this goes on"
        )
    difference = smallest_difference(found, plan)
    if difference is not None:
        lines.append(
            f"{len(plan.confirm_seeds)} confirm seeds find a difference of about "
            f"{difference:.2g} in {plan.study.metric} between two arms four times in five, if "
            f"trainings scatter as in tuning (standard deviation {found.seed_sd:.2g} on validation)"
        )
    return lines


def estimate_json(found: RunEstimate, plan: Plan) -> dict[str, Any]:
    """Return an estimate as plain values."""
    return {
        **asdict(found),
        "device_hours": found.device_seconds / 3600,
        "smallest_difference": smallest_difference(found, plan),
    }


def smallest_difference(found: RunEstimate, plan: Plan) -> float | None:
    """Return the difference of two arms that the seeds find with 80 % power; None = unknown."""
    effect = detectable_effect(len(plan.confirm_seeds))
    if effect is None or found.seed_sd is None:
        return None
    # Two arms' trainings on one seed have little in common, so their difference scatters by the
    # square root of two times as much as each.
    return float(effect * 2**0.5 * found.seed_sd)


def from_probe(plan: Plan, due: Sequence[Remaining], probed: ProbeResults) -> Measurement:
    """Return what micro-runs measured of the arms that have something left."""
    names = {arm.key: arm.name for arm in plan.arms}
    cells = [cell for own in probed.trained.values() for cell in own]
    epochs = [expected_epochs(plan.study.core, cell) for cell in cells]
    unseen = 1 - sum(cell.epochs for cell in cells) / sum(epochs)
    # Cells that have hardly begun are still alike.
    half_way = [cell for cell, whole in zip(cells, epochs, strict=True) if cell.epochs >= whole / 2]
    others = 1 - len(probed.trained) / len(due)
    *first, last = [f"'{names[key]}'" for key in probed.trained]
    trained = f"{', '.join(first)} and {last}" if first else last
    measured = f"measured by training {len(cells)} cells of {trained} for {probed.seconds:.0f} s"
    untimed = sum(one.arm.key not in probed.timings for one in due)
    if untimed:
        measured += f", {untimed} of {len(due)} arms guessed from the others for want of time"
    return Measurement(
        basis="probe",
        measured=measured,
        costs=probed_costs(plan, due, probed),
        cells=[
            replace(cell, epochs=round(whole)) for cell, whole in zip(cells, epochs, strict=True)
        ],
        # Epochs that were not trained, and arms that were not, are what the estimate guesses.
        doubt=1.2 + 0.3 * unseen + 0.15 * others + untimed / len(due),
        seed_sd=seed_sd(half_way, plan.study.metric),
        slowness=probed.opening / OPENING_SECONDS,
        busy=probed.busy,
    )


def _from_ledger(plan: Plan, left: Sequence[Remaining]) -> Measurement | None:
    costs = ledger_costs(left)
    if not costs:
        return None
    cells = [cell for one in left for cell in _trained_cells(one.records)]
    due = [one for one in left if one.is_due]
    unknown = sum(not _trained_cells(one.records) for one in due) / len(due)
    return Measurement(
        basis="ledger",
        measured=f"from the {len(cells)} cells that the ledger holds",
        costs=costs,
        cells=cells,
        doubt=1.15 + 0.5 * unknown,
        seed_sd=seed_sd(cells, plan.study.metric),
    )


def _trained_cells(records: Sequence[CellRecord]) -> list[CellRecord]:
    return [record for record in records if "seconds" in record.metrics]


def _format_hours(seconds: float) -> str:
    return f"{seconds / 3600:.2g}" if seconds < 36_000 else f"{seconds / 3600:,.0f}"


def _round_to_two_digits(count: int) -> int:
    """Round a number to two digits; an estimate has no more."""
    digits = max(0, len(str(count)) - 2)
    return int(round(count, -digits))
