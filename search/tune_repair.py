"""What Ray Tune does not survive by itself.

Ray 2.60's Tune knows two ways in which a worker can fail: it died, or what it ran raised. Anything
else that Ray reports of it ends the whole experiment with "Caught unexpected exception": that the
memory monitor killed it (`OutOfMemoryError`), or that its answer was lost with its node
(`ObjectLostError`). To a study they are all the same: that worker is gone, the others train on.
"""

from typing import Any

from ray.air._internal import usage
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError

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
