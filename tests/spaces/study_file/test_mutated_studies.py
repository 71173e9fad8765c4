"""A damaged study file gives a plan or one clear line, in time, and never a traceback."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study
from tests.cases.damage import damaged
from tests.cases.studies.shipped import MSA_TEXTS
from tests.cases.studies.study_cases import STUDIES

# Of processor time, for any study. It catches what never ends; the slowest study takes 2 s on a
# slow machine, so a tighter limit would measure the machine.
SECONDS = 10
TEXTS = [*MSA_TEXTS.values(), *STUDIES.values()]


def outcome(path: Path) -> str:
    """`planned` or `refused`, in time; a refusal is one line that a terminal can show."""
    # In a thread, whose stack starts anew: below hypothesis and pytest it can end just where Python
    # 3.11 needs another page of it, and gets and gives it back at every call (six times as slow).
    with ThreadPoolExecutor(1) as thread:
        said, seconds = thread.submit(timed, path).result()
    assert seconds < SECONDS
    return said


def timed(path: Path) -> tuple[str, float]:
    """What becomes of a study, and the processor time it took."""
    started = time.process_time()
    said = "planned"
    try:
        plan_study(load_study(path), Versions(data="", code="")).cell_count()
    except (StudyError, ConfigError) as error:
        message = str(error)
        assert message.isprintable() and 10 < len(message) < 3000, message
        assert isinstance(error, ConfigError) or message.startswith(("study.yaml:", str(path)))
        said = "refused"
    return said, time.process_time() - started


def check_damaged(folder: Path, number: int, examples: int) -> Counter[str]:
    """How many damaged studies came to what."""
    outcomes: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate],  # to make a failing study smaller takes minutes
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(TEXTS))
    def check(text: str) -> None:
        path = folder / "study.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        outcomes[outcome(path)] += 1

    check()
    return outcomes


@pytest.mark.parametrize(
    "number", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in (1, 2, 3))]
)
def test_a_damaged_study_is_planned_or_refused_in_one_line(number: int, tmp_path: Path) -> None:
    """Two thousand in all."""
    outcomes = check_damaged(tmp_path, number, 500)
    assert outcomes.total() >= 500
    assert min(outcomes["planned"], outcomes["refused"]) > 60  # both sides are tried


@pytest.mark.parametrize("text", TEXTS)
def test_the_studies_that_are_damaged_are_whole(text: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    assert outcome(path) == "planned"
