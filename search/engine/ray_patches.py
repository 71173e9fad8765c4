"""Ray Tune as a pool of actors, and the private functions of Ray that are replaced for it.

Of Tune a run uses one thing: a loop that keeps as many actors alive as there are workers, on one
machine or many, gives each the next trial, and reports results, errors and lost actors. The rest
is switched off, since the ledger and the schedule decide what is trained:

* searcher: `PackSearcher` only passes on packs of the schedule; its saved state is empty;
* scheduler: none, but for `scheduler: asha` (`search.engine.asha`);
* retries: `max_failures` is 0; `Dispatch` requeues what was lost, perhaps in parts;
* snapshots of the experiment: their folder is temporary and their period a day
  (`TUNE_GLOBAL_CHECKPOINT_S`), since nothing is ever restored from them;
* checkpoints of trials: none; those of cells go to the driver in the results;
* loggers, progress output and the handler of Ctrl-C: off (`search.engine.session`).

Ray 2.60 has no option for what is left, so `repair_tune` replaces three functions:

* `RayActorManager._actor_task_failed`. Tune knows two ways in which an actor can fail: it died, or
  what it ran raised. Any other error ends the whole experiment with "Caught unexpected exception":
  that the memory monitor killed the actor (`OutOfMemoryError`), or that its answer was lost with
  its node (`ObjectLostError`). To a study they are all the same: that worker is gone, and the
  others train on. So every such error is reported as the end of an actor.
* `usage.tag_callbacks`. To count callbacks for statistics that are off it imports every logger that
  is installed, MLflow's among them: 3 s and 150 MB of the driver.
* `TuneController._get_trial_checkpoints`. It collects every trial there was for the last snapshot,
  and nothing is restored from one.

And Tune keeps every trial until the end, with its configuration in four places and statistics of
every number in its results: 113 kB per trial, a gigabyte for ten thousand. It also looks through
all of them whenever it needs one that waits. `empty_trial` and `drop_finished` end both.
"""

from typing import Any

from ray.air._internal import usage
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.execution.tune_controller import TuneController

MOST_FINISHED = 100  # trials in Tune's list, before it is cleared of them: seldom is cheaper

_report = RayActorManager._actor_task_failed


class WorkerGoneError(RayActorError):  # type: ignore[misc]  # Ray ships no types for it
    """The end of a worker by an error that Tune does not know.

    Attributes:
        name: Name of that error's class.
        message: Text of that error.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(None, message)
        self.name = name
        self.message = message

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    # Without it pickle calls the class with the arguments of `RayActorError`.
    def __reduce__(self) -> tuple[Any, ...]:
        return (WorkerGoneError, (self.name, self.message))


def _report_all(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
    if isinstance(exception, RayError) and not isinstance(exception, RayActorError | RayTaskError):
        exception = WorkerGoneError(type(exception).__name__, str(exception))
    _report(manager, tracked_actor_task, exception)


def repair_tune() -> None:
    """Replace the three functions of Ray that the head of this file names."""
    RayActorManager._actor_task_failed = _report_all
    usage.tag_callbacks = lambda callbacks: False
    TuneController._get_trial_checkpoints = lambda controller: {}


def empty_trial(trial: Any) -> None:
    """Empty a trial that is over: of a pack nothing is left in the driver's memory.

    Args:
        trial: Trial whose end the searcher and the scheduler have processed.
    """
    known = trial.run_metadata
    known.metric_analysis.clear()
    known.metric_n_steps.clear()
    # The names stay: `ArmsAsha` looks up the pack of any trial, and None is none of its own.
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
    """Remove finished trials from Tune's own list, once there are many."""
    if len(trials) > MOST_FINISHED:
        trials[:] = [trial for trial in trials if not trial.is_finished()]
