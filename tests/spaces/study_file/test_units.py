"""A margin or a claim beyond the range of its metric is refused with the likely meaning."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError
from spaces.metrics.tasks import TASK_METRICS
from spaces.study_file.load import load_study
from spaces.study_file.units import check_unit
from tests.cores.test_tiny_core import STUDY

ACCURACY = TASK_METRICS["binary"]["accuracy"]
PEARSON = TASK_METRICS["regression"]["pearson"]


@pytest.mark.parametrize(
    ("metric", "amount", "message"),
    [
        (ACCURACY, 1, "'accuracy' is a share from 0 to 1, .* more than 1; did you mean 0.01?"),
        (ACCURACY, 2.5, "did you mean 0.025?"),
        (ACCURACY, 100, "give a smaller number"),
        (PEARSON, 2, "'pearson' lies from -1 to 1, .*did you mean 0.02?"),
    ],
)
def test_an_amount_beyond_the_range_is_in_percent(metric: Any, amount: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_unit(metric, amount)


def test_what_a_metric_can_differ_by_passes() -> None:
    check_unit(ACCURACY, 0.99)
    check_unit(PEARSON, 1.5)
    check_unit(TASK_METRICS["regression"]["mae"], 1e6)
    check_unit(TASK_METRICS["regression"]["r2"], 5)
    check_unit(SimpleNamespace(name="own", label="own", higher_is_better=True), 7)


@pytest.mark.parametrize(
    ("given", "wrong", "message"),
    [
        ("margin: {accuracy: 0.02}", "margin: {accuracy: 1}", "margin: .*did you mean 0.01?"),
        ("half is worse", "half is worse by at least 2", "claims: .*2': .*did you mean 0.02?"),
    ],
)
def test_a_study_is_refused_with_the_line(
    tmp_path: Path, given: str, wrong: str, message: str
) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.replace(given, wrong), encoding="utf-8")
    line = 1 + next(n for n, text in enumerate(STUDY.splitlines()) if given in text)
    with pytest.raises(StudyError, match=rf"study.yaml:{line}: {message}"):
        load_study(path)
