"""What Ray Tune does not survive by itself, and what it keeps that nobody needs.

Ray 2.60's Tune knows two ways in which a worker can fail: it died, or what it ran raised. Anything
else that Ray reports of it ends the whole experiment with "Caught unexpected exception": that the
memory monitor killed it (`OutOfMemoryError`), or that its answer was lost with its node
(`ObjectLostError`). To a study they are all the same: that worker is gone, the others train on.

It keeps every trial until the end, with its configuration in four places, statistics of whatever
was a number in its results, and snapshots of all of it: 113 kB a trial, of ten thousand a gigabyte.
And it looks through all of them whenever it wants one that waits.
"""

from typing import Any

from ray.air._internal import usage
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution.tune_controller import TuneController

MOST_FINISHED = 100  # trials that are looked through with those that are not finished

_report = RayActorManager._actor_task_failed


class WorkerGoneError(RayActorError):  # type: ignore[misc]  # Ray ships no types for it
    """A worker is gone, by an error that Tune does not know.

    Attributes:
        name: of that error's class.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(None, message)
        self.name = name
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (WorkerGoneError, (self.name, self.message))


def _report_all(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
    if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
        exception = WorkerGoneError(type(exception).__name__, str(exception))
    _report(manager, tracked_actor_task, exception)


def repair_tune() -> None:
    """Have every loss of a worker end that worker's trial, and no more; and import no MLflow."""
    RayActorManager._actor_task_failed = _report_all
    # To count callbacks for statistics that are off, it imports every logger that is installed:
    # three seconds and 150 MB of the driver's.
    usage.tag_callbacks = lambda callbacks: False
    # Nothing is ever restored from its snapshots, and the last one is of every trial there was.
    TuneController._get_trial_checkpoints = lambda controller: {}


def lighten(trial: Any) -> None:
    """Have a trial that is over keep no more than that it is.

    Args:
        trial: that its searcher and its scheduler have heard the end of.
    """
    known = trial.run_metadata
    known.metric_analysis.clear()
    known.metric_n_steps.clear()
    for holder in (
        trial.config,
        trial._Trial__unresolved_config,
        trial.evaluated_params,
        known.last_result.get("config"),
    ):
        for name in holder or ():
            holder[name] = None
    trial._default_result_or_future = None


def drop_finished(trials: list[Any]) -> None:
    """Take what is finished out of Tune's own list of trials, now and then."""
    if len(trials) > MOST_FINISHED:
        trials[:] = [trial for trial in trials if not trial.is_finished()]
