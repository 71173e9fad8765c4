"""`triptych plan`."""

from pathlib import Path
from typing import Any

import click

from search.commands.shared import report_errors, study_options, where_options, workdir_option


@click.command()
@study_options
@workdir_option
@click.option("--keep", is_flag=True, help="Count cells of an older version of code or data.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option(
    "--probe/--no-probe",
    default=None,
    help="Train a little of the study to tell what it takes. Default: unless the ledger knows.",
)
@where_options
def plan(
    study: str,
    data: tuple[str, ...],
    overrides: tuple[str, ...],
    workdir: Path,
    keep: bool,
    **options: Any,
) -> None:
    """Check a study, show what would run, and what it would take.

    STUDY is a file or the name of a shipped study.
    """
    from search.estimates.show_plans import PlanOptions, show_plans
    from search.study.open import ASK, KEEP, open_study

    with report_errors():
        old = KEEP if keep else ASK
        plans = open_study(study, data, overrides, workdir, need_data=False, old=old)
        show_plans(plans, PlanOptions(**options))
