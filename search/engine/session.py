"""A running Ray, on this machine alone or at an address. The only file that starts it."""

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from search.engine.loopback import on_loopback
from search.engine.nodes import Resources, choose_resources, cluster_resources, ray_nodes
from search.errors import REFUSED_TOKEN, RunError
from search.redaction import without_secrets
from spaces.environment import RAY, set_defaults


@dataclass(frozen=True, kw_only=True, slots=True)
class RaySession:
    """A running Ray, and the workers that it has room for.

    Attributes:
        resources: Resources of a worker, and the number of workers.
        nodes: Number of nodes that are alive.
        logs: Folder of the workers' logs on this machine; None = unknown.
    """

    resources: Resources
    nodes: int
    logs: Path | None


@contextmanager
def ray_session(
    address: str | None, workers: int | None, gpus_a_worker: float | None
) -> Iterator[RaySession]:
    """Start Ray on this machine, or connect to a cluster; end with it.

    Args:
        address: Address of a cluster; None = this machine alone.
        workers: Number of packs at once; None = as many as there is room for.
        gpus_a_worker: Share of a GPU per worker; None = as fits what is there.

    Raises:
        RunError: Ray could not start, or has no room for a worker.
    """
    set_defaults(RAY)
    with nullcontext() if address else on_loopback():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray

        # `WorkerWatch` reports a lost worker in one line; Tune would print its traceback.
        logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
        # A second of imports, done while Ray's processes come up.
        torch_too = Thread(target=importlib.import_module, args=("torch",))
        torch_too.start()
        try:
            # Without "local", ray.init attaches to any cluster that happens to run here.
            ray.init(
                address=address or "local",
                job_config=_job_config(),
                num_cpus=None if address else workers,
                include_dashboard=None if address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except Exception as error:
            raise RunError(_start_error(error, address)) from error
        finally:
            torch_too.join()
    try:
        nodes = ray_nodes()
        yield RaySession(
            resources=cluster_resources(workers, gpus_a_worker)
            if address
            else choose_resources(nodes, workers=workers, gpus_a_worker=gpus_a_worker),
            nodes=sum(node.alive for node in nodes),
            logs=_logs_here(),
        )
    finally:
        ray.shutdown()


def _job_config() -> Any:
    """Return Ray's settings of a job, but without folders of ours for the workers' imports."""
    from ray.job_config import JobConfig

    class OwnPaths(JobConfig):  # type: ignore[misc]  # Ray ships no types for it
        """A job whose workers import what is installed, and nothing from the current folder.

        Ray would add that, and the folder of the driver's script, to their paths, where a user's
        `search.py` takes the place of a package.
        """

        @property
        def _py_driver_sys_path(self) -> list[str]:
            return []

        @_py_driver_sys_path.setter
        def _py_driver_sys_path(self, paths: list[str]) -> None:
            """Leave it empty."""

    return OwnPaths()


def _start_error(error: Exception, address: str | None) -> str:
    """Return the message of Ray's error; a refused token shows in the cause's text alone."""
    if address and "InvalidAuthToken" in str(error.__cause__ or error):
        return REFUSED_TOKEN.format(address=address)
    return f"Ray could not start: {without_secrets(str(error))}"


def _logs_here() -> Path | None:
    from ray._private.worker import global_worker

    node = getattr(global_worker, "node", None)
    return Path(node.get_logs_dir_path()) if node is not None else None
