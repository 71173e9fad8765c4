"""The generated parts of the page `docs/studies.md`, between marks that name them.

`python -m spaces.help.reference docs/studies.md` writes them anew; without a file name it prints
them. The rest of the page is written by hand, in the page itself.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from spaces.designs.parse import BESIDE, DESIGNS, REFERENCES
from spaces.help.schema import DOMAIN_CLASSES, first_line, meaning_of_design, stands_beside
from spaces.help.topics import DOMAIN_EXAMPLES, SAMPLERS, arms_of, entry_text
from spaces.help.values import in_words, study_fields, written
from spaces.search_space.domains import DOMAINS
from spaces.study_file.claims import FORMS

_MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def filled(page: str) -> str:
    """A page with every generated part as it should be.

    Raises:
        ValueError: a part is unknown, or not there exactly once.
    """
    named = [name for _, name, _ in _MARKED.findall(page)]
    if sorted(named) != sorted(PARTS):
        raise ValueError(f"the page has the parts {named}, but each of {list(PARTS)} belongs there")
    return _MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", page)


def _fields() -> str:
    names = [name for name in study_fields() if "." not in name]
    return _field_table(names, "")


def _budget() -> str:
    names = [name for name in study_fields() if name.startswith("budget.")]
    return _field_table(names, "budget.")


def _field_table(names: Sequence[str], prefix: str) -> str:
    rows = []
    for name in names:
        field = study_fields()[name]
        said = field.default not in (None, "", [], {})
        default = "needed" if field.required else written(field.default) if said else ""
        rows.append(
            (f"`{name.removeprefix(prefix)}`", field.meaning, in_words(field.schema), default)
        )
    return _table(("field", "meaning", "what it may be", "default"), rows)


def _designs() -> str:
    parts = []
    for name in DESIGNS:
        arms = ", ".join(f"*{arm.name}*" for arm in arms_of(name))
        beside = ", ".join(f"`{option}`" for option in BESIDE[name])
        reference = f" (default *{REFERENCES[name]}*)" if name in REFERENCES else ""
        parts.append(
            f"### {name}\n\n{meaning_of_design(name)} Beside it may stand "
            f"{beside.replace('`reference`', f'`reference`{reference}')}.\n\n"
            f"```yaml\narms:\n{entry_text(name)}\n```\n\nArms: {arms}.\n"
        )
    return "\n".join(parts)


def _domains() -> str:
    rows = [
        (
            f"`{name}`",
            first_line(DOMAIN_CLASSES[name]),
            ", ".join(f"`{option}`" for option in stands_beside(name)),
            f"`{DOMAIN_EXAMPLES[name]}`",
        )
        for name in DOMAINS
    ]
    return _table(("domain", "the field is", "beside it", "example"), rows)


def _samplers() -> str:
    rows = [(f"`{name}`", when) for name, when in SAMPLERS.items()]
    return _table(("sampler", "when to use it"), rows)


def _claims() -> str:
    return "".join(f"- `{form.strip(chr(39))}`\n" for form in FORMS.split(" or '"))


PARTS: dict[str, Callable[[], str]] = {
    "fields": _fields,
    "designs": _designs,
    "domains": _domains,
    "samplers": _samplers,
    "budget": _budget,
    "claims": _claims,
}


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def main(arguments: Sequence[str]) -> None:
    """Print the generated parts, or write them into a page."""
    if arguments:
        page = Path(arguments[0])
        page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.write("\n".join(part() for part in PARTS.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
