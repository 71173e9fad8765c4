"""What the commands of `triptych` do, one function a command."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console

from reports.results import ResultsError
from search.console import say
from search.engine.nodes import at_hand
from search.errors import RunError
from search.estimates.estimate import Estimate
from search.estimates.measure import (
    estimate_for,
    estimate_json,
    estimate_lines,
    kept,
)
from search.estimates.plan_text import plan_json, show_plan
from search.results.embargo import unseal
from search.results.folder import ledger_results, read_manifest, results_folder
from search.results.history import keep_estimate
from search.study.open import OpenedStudy

NO_ESTIMATE = "no estimate: the ledger knows nothing of these cells, and none was tried (--probe)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanOptions:
    """What `triptych plan` measures, and for which machine.

    Attributes:
        as_json: print JSON.
        probe: make micro-runs; None = where the ledger does not know enough.
        address, workers, gpus_a_worker: as for a run.
    """

    as_json: bool = False
    probe: bool | None = None
    address: str | None = None
    workers: int | None = None
    gpus_a_worker: float | None = None


def show_plans(plans: Sequence[OpenedStudy], options: PlanOptions) -> None:
    """Print what would run on each data set, and what it would take.

    Raises:
        RunError: no cluster at the address.
    """
    console = Console()
    if options.as_json:
        shown = []
        for opened in plans:
            found = _estimate(opened, options)
            shown.append(plan_json(opened, estimate_json(found, opened.plan) if found else None))
        click.echo(json.dumps(shown[0] if len(shown) == 1 else shown, indent=1, ensure_ascii=False))
        return
    for opened in plans:
        show_plan(opened, console)
        if opened.dataset is not None:
            found = _estimate(opened, options)
            for line in estimate_lines(found, opened.plan) if found else (NO_ESTIMATE,):
                say(console, line)


def _estimate(opened: OpenedStudy, options: PlanOptions) -> Estimate | None:
    """What the study will take; the folder remembers it, to be compared with the truth."""
    if opened.dataset is None:
        return None
    try:
        resources = at_hand(options.address, options.workers, options.gpus_a_worker)
    except RunError:
        raise
    except (ConnectionError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(f"no Ray cluster answers at {options.address}: {reason}") from error
    found = estimate_for(
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
            keep_estimate(opened.folder, kept(found))
    return found


def write_study_report(
    name: str, workdir: Path, source: str, tracking_uri: str | None, unseal_now: bool = False
) -> None:
    """Write a study's report again, from its ledger or from MLflow alone.

    Args:
        name: of a study, a file or a results folder.
        workdir: where results are.
        source: `ledger` or `mlflow`.
        tracking_uri: the server; None = the one of the run.
        unseal_now: show the test metrics of an unfinished study too, and write that down.

    Raises:
        ResultsError: no results there, or nothing that could be opened.
    """
    from reports.mlflow_source import read_mlflow
    from search.report.write_and_print import report_on

    folder = results_folder(name, workdir)
    if unseal_now and source != "ledger":
        raise ResultsError(
            "--unseal: MLflow has no test metrics of an unfinished study; leave out --from mlflow, "
            "and the report is made from the ledger"
        )
    if source == "ledger":
        results = ledger_results(folder, unseal=unseal_now and unseal(folder))
    elif tracking_uri:
        results = read_mlflow(tracking_uri, folder.name)
    else:
        manifest = read_manifest(folder)
        results = read_mlflow(manifest.tracking_uri, manifest.facts.study, plan=manifest.digest)
    report_on(results, folder, Console())
