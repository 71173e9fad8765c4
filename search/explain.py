"""What a field of a study means, and how cells that differ in it are trained."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from msa_core.config import Config, ConfigError, FieldInfo
from msa_core.config_kinds import kinds
from msa_core.config_paths import Value, fields_of, get, symbol_of
from msa_core.packing import in_turn, in_turn_on_a_cpu
from search.progress import say
from spaces.errors import StudyError
from spaces.plan import Plan


def show_fields() -> None:
    """Print every field with its default, and which of them members of a pack may differ in."""
    console = Console()
    table = Table(box=None, pad_edge=False)
    table.add_column("field", no_wrap=True)
    table.add_column("default")
    table.add_column("meaning")
    for path, (info, _) in fields_of(Config).items():
        mark = "*" if info.varies else ""
        table.add_row(Text(path + mark), _text(get(Config(), path)), Text(info.meaning))
    console.print(table)
    say(console, "\n* cells that differ in nothing but these, and in their seed, train in one step")
    say(console, "Which kinds train one cell after another instead, on a CPU:")
    for family in ("encoder", "fusion"):
        for kind in kinds(family):
            if reason := in_turn_on_a_cpu(family, kind):
                say(console, f"  {kind}: {reason}")


def show_field(path: str) -> None:
    """Print one field.

    Raises:
        StudyError: there is none of that name.
    """
    console = Console()
    try:
        default = get(Config(), path)
    except ConfigError as error:
        ends = [name for name in fields_of(Config) if name.endswith(f".{path}")]
        hint = f"; did you mean {', '.join(ends)}?" if ends else ""
        raise StudyError(f"{error}{hint}") from None
    info, kind = fields_of(Config)[path]
    say(console, f"{path}: {info.meaning}")
    say(console, f"  {_allowed(info, kind)}; default {_text(default)}")
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
