"""The task of a results folder: the metrics that its predictions are scored with."""

from reports.results import ResultsError, StudyFacts
from spaces.fields.declaration import ConfigError
from spaces.find_core import DEFAULT, find_core
from spaces.metrics.kinds import OwnMetric
from spaces.task import Task


def task_of(facts: StudyFacts) -> Task:
    """Return name -> metric of the task of a study.

    Raises:
        ResultsError: Its core can't be imported here.
    """
    own = {
        name: OwnMetric(name=name, higher_is_better=better)
        for name, better in facts.own_metrics.items()
    }
    try:
        return {**find_core(facts.core or DEFAULT).tasks[facts.scheme], **own}
    except ConfigError as error:
        raise ResultsError(f"results of the study '{facts.study}': {error}") from None
