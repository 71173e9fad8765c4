"""The entry point of `triptych`."""

import atexit
import gc

import click

# Light: each command imports what it works with when it is called, so that
# `triptych --help` and completion take a moment and not seconds.
from search.commands.compare import compare
from search.commands.explain import explain
from search.commands.init import init
from search.commands.ledger import ledger
from search.commands.plan import plan
from search.commands.report import report
from search.commands.reproduce import reproduce
from search.commands.run import run
from search.commands.schema import schema
from search.commands.serve import serve
from search.commands.status import status
from search.commands.submit import submit
from search.commands.sync import sync


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Completion in bash: eval "$(_TRIPTYCH_COMPLETE=bash_source triptych)"; '
    "zsh_source and fish_source are for zsh and fish.",
)
@click.version_option(package_name="triptych", prog_name="triptych")
def main() -> None:
    """Which parts of a multimodal model matter, by how much, and how sure are we?

    A study is one YAML file. `triptych run` tunes every arm with the same budget, trains the
    winners on fresh seeds, and writes the table with its uncertainty. Running it again does
    only what is missing.
    """
    # At its end Python would look at every object of PyTorch, MLflow and pandas, for seconds.
    atexit.register(gc.freeze)


for command in (
    init, schema, plan, explain, run, status, report, sync, submit, ledger, reproduce, compare,
    serve,
):  # fmt: skip
    main.add_command(command)


if __name__ == "__main__":
    main()
