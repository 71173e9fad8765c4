"""A damaged study file gives a plan or one clear line, never a traceback."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from msa_core.config import ConfigError
from spaces.errors import StudyError
from spaces.plan import Versions, plan_study
from spaces.study import SHIPPED, load_study

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.yaml"))]
WORDS = (
    "null", "[]", "{}", "{a: 1}", "-1", "1e999", ".nan", "true", "off", "!!python/name:os.system",
    "&a [*a]", "*b", "<<: {a: 1}", "2020-01-01", "? [a]: b", "---\nb", "\t", "#", "|\n  x", "'",
    '"', "99999999999999999999", "[1, 2, 3]", ": ", "- ", "\n", "@", "%",
)  # fmt: skip


def mutate(text: str, draw: random.Random) -> str:
    place = draw.randrange(len(text))
    kind = draw.randrange(4)
    if kind == 0:
        words = text.split(" ")
        words[draw.randrange(len(words))] = draw.choice(WORDS)
        return " ".join(words)
    if kind == 1:
        return text[:place] + draw.choice(WORDS) + text[place:]
    if kind == 2:
        return text[:place] + text[place + draw.randint(1, 20) :]
    lines = text.split("\n")
    lines.insert(draw.randrange(len(lines)), draw.choice(lines))
    return "\n".join(lines)


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_study_is_planned_or_refused_in_one_line(
    seed: int, write_study: Callable[[str], Path]
) -> None:
    draw = random.Random(seed)
    refused = 0
    for _ in range(40):
        text = draw.choice(TEXTS)
        for _ in range(draw.randint(1, 3)):
            text = mutate(text, draw)
        try:
            plan_study(load_study(write_study(text)), Versions(data="", code=""))
        except (StudyError, ConfigError) as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert refused > 10
