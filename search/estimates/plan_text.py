"""What `triptych plan` says: for a person, and as JSON for a machine."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from msa_core.config.paths import fields_of, get
from msa_core.config.schema import Config
from msa_core.plugins import kinds_added_by
from search.console import say
from search.help.explain import packing_lines
from search.ledger.ledger import read_ledger
from search.ledger.record import CellRecord
from search.results.facts import manifest_of
from search.results.folder import select_cells
from search.study.open import OpenedStudy
from spaces.designs.designs import level_text
from spaces.help.values import written
from spaces.plan.plan import CONFIRM, TUNE, Plan
from spaces.plan.planned_arms import PlannedArm
from spaces.plan.power import detectable_effect, p_floor, seeds_needed
from spaces.search_space.domains import describe
from spaces.study_file.load import Study

MOST_ARMS = 40  # arms listed one by one; of a larger study the first of them


def show_plan(opened: OpenedStudy, console: Console) -> None:
    """Print what would run: arms, searched fields, cells, what is done, what to reconsider."""
    plan, study = opened.plan, opened.study
    heading(console, study)
    finished = finished_cells(opened)
    console.print(_arms_table(plan, finished))
    if len(plan.arms) > MOST_ARMS:
        say(console, f"... and {len(plan.arms) - MOST_ARMS} more arms (--json has them all)")
    searched = {name: domain for arm in plan.arms for name, domain in arm.space.items()}
    if searched:
        places = {name: place for place, name in enumerate(fields_of(Config))}
        console.print("\nsearched:")
        for name, domain in sorted(searched.items(), key=lambda item: places[item[0]]):
            console.print(f"  {name}: {describe(domain)}", markup=False, highlight=False)
    for condition in study.constraints:
        say(console, f"  every candidate: {condition.text}")
    for place, point in enumerate(study.start):
        values = ", ".join(f"{name} = {written(value)}" for name, value in point.items())
        say(console, f"  {'tried first' if place == 0 else 'and'}: {values}")
    say(console, f"\n{budget_sentence(plan)}")
    for line in power_lines(plan):
        say(console, line)
    for claim in study.claims:
        say(console, f"claim: {claim.text}")
    for plugin in study.plugins:
        added = ", ".join(f"{family} '{kind}'" for family, kind in kinds_added_by(plugin))
        say(console, f"plugin {plugin.name}: {added}")
    for line in packing_lines(plan):
        say(console, line)
    for note in plan.notes:
        say(console, f"note: {note}")
    for warning in plan.warnings:
        say(console, f"warning: {warning}")
    if opened.dataset is None:
        say(console, "The study names no data: run it with --data FILE.")
        return
    total = "" if plan.by_seconds else f" of {plan.cells()}"
    say(console, f"{len(finished)}{total} cells are in the ledger of {opened.folder}.")
    if opened.stale is not None:
        kept = f"{opened.stale.sentence()}; they are kept (--keep)"
        say(console, kept if opened.kept else f"changed: {opened.stale.question()}")


def plan_json(opened: OpenedStudy, estimate: Mapping[str, Any] | None) -> dict[str, Any]:
    """The plan as plain values.

    Args:
        opened: what is planned.
        estimate: of time and size; None = nothing was measured.
    """
    plan, study = opened.plan, opened.study
    finished = finished_cells(opened)
    effect = detectable_effect(len(plan.confirm_seeds))
    return {
        "study": study.name,
        "question": study.question,
        "folder": str(opened.folder),
        "data": None if opened.dataset is None else opened.dataset.source,
        "baseline": study.baseline,
        "metric": study.metric,
        "second_metric": study.second_metric or None,
        "sampler": study.sampler,
        "retune": study.retune,
        "budget": study.budget.model_dump(),
        "tune_seeds": list(plan.tune_seeds),
        "confirm_seeds": list(plan.confirm_seeds),
        "arms": [_arm_json(plan, arm, finished) for arm in plan.arms],
        "merged": dict(plan.merged),
        "cells": None if plan.by_seconds else plan.cells(),
        "finished_cells": len(finished),
        "stale": _stale_json(opened),
        "p_floor": p_floor(len(plan.confirm_seeds)),
        "seeds_needed": seeds_needed(len(plan.arms)),
        "detectable_effect_sd": effect,
        "claims": [claim.text for claim in study.claims],
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
        "estimate": None if estimate is None else dict(estimate),
    }


def finished_cells(opened: OpenedStudy) -> list[CellRecord]:
    """The cells of the plan that the ledger holds."""
    if opened.dataset is None or not opened.folder.exists():
        return []
    manifest = manifest_of(opened.plan, opened.dataset, tracking_uri="")
    return select_cells(manifest, read_ledger(opened.folder))


def heading(console: Console, study: Study) -> None:
    """The study's name and question."""
    console.print(Text(study.name, style="bold"), Text(study.question, style="italic"))


def budget_sentence(plan: Plan) -> str:
    """How many cells, and what every arm is given."""
    budget = plan.study.budget
    tuned = sum(bool(arm.space) for arm in plan.arms)
    frozen = sum(bool(arm.frozen) for arm in plan.arms)
    seeds = len(plan.confirm_seeds)
    arms = f"{len(plan.arms)} arms"
    if not tuned:
        return f"{plan.cells()} cells: {arms} on {seeds} seeds each, nothing to tune"
    each = "each" if tuned == len(plan.arms) else f"in the {tuned} that search something"
    if plan.by_seconds:
        given = f"{budget.device_seconds:g} device-seconds of tuning"
        cells = f"{plan.cells()} confirm cells and what fits into the tuning"
    else:
        given = f"{budget.candidates} candidates on {len(plan.tune_seeds)} seeds"
        cells = f"{plan.cells()} cells"
    taken = f", {frozen} frozen at '{plan.study.baseline}'" if frozen else ""
    return f"{cells}: {arms}, {given} {each}{taken}, then {seeds} fresh seeds"


def power_lines(plan: Plan) -> list[str]:
    """What the seeds of a plan can show."""
    seeds, arms = len(plan.confirm_seeds), len(plan.arms)
    if arms < 2:
        return []
    line = (
        f"smallest possible p {p_floor(seeds):.2g}; {seeds_needed(arms)} seeds are needed for any "
        f"of {arms - 1} comparisons to be significant"
    )
    effect = detectable_effect(seeds)
    if effect is not None:
        line += (
            f"; a difference of {effect:.2f} sd of the paired differences is found with 80 % power"
        )
    return [line]


def _arms_table(plan: Plan, finished: Sequence[CellRecord]) -> RichTable:
    table = RichTable(box=None, pad_edge=False)
    table.add_column("arm", overflow="fold")
    table.add_column("changes", overflow="fold")
    for name in ("searched", "cells", "done"):
        table.add_column(name, justify="left" if name == "searched" else "right", no_wrap=True)
    done = _done(finished)
    for arm in plan.arms[:MOST_ARMS]:
        changes = ", ".join(
            level_text(name, value)
            for name, value in arm.changes.items()
            if value != get(plan.study.base, name)
        )
        table.add_row(
            Text(arm.name + (" (baseline)" if arm.name == plan.study.baseline else "")),
            Text(changes or "-"),
            _searched(arm),
            f"{_tuning(plan, arm)}{len(plan.confirm_seeds)}",
            str(sum(done.get((arm.name, phase), 0) for phase in (TUNE, CONFIRM)) or "-"),
        )
    return table


def _searched(arm: PlannedArm) -> str:
    if arm.frozen:
        return f"as {arm.frozen}"
    fields = len(arm.space)
    return f"{fields} field{'s' if fields > 1 else ''}" if fields else "nothing"


def _tuning(plan: Plan, arm: PlannedArm) -> str:
    """What comes before the confirm cells."""
    if arm.space and plan.by_seconds:
        return f"{plan.study.budget.device_seconds:g} s + "
    return f"{plan.tuning_cells(arm)} + " if arm.space else ""


def _done(finished: Sequence[CellRecord]) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for cell in finished:
        counts[cell.arm, cell.phase] = counts.get((cell.arm, cell.phase), 0) + 1
    return counts


def _arm_json(plan: Plan, arm: PlannedArm, finished: Sequence[CellRecord]) -> dict[str, Any]:
    done = _done(finished)
    return {
        "name": arm.name,
        "changes": dict(arm.changes),
        "searched": {path: describe(domain) for path, domain in arm.space.items()},
        "frozen": arm.frozen or None,
        "candidates": None if plan.by_seconds and arm.space else plan.candidates(arm),
        "tuning_cells": None if plan.by_seconds and arm.space else plan.tuning_cells(arm),
        "confirm_cells": len(plan.confirm_seeds),
        "finished_tuning_cells": done.get((arm.name, TUNE), 0),
        "finished_confirm_cells": done.get((arm.name, CONFIRM), 0),
        "key": arm.key,
    }


def _stale_json(opened: OpenedStudy) -> dict[str, Any] | None:
    if opened.stale is None:
        return None
    return {
        "changed": opened.stale.changed,
        "cells": opened.stale.cells,
        "kept": opened.kept,
    }
