"""The task of a results folder, from the core that it names."""

from dataclasses import replace

import pytest

from msa_core.core import CORE
from reports.results import ResultsError
from search.results.plan_facts import study_facts
from search.results.tasks import task_of
from spaces.plan.arms_on_data import Versions
from spaces.plan.plan import plan_study
from spaces.study_file.load import find_study, load_study


def test_the_task_is_that_of_the_core_and_one_that_is_not_here_is_named() -> None:
    study = load_study(find_study("planted-quick"))
    facts = study_facts(plan_study(study, Versions(data="", code="")), study.core.open(study.data))
    assert facts.core == ""
    assert task_of(facts) == CORE.tasks["mosi"]
    assert list(task_of(replace(facts, core="tests.cases.ridge_core:CORE", scheme="classes"))) == [
        "accuracy"
    ]
    with pytest.raises(
        ResultsError, match=r"results of the study 'planted-quick': the core 'gone:"
    ):
        task_of(replace(facts, core="gone:CORE"))
