"""`triptych explain`: what a field of a study means, and whether cells that differ in it pack."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from search.console import print_line
from spaces.abilities import Documented, Grouped, VectorisedPacks
from spaces.core import Core
from spaces.designs.parse_designs import DESIGNS
from spaces.errors import StudyError
from spaces.fields.help import in_words, usual_range, value_schema, value_text
from spaces.fields.paths import default_of, did_you_mean, fields_of, replace, symbol_of, value_at
from spaces.help.topics import SAMPLERS, Topic, find_topics, topic_names
from spaces.help.values import default_text, study_fields
from spaces.plan.plan import Plan
from spaces.search_space.domains import DOMAINS

BUDGET = "budget"
MOST_NAMED = 4  # arms; the others are counted
GROUP_DEPTH = 2  # parts of a path by which the list of all fields is divided


def show_fields(core: Core) -> None:
    """Print every field of a study, then of its configuration, with its default and meaning."""
    console = Console()
    _show_study_group(
        console, "study", [name for name in study_fields(core) if "." not in name], core
    )
    _show_study_group(console, BUDGET, [name for name in study_fields(core) if "." in name], core)
    for title, names in (("designs", DESIGNS), ("domains", DOMAINS), ("samplers", SAMPLERS)):
        print_line(console, f"\n{title}: {', '.join(names)}")
    groups: dict[str, list[str]] = {}
    for path in fields_of(core.config_class):
        section = path.split(".")[:-1]
        groups.setdefault(".".join(section[:GROUP_DEPTH]), []).append(path)
    for group, paths in groups.items():
        _show_group(console, group, paths, core)
    if isinstance(core, VectorisedPacks):
        _print_star_note(console)
        print_line(console, "Which kinds train one cell after another instead, on a CPU:")
        for kind, reason in core.sequential_kinds().items():
            print_line(console, f"  {kind}: {reason}")


def show_field(path: str, core: Core) -> None:
    """Print one field, or those of a group; or a study field, a design, a domain, a sampler.

    Raises:
        StudyError: There is none of that name.
    """
    console = Console()
    inside = [name for name in fields_of(core.config_class) if name.startswith(f"{path}.")]
    if inside:
        _show_group(console, path, inside, core)
        if isinstance(core, VectorisedPacks):
            _print_star_note(console)
        return
    if path in fields_of(core.config_class):
        _show_one(console, path, core)
        return
    found = find_topics(path, core)
    if not found:
        raise StudyError(f"'{path}' is not a field{_field_hint(path, core)}")
    for topic in found:
        _show_topic(console, topic)
    if path == BUDGET:
        _show_study_group(
            console, BUDGET, [name for name in study_fields(core) if "." in name], core
        )


def _show_one(console: Console, path: str, core: Core) -> None:
    info, kind = fields_of(core.config_class)[path]
    print_line(console, f"{path}: {info.meaning}")
    allowed = in_words(value_schema(info, kind))
    print_line(
        console, f"  {allowed}; default {value_text(value_at(default_of(core.config_class), path))}"
    )
    if needed := needed_for(path, core):
        print_line(console, f"  means something only with {needed}")
    if usual := usual_range(info):
        print_line(console, f"  {usual}")
    if symbol := symbol_of(core.config_class, path):
        print_line(console, f"  in formulas {symbol}")
    if isinstance(core, Documented):
        for value, source in core.sources_of(path).items():
            print_line(console, f"  source{f' of {value}' if value else ''}: {source}")
        print_line(console, f"  declared in {core.declared_in(path)}")
    if not isinstance(core, VectorisedPacks):
        return
    if info.varies:
        print_line(console, "  packs: cells that differ in it may train in one step")
    else:
        print_line(console, "  packs: cells that train in one step agree in it")
    reasons = core.sequential_kinds() if info.kinds_in else {}
    for choice in info.choices:
        if reason := reasons.get(choice):
            print_line(console, f"  {choice}: one cell after another on a CPU, since {reason}; "
                "in packs on a GPU")  # fmt: skip


def _show_topic(console: Console, topic: Topic) -> None:
    print_line(console, f"{topic.name}, a {topic.what}: {topic.meaning}")
    for fact in topic.facts:
        print_line(console, f"  {fact}")
    print_line(console, "  for example")
    for line in topic.example.splitlines():
        print_line(console, f"    {line}")


def needed_for(path: str, core: Core) -> str:
    """Return what must be on for a field to mean something; empty if it does by default."""
    # Found by the rule that the plan uses (`is_active`), so that the two can't disagree: which
    # switch, changed alone, makes the field mean something.
    needed = []
    if not core.is_active(default_of(core.config_class), path):
        stated = core.switch_text(path) if isinstance(core, Documented) else ""
        needed.append(stated or " or ".join(_switches_on(path, core)))
    info, _ = fields_of(core.config_class)[path]
    if info.only_with:
        name, value = info.only_with
        needed.append(f"'{path.rpartition('.')[0]}.{name}: {value_text(value)}'")
    return " and ".join(needed)


def _switches_on(path: str, core: Core) -> list[str]:
    default = default_of(core.config_class)
    groups = core.groups.sections if isinstance(core, Grouped) else {}
    found: dict[str, None] = {}
    for switch, (info, kind) in fields_of(core.config_class).items():
        values = [True, False] if kind is bool else info.choices
        on = [
            value_text(value)
            for value in values
            if value != value_at(default, switch)
            and core.is_active(replace(default, {switch: value}), path)
        ]
        if on:
            for group in groups:
                if f".{group}." not in path:  # then any pair will do
                    switch = switch.replace(f".{group}.", ".<pair>.")
            found[f"'{switch}: {' or '.join(on)}'"] = None
    return list(found)


def packing_lines(plan: Plan, device: str = "cpu") -> list[str]:
    """Return which arms of a plan train in packs, and why the others do not."""
    core = plan.study.core
    if not isinstance(core, VectorisedPacks):
        return []
    by_reason: dict[str, list[str]] = {}
    for arm in plan.arms:
        reason = core.sequential_reason(arm.config, device)
        by_reason.setdefault(reason, []).append(arm.name)
    lines = []
    for reason, arms in by_reason.items():
        named = ", ".join(f"'{arm}'" for arm in arms[:MOST_NAMED])
        more = f" and {len(arms) - MOST_NAMED} more arms" if len(arms) > MOST_NAMED else ""
        whose = "every arm" if len(arms) == len(plan.arms) else named + more
        if reason:
            lines.append(f"in turn: {whose}, on a CPU one cell after another, since {reason}")
        else:
            lines.append(f"packs: {whose}, up to dozens of cells in one step")
    return lines


def _show_group(console: Console, group: str, paths: Sequence[str], core: Core) -> None:
    """Print a group of fields as a table, without the beginning that their paths share."""
    title = Text(f"\n{group or core.name}: field, default, meaning", "bold")
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column()
    for path in paths:
        info, _ = fields_of(core.config_class)[path]
        name = "  " + path.removeprefix(f"{group}.") + ("*" if info.varies else "")
        choices = f" ({', '.join(info.choices)})" if info.kinds_in else ""
        table.add_row(
            Text(name),
            value_text(value_at(default_of(core.config_class), path)),
            Text(info.meaning + choices),
        )
    console.print(table)


def _show_study_group(console: Console, group: str, names: Sequence[str], core: Core) -> None:
    """Print fields of the study as a table."""
    title = Text(f"\n{group}: field, default, meaning", "bold")
    table = Table(box=None, pad_edge=False, show_header=False, title=title, title_justify="left")
    for _ in range(3):
        table.add_column()
    for name in names:
        field = study_fields(core)[name]
        shown = f"  {name.removeprefix(f'{BUDGET}.')}"
        table.add_row(Text(shown), default_text(field), Text(field.meaning))
    console.print(table)


def _print_star_note(console: Console) -> None:
    print_line(
        console, "\n* cells that differ in nothing but these, and in their seed, train in one step"
    )


def _field_hint(path: str, core: Core) -> str:
    """Suggest the fields of that name below any group, or else the nearest name of all."""
    ends = [
        name
        for name in (*fields_of(core.config_class), *study_fields(core))
        if name.endswith(f".{path}")
    ]
    if ends:
        return f"; did you mean {', '.join(ends)}?"
    sections = {
        name.rsplit(".", depth)[0] for name in fields_of(core.config_class) for depth in (1, 2)
    }
    return did_you_mean(path, [*fields_of(core.config_class), *sections, *topic_names(core)])
