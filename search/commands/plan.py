"""`triptych plan`: check a study, show what would run and what it would take."""

from pathlib import Path
from typing import Any

import click

from search.commands.shared import hardware_options, report_errors, study_file_options


@click.command()
@study_file_options
@click.option("--keep", is_flag=True, help="Count cells of an older version of code or data.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@click.option("--why", is_flag=True, help="Print what made finished cells stale, and nothing else.")
@click.option(
    "--probe/--no-probe",
    default=None,
    help="Train a little of the study to tell what it takes. Default: unless the ledger knows.",
)
@hardware_options
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
    from search.study.open import StaleAnswer, open_study

    with report_errors():
        answer = StaleAnswer.KEEP if keep else StaleAnswer.ASK
        plans = open_study(study, data, overrides, workdir, need_data=False, stale_answer=answer)
        show_plans(plans, PlanOptions(**options))
