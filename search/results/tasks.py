"""The task of a results folder: the metrics that its predictions are scored with."""

from reports.results import StudyFacts
from spaces.core import Task
from spaces.find_core import DEFAULT, find_core


def task_of(facts: StudyFacts) -> Task:
    """Return name -> metric of the task of a study.

    Raises:
        ConfigError: Its core can't be imported here.
    """
    return find_core(facts.core or DEFAULT).tasks[facts.scheme]
