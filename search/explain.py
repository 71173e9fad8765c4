"""What a field of a study means, and how cells that differ in it are trained."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from msa_core.config import Config, FieldInfo
from msa_core.config_kinds import kinds
from msa_core.config_paths import Value, fields_of, get, nearest, symbol_of
from msa_core.packing import in_turn, in_turn_on_a_cpu
from search.progress import say
from spaces.errors import StudyError
from spaces.plan import Plan

GROUP_DEPTH = 2  # parts of a path by which the list of all fields is divided


def show_fields() -> None:
    """Print every field, in groups, with its default and its meaning."""
    console = Console()
    groups: dict[str, list[str]] = {}
    for path in fields_of(Config):
        section = path.split(".")[:-1]
        groups.setdefault(".".join(section[:GROUP_DEPTH]), []).append(path)
    for group, paths in groups.items():
        _show_group(console, group, paths)
    _say_what_the_star_means(console)
    say(console, "Which kinds train one cell after another instead, on a CPU:")
    for family in ("encoder", "fusion"):
        for kind in kinds(family):
            if reason := in_turn_on_a_cpu(family, kind):
                say(console, f"  {kind}: {reason}")


def show_field(path: str) -> None:
    """Print one field, or those of a group.

    Raises:
        StudyError: there is none of that name.
    """
    console = Console()
    inside = [name for name in fields_of(Config) if name.startswith(f"{path}.")]
    if inside:
        _show_group(console, path, inside)
        _say_what_the_star_means(console)
        return
    if path not in fields_of(Config):
        raise StudyError(f"'{path}' is not a field{_hint(path)}")
    info, kind = fields_of(Config)[path]
    say(console, f"{path}: {info.meaning}")
    say(console, f"  {_allowed(info, kind)}; default {_text(get(Config(), path))}")
    if info.searched:
        low, high, scale = info.searched
        say(console, f"  papers search it from {low:g} to {high:g}, on a {scale} scale")
    if info.only_with:
        name, value = info.only_with
        say(console, f"  means something only with '{name}: {_text(value)}' beside it")
    if symbol_of(path):
        say(console, f"  in formulas {symbol_of(path)}")
    if info.varies:
        say(console, "  packs: cells that differ in it may train in one step")
    else:
        say(console, "  packs: cells that train in one step agree in it")
    for choice in info.choices:
        if info.family and (reason := in_turn_on_a_cpu(info.family, choice)):
            say(console, f"  {choice}: one cell after another on a CPU, since {reason}; "
                "in packs on a GPU")  # fmt: skip


def packing_lines(plan: Plan, device: str = "cpu") -> list[str]:
    """Which arms of a plan train in packs, and why the others do not."""
    by_reason: dict[str, list[str]] = {}
    for arm in plan.arms:
        by_reason.setdefault(in_turn(arm.config, device), []).append(arm.name)
    lines = []
    for reason, arms in by_reason.items():
        whose = "every arm" if len(arms) == len(plan.arms) else ", ".join(f"'{a}'" for a in arms)
        if reason:
            lines.append(f"in turn: {whose}, on a CPU one cell after another, since {reason}")
        else:
            lines.append(f"packs: {whose}, up to dozens of cells in one step")
    return lines


def _show_group(console: Console, group: str, paths: Sequence[str]) -> None:
    """A group of fields as a table; what all their paths begin with stands in its heading."""
    title = Text(f"\n{group}: field, default, meaning", "bold")
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column()
    for path in paths:
        info, _ = fields_of(Config)[path]
        name = "  " + path.removeprefix(f"{group}.") + ("*" if info.varies else "")
        choices = f" ({', '.join(info.choices)})" if info.family else ""
        table.add_row(Text(name), _text(get(Config(), path)), Text(info.meaning + choices))
    console.print(table)


def _say_what_the_star_means(console: Console) -> None:
    say(console, "\n* cells that differ in nothing but these, and in their seed, train in one step")


def _hint(path: str) -> str:
    """The fields that are called so below some group, or the nearest name of all."""
    ends = [name for name in fields_of(Config) if name.endswith(f".{path}")]
    if ends:
        return f"; did you mean {', '.join(ends)}?"
    sections = {name.rsplit(".", place)[0] for name in fields_of(Config) for place in (1, 2)}
    return nearest(path, [*fields_of(Config), *sections])


def _allowed(info: FieldInfo, kind: type) -> str:
    if info.choices:
        return "one of " + ", ".join(info.choices)
    if kind is bool:
        return "true or false"
    if kind is str:
        return "a word"
    noun = "a whole number" if kind is int else "a number"
    bounds = []
    if info.above is not None:
        bounds.append(f"above {info.above:g}")
    if info.minimum is not None:
        bounds.append(f"from {info.minimum:g}")
    if info.maximum is not None:
        bounds.append(f"up to {info.maximum:g}")
    return " ".join([noun, *bounds])


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
