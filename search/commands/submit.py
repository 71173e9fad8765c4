"""`triptych submit`: run a study on a Ray cluster, without this machine."""

import sys
from typing import Any

import click

from search.commands.run import run
from search.commands.shared import AUTO_SHARE, report_errors, study_argument
from search.submit.head import HEAD_WORKDIR

# Parameters of `triptych run` that mean something else in a submission.
OWN = ("study", "data", "overrides", "workdir", "address")
# The others are options here too, and are given again to `triptych run` on the cluster.
PASSED_ON = [param for param in run.params if param.name not in OWN]


@click.command()
@study_argument
@click.option(
    "--address",
    required=True,
    metavar="URL",
    help="The cluster's job server, which is the dashboard's: http://127.0.0.1:8265.",
)
@click.option(
    "--workdir",
    default=HEAD_WORKDIR,
    show_default=True,
    help="Results are in WORKDIR/runs/<study> on the head.",
)
@click.option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="Feature file of this machine, to be sent; NAME=FILE for one of several data sets.",
)
@click.option(
    "--data-there",
    multiple=True,
    metavar="FILE",
    help="Feature file by its path on the cluster, likewise.",
)
@click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="As for `triptych run`."
)
@click.option(
    "--follow/--no-follow", default=True, help="Show what it says until it ends. Default: yes."
)
@click.pass_context
def submit(
    context: click.Context,
    /,
    study: str,
    address: str,
    workdir: str,
    data: tuple[str, ...],
    data_there: tuple[str, ...],
    overrides: tuple[str, ...],
    follow: bool,
    **options: Any,
) -> None:
    """Hand a study in to a Ray cluster, where it runs without this machine.

    STUDY is a file or the name of a shipped study. It travels with its modules, its feature
    files up to 100 MB, and Triptych itself. The same command goes on with a study that was
    stopped. Exit codes are those of `triptych run`.
    """
    from search.submit.jobs import follow_study, submit_study

    with report_errors():
        taken = submit_study(
            study,
            address,
            workdir=workdir,
            data=data,
            data_there=data_there,
            overrides=overrides,
            options=repeat_options(context, PASSED_ON),
        )
        click.echo(f"study '{taken.study}' runs at {address} as job {taken.job}")
        if follow:
            sys.exit(follow_study(taken, lambda text: click.echo(text, nl=False)))
        click.echo(f"how far it is: {taken.status_command()}")


submit.params.extend(PASSED_ON)


def repeat_options(context: click.Context, params: list[click.Parameter]) -> list[str]:
    """Return the arguments by which a user gave these parameters on the command line.

    Args:
        context: Context of the command that got them.
        params: Parameters to repeat, as far as they were given.
    """
    again: list[str] = []
    for param in params:
        assert param.name is not None
        # Defaults are left to the other machine, which may run another version.
        source = context.get_parameter_source(param.name)
        if source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[param.name]
        if isinstance(param, click.Option) and param.is_flag:
            # A flag has no value; what turned it off has a name of its own, if it has any.
            again += [param.opts[0]] if value else param.secondary_opts[:1]
            continue
        several = isinstance(param, click.Option) and param.multiple
        for one in value if several else (value,):
            again += [param.opts[0], AUTO_SHARE if one is None else str(one)]
    return again
