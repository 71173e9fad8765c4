"""The estimate of `triptych plan`: measuring what must be measured, and the lines that show it."""

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from msa_core.config.schema import PlantedConfig
from msa_core.data.dataset import Dataset
from msa_core.vectorised.pack_key import pack_key
from search.estimates.arm_cost import busy_factor, ledger_costs, probed_costs, seed_sd
from search.estimates.cost import relative_cost
from search.estimates.probe import TRAIN_SECONDS, OpenStudyTask, ProbeResults, run_probes
from search.estimates.remaining import Remaining, find_remaining, work_identity
from search.estimates.run_estimate import (
    TO_FIRST_PACK,
    Machine,
    Measurement,
    RunEstimate,
    estimate_run,
)
from search.ledger.ledger import read_ledger, read_pack_sizes
from search.ledger.record import CellRecord
from search.results.history import KeptEstimate, format_duration, last_startups, read_runs
from search.schedule.pack_sizes import UNMEASURED, PackSizes
from spaces.plan.plan import Phase, Plan
from spaces.plan.power import detectable_effect

# Processor seconds until a micro-run has opened the study, on the machine of TO_FIRST_PACK.
OPENING_SECONDS = 2.6
MENTIONED = 1.25  # factor of a busy machine from which on it gets a line of its own
ENOUGH_CELLS = 3  # cells of an arm in the ledger from which its costs are known


def measure_study(
    plan: Plan,
    dataset: Dataset,
    folder: Path,
    *,
    source: Path | PlantedConfig | None = None,
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
        seconds: Time of training in each micro-run, in seconds.

    Raises:
        LedgerError: a damaged ledger.
    """
    records = read_ledger(folder)
    left = find_remaining(plan, records.values())
    name = work_identity(plan, left)
    count = workers or os.cpu_count() or 1
    machine = Machine(workers=count, cores=(os.cpu_count() or 1) if local else None)
    startups = last_startups(read_runs(folder))
    if startups:
        slowness = fmean(startups) / TO_FIRST_PACK
        machine = replace(machine, slowness=slowness, startup=fmean(startups))
    measurement: Measurement | None = _from_ledger(plan, left, dataset, folder)
    due = [one for one in left if one.is_due]
    known = all(len(_trained_cells(one.records)) >= ENOUGH_CELLS for one in due)
    wanted = not known if probe_first is None else probe_first
    data = source or plan.study.data.file or plan.study.data.planted
    if due and wanted and device == "cpu" and data is not None:
        probed = run_probes(
            OpenStudyTask(
                plan=plan,
                source=data,
                folder=folder,
                memory=_free_memory() // count if local else 0,
            ),
            # The dearest first, as far as that can be guessed: they decide the estimate, and arms
            # that come too late are not timed.
            [one.arm.key for one in sorted(due, key=lambda one: -relative_cost(one.arm.config))],
            workers=min(count, os.cpu_count() or 1),
            fair=-(-sum(_first_cells(plan, one) for one in due) // count),
            most=UNMEASURED,
            seconds=seconds,
        )
        measured = _from_probe(plan, left, probed)
        if measured is not None and probed is not None:
            measurement = measured
            busy = busy_factor([one for found in probed.trained.values() for one in found])
            slowness = machine.slowness if startups else probed.opening / OPENING_SECONDS
            machine = replace(machine, slowness=slowness, busy=busy)
    if due and measurement is None:
        return None
    measurement = measurement or Measurement(basis="ledger", measured="", costs={}, doubt=1.0)
    return estimate_run(plan, left, name, measurement, machine, len(dataset.test))


def plan_identity(plan: Plan, folder: Path) -> str:
    """Identify the plan and what is left of it; for `read_estimate`, before a run starts."""
    return work_identity(plan, find_remaining(plan, read_ledger(folder).values()))


def estimate_to_keep(found: RunEstimate) -> KeptEstimate:
    """Select what the folder is to remember of an estimate."""
    return KeptEstimate(
        plan=found.plan,
        wall_seconds=found.wall_seconds,
        device_seconds=found.device_seconds,
        workers=found.workers,
        basis=found.basis,
    )


def estimate_lines(found: RunEstimate, plan: Plan) -> list[str]:
    """Write an estimate for the terminal."""
    if not found.cells:
        seconds = format_duration(found.wall_seconds)
        return [f"nothing is left to train; the report takes about {seconds}"]
    workers = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
    lines = [
        f"about {format_duration(found.wall_seconds)} on {workers} "
        f"({_format_hours(found.device_seconds)} device-hours; {format_duration(found.low)} to "
        f"{format_duration(found.high)} is possible), {_format_bytes(found.disk_bytes)}, "
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


def estimate_json(found: RunEstimate, plan: Plan | None = None) -> dict[str, Any]:
    """Return an estimate as plain values."""
    said = {**asdict(found), "device_hours": found.device_seconds / 3600}
    if plan is not None:
        said["smallest_difference"] = smallest_difference(found, plan)
    return said


def smallest_difference(found: RunEstimate, plan: Plan) -> float | None:
    """Return the difference of two arms that the seeds find with 80 % power; None = unknown."""
    effect = detectable_effect(len(plan.confirm_seeds))
    if effect is None or found.seed_sd is None:
        return None
    # Two arms' trainings on one seed have little in common, so their difference scatters by the
    # square root of two times as much as each.
    return float(effect * 2**0.5 * found.seed_sd)


def _from_probe(
    plan: Plan, left: Sequence[Remaining], probed: ProbeResults | None
) -> Measurement | None:
    if probed is None or not probed.trained:
        return None
    names = {arm.key: arm.name for arm in plan.arms}
    found = [one for trained in probed.trained.values() for one in trained]
    expected = sum(sum(one.expected) for one in found)
    unseen = 1 - sum(sum(one.epochs) for one in found) / max(1.0, expected)
    arms = sum(one.is_due for one in left)
    others = 1 - len(probed.trained) / arms
    cells = sum(one.cells for one in found)
    *first, last = [f"'{names[key]}'" for key in probed.trained]
    trained = f"{', '.join(first)} and {last}" if first else last
    return Measurement(
        basis="probe",
        measured=f"measured by training {cells} cells of {trained} for {probed.seconds:.0f} s",
        costs=probed_costs(plan, left, probed),
        # Epochs that were not trained, and arms that were not, are what the estimate guesses.
        doubt=1.2 + 0.3 * unseen + 0.15 * others,
        seed_sd=seed_sd([one.values for one in found]),
        parameters=max(one.parameters for one in found),
    )


def _from_ledger(
    plan: Plan, left: Sequence[Remaining], dataset: Dataset, folder: Path
) -> Measurement | None:
    measured = PackSizes(read_pack_sizes(folder), data=dataset.fingerprint)
    sizes = {one.arm.key: measured.size_for(pack_key(one.arm.config)) or 0 for one in left}
    costs = ledger_costs(plan, left, sizes)
    if not costs:
        return None
    cells = sum(len(_trained_cells(one.records)) for one in left)
    due = [one for one in left if one.is_due]
    unknown = sum(not _trained_cells(one.records) for one in due) / max(1, len(due))
    metric = f"valid.{plan.study.metric}"
    tuning = [[cell for cell in one.records if cell.phase == Phase.TUNE] for one in left]
    return Measurement(
        basis="ledger",
        measured=f"from the {cells} cells that the ledger holds",
        costs=costs,
        doubt=1.15 + 0.5 * unknown,
        seed_sd=seed_sd(
            [[(cell.candidate, cell.metrics.get(metric)) for cell in own] for own in tuning]
        ),
        parameters=int(
            max((cell.metrics.get("parameters", 0) for own in tuning for cell in own), default=0)
        ),
    )


def _trained_cells(records: Sequence[CellRecord]) -> list[CellRecord]:
    return [record for record in records if "seconds" in record.metrics]


def _first_cells(plan: Plan, one: Remaining) -> int:
    """Return the number of an arm's cells that can be trained when a run starts."""
    if one.tune:
        return one.tune[0]
    if one.tune_seconds:
        return plan.study.budget.generation * len(plan.tune_seeds)
    return 0 if one.arm.frozen else one.confirm


def _free_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _format_hours(seconds: float) -> str:
    return f"{seconds / 3600:.2g}" if seconds < 36_000 else f"{seconds / 3600:,.0f}"


def _format_bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return (
                f"{count / size:.3g} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
            )
    return f"{count / 1e3:.0f} kB"


def _round_to_two_digits(count: int) -> int:
    """Round a number to two digits; an estimate has no more."""
    digits = max(0, len(str(count)) - 2)
    return int(round(count, -digits))
