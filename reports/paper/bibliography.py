"""The references that a report cites: the study's own, and those of the report's statistics."""

import functools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from reports.paper.latex_text import has_balanced_braces
from reports.results import StudyFacts

_FILE = Path(__file__).with_name("statistics.bib")
# Accents, letters and escaped characters. A results folder may be anyone's, and other commands of
# TeX can read files.
_COMMANDS = {*"\"'`^~=.vcurHbdkoOlLi&%_", *("aa", "AA", "ae", "AE", "oe", "OE", "ss", "chi")}
_KEY = re.compile(r"[A-Za-z0-9_:.-]+")


def citable_entries(facts: StudyFacts) -> Mapping[str, str]:
    """Return key -> BibTeX entry of everything that can be cited, without malformed entries."""
    own = {key: entry for key, entry in facts.references.items() if is_entry(key, entry)}
    return {**_statistics_entries(), **own}


def render_bib(entries: Mapping[str, str], cited: Iterable[str]) -> str:
    """Return a `.bib` file of the cited entries, in the order of their keys."""
    keys = sorted(set(cited) & entries.keys())
    head = "% Written by `triptych report`: what the methods paragraph cites.\n"
    return head + "".join(f"\n{entries[key].strip()}\n" for key in keys)


def is_entry(key: str, entry: str) -> bool:
    """Check whether a text is one harmless BibTeX entry of this key, and nothing beside it."""
    text = entry.strip()
    if not _KEY.fullmatch(key) or not re.match(rf"@[A-Za-z]+\s*\{{\s*{re.escape(key)}\s*,", text):
        return False
    if set(re.findall(r"\\([A-Za-z]+|.)", text)) - _COMMANDS:
        return False
    # Within the outer braces, so that the first one closes at the end: a second entry behind it
    # would leave the braces balanced too.
    return text.endswith("}") and has_balanced_braces(text[text.index("{") + 1 : -1])


@functools.cache
def _statistics_entries() -> Mapping[str, str]:
    text = _FILE.read_text(encoding="utf-8")
    found = re.finditer(r"^@\w+\{([^,\s]+),.*?^\}$", text, re.M | re.S)
    return {entry[1]: entry[0] for entry in found}
