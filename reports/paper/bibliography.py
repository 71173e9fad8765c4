"""The references that a report cites: the study's own, and those of the report's statistics."""

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from reports.results import StudyFacts

_FILE = Path(__file__).with_name("statistics.bib")
_COMMANDS = {
    *"\"'`^~=.vcurHbdkoOlLi",
    "aa",
    "AA",
    "ae",
    "AE",
    "oe",
    "OE",
    "ss",
    "chi",
    "&",
    "%",
    "_",
}
_KEY = re.compile(r"[A-Za-z0-9_:.-]+")


def bibliography(facts: StudyFacts) -> Mapping[str, str]:
    """Key -> BibTeX entry, of everything that can be cited; entries that are none are left out."""
    own = {key: entry for key, entry in facts.references.items() if is_entry(key, entry)}
    return {**_statistics(), **own}


def render_bib(entries: Mapping[str, str], cited: Iterable[str]) -> str:
    """A `.bib` of the cited entries, in the order of their keys."""
    keys = sorted(set(cited) & entries.keys())
    head = "% Written by `triptych report`: what the methods paragraph cites.\n"
    return head + "".join(f"\n{entries[key].strip()}\n" for key in keys)


def is_entry(key: str, entry: str) -> bool:
    """Whether a text is one BibTeX entry of this key: braces balanced, nothing behind it."""
    text = entry.strip()
    if not _KEY.fullmatch(key) or not re.match(rf"@[A-Za-z]+\s*\{{\s*{re.escape(key)}\s*,", text):
        return False
    if set(re.findall(r"\\([A-Za-z]+|.)", text)) - _COMMANDS:
        return False  # a results folder may be anyone's, and TeX commands can read files
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0 and character == "}":
            return place + 1 == len(text)
    return False


@functools.cache
def _statistics() -> Mapping[str, str]:
    text = _FILE.read_text(encoding="utf-8")
    found = re.finditer(r"^@\w+\{([^,\s]+),.*?^\}$", text, re.M | re.S)
    return {entry[1]: entry[0] for entry in found}
