"""The work of `triptych plan`."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass

import click
from rich.console import Console

from search.console import print_line
from search.engine.nodes import at_hand
from search.errors import RunError
from search.estimates.measure_study import (
    estimate_json,
    estimate_lines,
    measure_study,
)
from search.estimates.plan_text import plan_json, print_heading, show_plan
from search.estimates.run_estimate import RunEstimate
from search.results.history import keep_estimate
from search.study.open import OpenedStudy
from search.study.why import explain_stale, explanation_lines

NO_ESTIMATE = "no estimate: the ledger knows nothing of these cells, and none was tried (--probe)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """The options of `triptych plan`.

    Attributes:
        as_json: Whether to print JSON.
        why: Whether to print what made finished cells stale, in place of the plan.
        probe: Whether to make micro-runs; None = where the ledger does not know enough.
        address, workers, gpus_a_worker: Resources, by the same options as those of a run.
    """

    as_json: bool = False
    why: bool = False
    probe: bool | None = None
    address: str | None = None
    workers: int | None = None
    gpus_a_worker: float | None = None


def show_plans(plans: Sequence[OpenedStudy], options: PlanOptions) -> None:
    """Print what would run on each data set, and the estimate of it.

    Raises:
        RunError: no cluster at the address.
    """
    console = Console()
    if options.why:
        _show_reasons(plans, console, as_json=options.as_json)
        return
    if options.as_json:
        shown = []
        for opened in plans:
            found = _estimate_plan(opened, options)
            shown.append(plan_json(opened, estimate_json(found, opened.plan) if found else None))
        click.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1, ensure_ascii=False))
        return
    for opened in plans:
        show_plan(opened, console)
        if opened.dataset is not None:
            found = _estimate_plan(opened, options)
            for line in estimate_lines(found, opened.plan) if found else (NO_ESTIMATE,):
                print_line(console, line)


def _show_reasons(plans: Sequence[OpenedStudy], console: Console, *, as_json: bool) -> None:
    """Print what made finished cells stale on each data set."""
    found = [(opened, explain_stale(opened)) for opened in plans]
    if as_json:
        shown = [
            {
                "study": opened.study.name,
                "folder": str(opened.folder),
                "why": None if why is None else asdict(why),
            }
            for opened, why in found
        ]
        click.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1, ensure_ascii=False))
        return
    for opened, why in found:
        print_heading(console, opened.study)
        for line in explanation_lines(why):
            print_line(console, line)


def _estimate_plan(opened: OpenedStudy, options: PlanOptions) -> RunEstimate | None:
    """Estimate what the study will take; the folder keeps that, for comparison with the run."""
    if opened.dataset is None:
        return None
    try:
        resources = at_hand(options.address, options.workers, options.gpus_a_worker)
    except RunError:
        raise
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"no Ray cluster answers at {options.address}: {reason}") from error
    found = measure_study(
        opened.plan,
        opened.dataset,
        opened.folder,
        source=opened.source,
        workers=resources.workers,
        local=options.address is None,
        device=resources.device,
        probe_first=options.probe,
    )
    if found is not None:
        with suppress(OSError):  # a plan may be made where nothing can be written
            keep_estimate(opened.folder, estimate_json(found, opened.plan))
    return found
