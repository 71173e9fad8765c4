"""The differences between two studies: question, configuration, search, budgets, origins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from reports.numerals import name_some
from reports.results import StudyFacts
from search.results.layout import STUDY

ABSENT = "-"
# Of a kept study file. Not its name, nor its arms, which are matched one by one; nor its claims.
ASKED = (
    "question", "data", "plugins", "base", "search", "start", "constraints", "baseline", "metric",
    "second_metric", "margin", "sampler", "retune", "budget",
)  # fmt: skip
MOST_TEXT = 60  # characters of a value
MOST_SEEDS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """Something that differs between two studies.

    Attributes:
        what: Dotted path of the study file, or a name.
        first, second: Values as a study file has them; `-` where one has none.
    """

    what: str
    first: str
    second: str


def differing_settings(
    first: tuple[Path, StudyFacts], second: tuple[Path, StudyFacts]
) -> list[Setting]:
    """List what differs between two studies.

    Args:
        first: Results folder of the one, and what its report knows of it.
        second: Results folder of the other, likewise.
    """
    asked = [_read_asked(folder) for folder, _ in (first, second)]
    facts = [one for _, one in (first, second)]
    changes = [_arm_changes(one, facts[0].arms, facts[1].arms) for one in facts]
    described = [_describe_facts(one) for one in facts]
    found = []
    for one, other in (asked, changes, described):
        for what in dict.fromkeys([*one, *other]):
            texts = one.get(what, ABSENT), other.get(what, ABSENT)
            if texts[0] != texts[1]:
                found.append(Setting(what=what, first=texts[0], second=texts[1]))
    return found


def _read_asked(folder: Path) -> dict[str, str]:
    """Read the kept study file as dotted path -> value; nothing of a folder without one."""
    # As plain YAML: to load the study would put its plugins in use, and a process has those of one
    # study.
    try:
        text = (folder / STUDY).read_text(encoding="utf-8")
        document = YAML(typ="safe", pure=True).load(text)
    except (OSError, ValueError, YAMLError):
        return {}
    if not isinstance(document, Mapping):
        return {}
    return {
        path: text
        for part in ASKED
        if part in document
        for path, text in _flatten_values(part, document[part])
    }


def _flatten_values(path: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flatten_values(f"{path}.{name}", inner)
    else:
        yield path, value_text(value)


def _arm_changes(facts: StudyFacts, *names: Iterable[str]) -> dict[str, str]:
    """Return what each arm that both have fixes over the base."""
    both = set.intersection(*map(set, names))
    return {
        f"arm '{arm}', {path}": value_text(value)
        for arm, fixed in facts.changes.items()
        if arm in both
        for path, value in fixed.items()
    }


def _describe_facts(facts: StudyFacts) -> dict[str, str]:
    """Return seeds, and where the numbers come from."""
    return {
        "tuning seeds": _seeds_text(facts.tune_seeds),
        "confirm seeds": _seeds_text(facts.confirm_seeds),
        **{name: value for name, value in facts.provenance.items() if name != "sampler"},
    }


def _seeds_text(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 2 and seeds == tuple(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return name_some(list(map(str, seeds)), MOST_SEEDS)


def value_text(value: Any) -> str:
    """Write a value as a study file has it, in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(value_text, value))}]"
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{name}: {value_text(inner)}" for name, inner in value.items()) + "}"
        )
    return ABSENT if value is None else " ".join(str(value).split())


def shorten_text(text: str) -> str:
    """Shorten a value for a terminal: a digest of 64 characters, or a long sentence."""
    if len(text) == 64 and text.isalnum():
        return text[:16]
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"
