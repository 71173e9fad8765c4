"""The output of `triptych plan`: text for a terminal, and JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from search.console import print_line
from search.help.explain import packing_lines
from search.ledger.ledger import read_ledger
from search.ledger.record import CellRecord
from search.results.folder import select_cells
from search.results.plan_facts import manifest_of
from search.study.open import OpenedStudy
from spaces.abilities import Documented
from spaces.designs.arm_names import level_text
from spaces.fields.help import value_text
from spaces.fields.paths import fields_of, value_at
from spaces.find_core import is_code_file
from spaces.plan.arms_on_data import PlannedArm
from spaces.plan.plan import Phase, Plan
from spaces.plan.power import detectable_effect, p_floor, seeds_needed
from spaces.search_space.domains import describe_domain
from spaces.study_file.load import Study

MOST_ARMS = 40  # arms listed one by one; of a larger study the first of them


def show_plan(opened: OpenedStudy, console: Console) -> None:
    """Print what would run: arms, searched fields, cells, finished ones, what to reconsider."""
    plan, study = opened.plan, opened.study
    print_heading(console, study)
    finished = finished_cells(opened)
    console.print(_arms_table(plan, finished))
    if len(plan.arms) > MOST_ARMS:
        print_line(console, f"... and {len(plan.arms) - MOST_ARMS} more arms (--json has them all)")
    searched = {name: domain for arm in plan.arms for name, domain in arm.space.items()}
    if searched:
        # In the order of the configuration, as in the reference, and not of the arms.
        order = {name: index for index, name in enumerate(fields_of(study.core.config_class))}
        console.print("\nsearched:")
        for name, domain in sorted(searched.items(), key=lambda item: order[item[0]]):
            console.print(f"  {name}: {describe_domain(domain)}", markup=False, highlight=False)
    for condition in study.constraints:
        print_line(console, f"  every candidate: {condition.text}")
    for index, point in enumerate(study.start):
        values = ", ".join(f"{name} = {value_text(value)}" for name, value in point.items())
        print_line(console, f"  {'tried first' if index == 0 else 'and'}: {values}")
    print_line(console, f"\n{budget_sentence(plan)}")
    for line in power_lines(plan):
        print_line(console, line)
    for claim in study.claims:
        print_line(console, f"claim: {claim.text}")
    for plugin in () if is_code_file(study.core.name) else study.plugins:
        added = study.core.added_by(plugin) if isinstance(study.core, Documented) else ""
        print_line(console, f"plugin {plugin.name}: {added}")
    for line in packing_lines(plan):
        print_line(console, line)
    for note in plan.notes:
        print_line(console, f"note: {note}")
    for warning in plan.warnings:
        print_line(console, f"warning: {warning}")
    if opened.dataset is None:
        print_line(console, "The study names no data: run it with --data FILE.")
        return
    total = "" if plan.by_seconds else f" of {plan.cell_count()}"
    print_line(console, f"{len(finished)}{total} cells are in the ledger of {opened.folder}.")
    if opened.stale is not None:
        kept = f"{opened.stale.change_sentence()}; they are kept (--keep)"
        print_line(
            console, kept if opened.keeps_stale else f"changed: {opened.stale.rerun_question()}"
        )


def plan_json(opened: OpenedStudy, estimate: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the plan as plain values.

    Args:
        opened: Study that is planned.
        estimate: Estimate of time and size; None = nothing was measured.
    """
    plan, study = opened.plan, opened.study
    finished = finished_cells(opened)
    done = Counter((cell.arm, cell.phase) for cell in finished)
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
        "arms": [_arm_json(plan, arm, done) for arm in plan.arms],
        "merged": dict(plan.merged),
        "cells": None if plan.by_seconds else plan.cell_count(),
        "finished_cells": len(finished),
        "stale": None
        if opened.stale is None
        else {
            "changed": opened.stale.changed,
            "arms": list(opened.stale.arms),
            "causes": list(opened.stale.causes),
            "cells": opened.stale.cells,
            "kept": opened.keeps_stale,
        },
        "p_floor": p_floor(len(plan.confirm_seeds)),
        "seeds_needed": seeds_needed(len(plan.arms)),
        "detectable_effect_sd": effect,
        "claims": [claim.text for claim in study.claims],
        "notes": list(plan.notes),
        "warnings": list(plan.warnings),
        "estimate": None if estimate is None else dict(estimate),
    }


def finished_cells(opened: OpenedStudy) -> list[CellRecord]:
    """List the plan's cells that the ledger holds."""
    if opened.dataset is None or not opened.folder.exists():
        return []
    manifest = manifest_of(opened.plan, opened.dataset, tracking_uri="")
    return select_cells(manifest, read_ledger(opened.folder))


def print_heading(console: Console, study: Study) -> None:
    """Print the study's name and question."""
    console.print(Text(study.name, style="bold"), Text(study.question, style="italic"))


def budget_sentence(plan: Plan) -> str:
    """Describe how many cells there are, and the budget of every arm."""
    budget = plan.study.budget
    tuned = sum(bool(arm.space) for arm in plan.arms)
    frozen = sum(bool(arm.frozen) for arm in plan.arms)
    seeds = len(plan.confirm_seeds)
    arms = f"{len(plan.arms)} arms"
    if not tuned:
        return f"{plan.cell_count()} cells: {arms} on {seeds} seeds each, nothing to tune"
    each = "each" if tuned == len(plan.arms) else f"in the {tuned} that search something"
    if plan.by_seconds:
        given = f"{budget.device_seconds:g} device-seconds of tuning"
        cells = f"{plan.cell_count()} confirm cells and what fits into the tuning"
    else:
        given = f"{budget.candidates} candidates on {len(plan.tune_seeds)} seeds"
        cells = f"{plan.cell_count()} cells"
    taken = f", {frozen} frozen at '{plan.study.baseline}'" if frozen else ""
    return f"{cells}: {arms}, {given} {each}{taken}, then {seeds} fresh seeds"


def power_lines(plan: Plan) -> list[str]:
    """Describe what the seeds of a plan can show."""
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
    done = Counter((cell.arm, cell.phase) for cell in finished)
    for arm in plan.arms[:MOST_ARMS]:
        changes = ", ".join(
            level_text(plan.study.core.config_class, name, value)
            for name, value in arm.changes.items()
            if value != value_at(plan.study.base, name)
        )
        table.add_row(
            Text(arm.name + (" (baseline)" if arm.name == plan.study.baseline else "")),
            Text(changes or "-"),
            _searched_text(arm),
            f"{_tuning_text(plan, arm)}{len(plan.confirm_seeds)}",
            str(sum(done[arm.name, phase] for phase in Phase) or "-"),
        )
    return table


def _searched_text(arm: PlannedArm) -> str:
    if arm.frozen:
        return f"as {arm.frozen}"
    fields = len(arm.space)
    return f"{fields} field{'s' if fields > 1 else ''}" if fields else "nothing"


def _tuning_text(plan: Plan, arm: PlannedArm) -> str:
    """Describe what comes before the confirm cells."""
    if arm.space and plan.by_seconds:
        return f"{plan.study.budget.device_seconds:g} s + "
    return f"{plan.tuning_cells(arm)} + " if arm.space else ""


def _arm_json(plan: Plan, arm: PlannedArm, done: Counter[tuple[str, Phase]]) -> dict[str, Any]:
    return {
        "name": arm.name,
        "changes": dict(arm.changes),
        "searched": {path: describe_domain(domain) for path, domain in arm.space.items()},
        "frozen": arm.frozen or None,
        "candidates": None if plan.by_seconds and arm.space else plan.candidate_count(arm),
        "tuning_cells": None if plan.by_seconds and arm.space else plan.tuning_cells(arm),
        "confirm_cells": len(plan.confirm_seeds),
        "finished_tuning_cells": done[arm.name, Phase.TUNE],
        "finished_confirm_cells": done[arm.name, Phase.CONFIRM],
        "key": arm.key,
    }
