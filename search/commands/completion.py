"""What the shell offers for a half-typed STUDY or FIELD."""

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem


def complete_study(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer shipped studies, results folders below WORKDIR and study files."""
    from search.results.layout import PLAN, RUNS
    from spaces.study_file.load import SHIPPED

    workdir = context.params.get("workdir")
    # For `submit` it is a folder of another machine, and a string.
    runs = (workdir if isinstance(workdir, Path) else Path()) / RUNS
    names = {path.stem for path in SHIPPED.glob("*.yaml")}
    names |= {path.parent.name for path in runs.glob(f"*/{PLAN}")}
    folder = incomplete.rpartition("/")[0]
    files = {str(path) for path in Path(folder).glob("*.yaml")}
    # Without a match the shell completes the path itself, so that one can go into a folder.
    return _beginning_with(incomplete, [*sorted(names), *sorted(files)]) or [
        CompletionItem(incomplete, type="file")
    ]


def complete_field(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer what `triptych explain` knows: fields, groups of them, designs, domains, samplers."""
    from spaces.errors import StudyError
    from spaces.fields.paths import fields_of
    from spaces.find_core import DEFAULT, find_core
    from spaces.help.topics import topic_names
    from spaces.study_file.load import find_study, load_study

    study = context.params.get("study")
    try:
        core = load_study(find_study(study)).core if study else find_core(DEFAULT)
    except StudyError:  # nothing is printed while a line is typed
        return []
    paths = list(fields_of(core.config_class))
    groups = {path.rsplit(".", depth)[0] for path in paths for depth in (1, 2)}
    return _beginning_with(incomplete, sorted({*paths, *groups, *topic_names(core)}))


def _beginning_with(incomplete: str, values: Iterable[str]) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values if value.startswith(incomplete)]
