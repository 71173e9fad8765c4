"""`triptych plan`'s estimate: measure what must be measured, and say it in a few lines."""

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
from search.estimates.cost import proxy
from search.estimates.estimate import TO_FIRST_PACK, Estimate, Machine, Measurement, estimate
from search.estimates.probe import TRAIN_SECONDS, Opening, Probed, probe
from search.estimates.remaining import Remaining, identity, remaining
from search.ledger.ledger import read_ledger, read_pack_sizes
from search.ledger.record import CellRecord
from search.results.history import KeptEstimate, duration, last_startups, read_runs
from search.schedule.pack_sizes import UNMEASURED, PackSizes
from spaces.plan.plan import TUNE, Plan
from spaces.plan.power import detectable_effect

OPENING = 2.6  # seconds of the processor until a micro-run has opened the study, see TO_FIRST_PACK
MENTIONED = 1.25  # how busy a machine must be for a line of its own
ENOUGH_CELLS = 3  # of an arm in the ledger, to know what its cells cost


def estimate_for(
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
) -> Estimate | None:
    """What running the plan in this folder will take; None if nothing is known to tell it from.

    Args:
        plan: of the study on its data.
        dataset: that data.
        folder: of the results.
        source: of the data, where it was named beside the study.
        workers: packs at once; None = this machine's cores.
        local: whether the workers are on this machine.
        device: `cpu` or `cuda`; micro-runs are made on the CPU alone.
        probe_first: make micro-runs; None = unless the ledger knows every arm that is left.
        seconds: of training in each micro-run.

    Raises:
        LedgerError: a damaged ledger.
    """
    records = read_ledger(folder)
    left = remaining(plan, records.values())
    name = identity(plan, left)
    count = workers or os.cpu_count() or 1
    machine = Machine(workers=count, cores=(os.cpu_count() or 1) if local else None)
    startups = last_startups(read_runs(folder))
    if startups:
        slowness = fmean(startups) / TO_FIRST_PACK
        machine = replace(machine, slowness=slowness, startup=fmean(startups))
    measurement: Measurement | None = _from_ledger(plan, left, dataset, folder)
    due = [one for one in left if one.anything]
    known = all(len(_trained(one.records)) >= ENOUGH_CELLS for one in due)
    wanted = not known if probe_first is None else probe_first
    data = source or plan.study.data.file or plan.study.data.planted
    if due and wanted and device == "cpu" and data is not None:
        probed = probe(
            Opening(
                plan=plan,
                source=data,
                folder=folder,
                memory=_memory() // count if local else 0,
            ),
            # The dearest first, as far as that can be guessed: of them most must be known.
            [one.arm.key for one in sorted(due, key=lambda one: -proxy(one.arm.config))],
            workers=min(count, os.cpu_count() or 1),
            fair=-(-sum(_at_first(plan, one) for one in due) // count),
            most=UNMEASURED,
            seconds=seconds,
        )
        measured = _from_probe(plan, left, probed)
        if measured is not None and probed is not None:
            measurement = measured
            busy = busy_factor([one for found in probed.trained.values() for one in found])
            slowness = machine.slowness if startups else probed.opening / OPENING
            machine = replace(machine, slowness=slowness, busy=busy)
    if due and measurement is None:
        return None
    measurement = measurement or Measurement(basis="ledger", measured="", costs={}, doubt=1.0)
    return estimate(plan, left, name, measurement, machine, len(dataset.test))


def plan_identity(plan: Plan, folder: Path) -> str:
    """Names the plan and what is left of it; for `read_estimate`, before a run starts."""
    return identity(plan, remaining(plan, read_ledger(folder).values()))


def kept(found: Estimate) -> KeptEstimate:
    """What the folder is to remember of an estimate."""
    return KeptEstimate(
        plan=found.plan,
        wall_seconds=found.wall_seconds,
        device_seconds=found.device_seconds,
        workers=found.workers,
        basis=found.basis,
    )


def estimate_lines(found: Estimate, plan: Plan) -> list[str]:
    """An estimate for the terminal."""
    if not found.cells:
        return [f"nothing is left to train; the report takes about {duration(found.wall_seconds)}"]
    workers = f"{found.workers} worker{'s' if found.workers > 1 else ''}"
    lines = [
        f"about {duration(found.wall_seconds)} on {workers} "
        f"({_hours(found.device_seconds)} device-hours; {duration(found.low)} to "
        f"{duration(found.high)} is possible), {_bytes(found.disk_bytes)}, {found.mlflow_runs:,} "
        f"MLflow runs with {_rounded(found.mlflow_rows):,} rows; {found.measured}"
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


def estimate_json(found: Estimate, plan: Plan | None = None) -> dict[str, Any]:
    """An estimate for a program."""
    said = {**asdict(found), "device_hours": found.device_seconds / 3600}
    if plan is not None:
        said["smallest_difference"] = smallest_difference(found, plan)
    return said


def smallest_difference(found: Estimate, plan: Plan) -> float | None:
    """The difference between two arms that the confirm seeds find with 80 % power; None = unknown.

    Two arms' trainings on one seed have little in common, so their difference scatters by the
    square root of two times as much as each.
    """
    effect = detectable_effect(len(plan.confirm_seeds))
    if effect is None or found.seed_sd is None:
        return None
    return float(effect * 2**0.5 * found.seed_sd)


def _from_probe(plan: Plan, left: Sequence[Remaining], probed: Probed | None) -> Measurement | None:
    if probed is None or not probed.trained:
        return None
    names = {arm.key: arm.name for arm in plan.arms}
    found = [one for trained in probed.trained.values() for one in trained]
    expected = sum(sum(one.expected) for one in found)
    unseen = 1 - sum(sum(one.epochs) for one in found) / max(1.0, expected)
    arms = sum(one.anything for one in left)
    others = 1 - len(probed.trained) / arms
    cells = sum(one.cells for one in found)
    *first, last = [f"'{names[key]}'" for key in probed.trained]
    trained = f"{', '.join(first)} and {last}" if first else last
    return Measurement(
        basis="probe",
        measured=f"measured by training {cells} cells of {trained} for {probed.seconds:.0f} s",
        costs=probed_costs(plan, left, probed),
        doubt=1.2 + 0.3 * unseen + 0.15 * others,
        seed_sd=seed_sd([one.values for one in found]),
        parameters=max(one.parameters for one in found),
    )


def _from_ledger(
    plan: Plan, left: Sequence[Remaining], dataset: Dataset, folder: Path
) -> Measurement | None:
    measured = PackSizes(read_pack_sizes(folder), data=dataset.fingerprint)
    sizes = {one.arm.key: measured.size(pack_key(one.arm.config)) or 0 for one in left}
    costs = ledger_costs(plan, left, sizes)
    if not costs:
        return None
    cells = sum(len(_trained(one.records)) for one in left)
    due = [one for one in left if one.anything]
    unknown = sum(not _trained(one.records) for one in due) / max(1, len(due))
    metric = f"valid.{plan.study.metric}"
    tuning = [[cell for cell in one.records if cell.phase == TUNE] for one in left]
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


def _trained(records: Sequence[CellRecord]) -> list[CellRecord]:
    return [record for record in records if "seconds" in record.metrics]


def _at_first(plan: Plan, one: Remaining) -> int:
    """Cells of an arm that wait when a run starts."""
    if one.tune:
        return one.tune[0]
    if one.tune_seconds:
        return plan.study.budget.generation * len(plan.tune_seeds)
    return 0 if one.arm.frozen else one.confirm


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.2g}" if seconds < 36_000 else f"{seconds / 3600:,.0f}"


def _bytes(count: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if count >= size:
            return (
                f"{count / size:.3g} {unit}" if count < 10 * size else f"{count / size:.0f} {unit}"
            )
    return f"{count / 1e3:.0f} kB"


def _rounded(count: int) -> int:
    """Two digits of a number; nobody knows more of it."""
    digits = max(0, len(str(count)) - 2)
    return int(round(count, -digits))
