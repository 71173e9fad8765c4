"""`triptych explain`: print what a field of a study means."""

import click

from search.commands.completion import complete_field
from search.commands.shared import modules_option, report_errors


@click.command()
@click.argument("field", required=False, shell_complete=complete_field)
@modules_option
def explain(field: str | None, study: str | None) -> None:
    """Say what a field of a study means.

    FIELD is a field such as train.epochs, a group of them such as model.fusion, a field of the
    study such as budget.candidates, a design, a domain or a sampler; without it, all are listed.
    """
    from search.help.explain import show_field, show_fields
    from spaces.find_core import DEFAULT, find_core
    from spaces.study_file.load import find_study, load_study

    with report_errors():
        core = load_study(find_study(study)).core if study else find_core(DEFAULT)
        show_field(field, core) if field else show_fields(core)
