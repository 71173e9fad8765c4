"""The generated parts of the page `docs/studies.md`, between marks that name them.

`python -m spaces.help.studies_page docs/studies.md` writes them anew. The rest of the page is
written by hand, in the page itself.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from spaces.designs.parse_designs import DEFAULT_REFERENCES, DESIGN_OPTIONS, DESIGNS
from spaces.fields.help import in_words
from spaces.find_core import DEFAULT, find_core
from spaces.help.schema import first_line, meaning_of_design
from spaces.help.topics import DOMAIN_EXAMPLES, SAMPLERS, example_arms, example_entry
from spaces.help.values import default_text, study_fields
from spaces.search_space.domains import DOMAIN_CLASSES, DOMAIN_OPTIONS, DOMAINS
from spaces.study_file.claims import FORMS

SHOWN = find_core(DEFAULT)  # core whose fields the examples have
_MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def fill_page(page: str) -> str:
    """Return a page with every generated part as it should be.

    Raises:
        ValueError: A part is unknown, or not there exactly once.
    """
    named = [name for _, name, _ in _MARKED.findall(page)]
    if sorted(named) != sorted(PARTS):
        raise ValueError(f"the page has the parts {named}, but each of {list(PARTS)} belongs there")
    return _MARKED.sub(lambda found: f"{found[1]}\n{PARTS[found[2]]()}\n{found[3]}", page)


def _field_table(prefix: str) -> str:
    rows = []
    for name, field in study_fields(SHOWN).items():
        own_name = name.removeprefix(prefix)
        if not name.startswith(prefix) or "." in own_name:
            continue
        rows.append((f"`{own_name}`", field.meaning, in_words(field.schema), default_text(field)))
    return _markdown_table(("field", "meaning", "what it may be", "default"), rows)


def _design_sections() -> str:
    parts = []
    for name in DESIGNS:
        arms = ", ".join(f"*{arm.name}*" for arm in example_arms(name, SHOWN))
        beside = ", ".join(f"`{option}`" for option in DESIGN_OPTIONS[name])
        reference = f" (default *{DEFAULT_REFERENCES[name]}*)" if name in DEFAULT_REFERENCES else ""
        parts.append(
            f"### {name}\n\n{meaning_of_design(name)} Beside it may stand "
            f"{beside.replace('`reference`', f'`reference`{reference}')}.\n\n"
            f"```yaml\narms:\n{example_entry(name)}\n```\n\nArms: {arms}.\n"
        )
    return "\n".join(parts)


def _domain_table() -> str:
    rows = [
        (
            f"`{name}`",
            first_line(DOMAIN_CLASSES[name]),
            ", ".join(f"`{option}`" for option in DOMAIN_OPTIONS[name]),
            f"`{DOMAIN_EXAMPLES[name]}`",
        )
        for name in DOMAINS
    ]
    return _markdown_table(("domain", "the field is", "beside it", "example"), rows)


def _sampler_table() -> str:
    rows = [(f"`{name}`", when) for name, when in SAMPLERS.items()]
    return _markdown_table(("sampler", "when to use it"), rows)


def _claim_forms() -> str:
    return "".join(f"- `{form.strip(chr(39))}`\n" for form in FORMS.split(" or '"))


PARTS: dict[str, Callable[[], str]] = {
    "fields": lambda: _field_table(""),
    "designs": _design_sections,
    "domains": _domain_table,
    "samplers": _sampler_table,
    "budget": lambda: _field_table("budget."),
    "claims": _claim_forms,
}


def _markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    # A `|` inside a cell would end it. (chr(92) is a backslash, which an f-string can't hold.)
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


def main(arguments: Sequence[str]) -> None:
    """Write the generated parts into a page."""
    page = Path(arguments[0])
    page.write_text(fill_page(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
