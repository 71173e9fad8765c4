"""Studies as jobs of a Ray cluster: submitted, followed, asked for their status.

The four packages travel with a job, so the cluster needs the pinned environment and no checkout.
"""

import asyncio
import logging
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any

from search.errors import REFUSED_TOKEN, RunError
from search.submit.head import HEAD_WORKDIR
from search.submit.staging import stage_study

PACKAGES = ("triptych", "msa_core", "spaces", "search", "reports")
KEPT_OUT = ["**/__pycache__", "**/*.pyc"]
RUNNING = ("PENDING", "RUNNING")
LOST, STOPPED = 1, 130
POLL_SECONDS = 0.5
ENTRYPOINT = "Running entrypoint for job"
# Ray would prefer these to whatever address it is given.
OTHER_ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
# Ray's loggers that write a line per package and connection, each with a level of its own.
TALKATIVE = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A study that a cluster has taken.

    Attributes:
        job: Name of the job.
        study: Name of the study.
        address: Address of the job server.
        workdir: Folder on the head; results are in `runs/<study>` below it.
    """

    job: str
    study: str
    address: str
    workdir: str

    def status_command(self) -> str:
        """Return the command that shows how far the study is."""
        place = "" if self.workdir == HEAD_WORKDIR else f" --workdir {shlex.quote(self.workdir)}"
        return f"triptych status {self.study} --address {self.address}{place}"


def submit_study(
    name: str,
    address: str,
    *,
    workdir: str = HEAD_WORKDIR,
    data: Sequence[str] = (),
    data_there: Sequence[str] = (),
    overrides: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Submission:
    """Submit a study to a cluster, where it runs without this machine.

    Args:
        name: Study file, or name of a shipped study.
        address: Address of the cluster's job server, e.g. `http://127.0.0.1:8265`.
        workdir: Folder on the head, or on a file system that the head mounts.
        data: Feature files of this machine, which are sent along.
        data_there: Feature files by their paths on the cluster.
        overrides: Values of `--set`.
        options: Further arguments of `triptych run`.

    Raises:
        StudyError: a mistake in the study.
        RunError: no cluster, no token, or the study is running there already.
    """
    with tempfile.TemporaryDirectory(prefix="triptych-") as folder:
        staged = stage_study(
            name, Path(folder), data=data, data_there=data_there, overrides=overrides
        )
        study = staged.study.name
        with _open_client(address) as client:
            before = _run_jobs(client, study)
            for job in before:
                if job.status in RUNNING and job.metadata.get("workdir") == workdir:
                    raise RunError(
                        f"study '{study}' is already running at {address} as job "
                        f"{job.submission_id}; ask it with `triptych status {study} --address "
                        f"{address}`, or end it with `ray job stop {job.submission_id} --address "
                        f"{address}`"
                    )
            # Two submissions at the same moment count the same jobs and get the same name, of which
            # Ray takes only one: so a study is never run twice at once.
            wanted = f"triptych-{study}-{len(before) + 1}"
            job_name = client.submit_job(
                submission_id=wanted,
                entrypoint=_head_command(
                    "run", *staged.arguments, *options, "--address", "auto", workdir=workdir
                ),
                runtime_env={**_package_environment(), "working_dir": folder},
                metadata={"study": study, "workdir": workdir, "command": "run"},
            )
    return Submission(job=job_name, study=study, address=address, workdir=workdir)


def follow_study(submission: Submission, say: Callable[[str], None]) -> int:
    """Print a job's log until it ends.

    Args:
        submission: Submission of the study.
        say: Receiver of text as it comes.

    Returns:
        Exit code of its `triptych run`; 130 if the job was stopped.

    Raises:
        RunError: the cluster went away.
    """
    with _open_client(submission.address) as client:
        return _follow_to_end(client, submission.job, say)


def ask_status(
    study: str | None,
    address: str,
    say: Callable[[str], None],
    workdir: str = HEAD_WORKDIR,
    options: Sequence[str] = (),
) -> int:
    """Run `triptych status` on the head, and print its output.

    Args:
        study: Name of the study; None = all studies of the work folder.
        address: Address of the cluster's job server.
        say: Receiver of text as it comes.
        workdir: Folder on the head, as for `submit_study`.
        options: Further arguments of `triptych status`.

    Returns:
        Its exit code.

    Raises:
        RunError: no cluster, or no token.
    """
    arguments = [study] if study else []
    with _open_client(address) as client:
        for job in _run_jobs(client, study):
            if job.status in RUNNING:
                say(f"job {job.submission_id}: {job.status.lower()}\n")
        job_name = client.submit_job(
            submission_id=f"triptych-status-{token_hex(4)}",
            entrypoint=_head_command("status", *arguments, *options, workdir=workdir),
            runtime_env=_package_environment(),
            metadata={"command": "status"},
        )
        try:
            return _follow_to_end(client, job_name, say)
        finally:
            if client.get_job_status(job_name).is_terminal():
                client.delete_job(job_name)


def _head_command(command: str, *arguments: str, workdir: str) -> str:
    """Write a command for the shell of the head, which expands a `~`."""
    home, slash, rest = workdir.partition("/")
    place = f"~/{shlex.quote(rest)}" if home == "~" and slash else shlex.quote(workdir)
    # exec: a signal to the job must reach Triptych, and not a shell around it.
    return f"exec python -P -m triptych {command} {shlex.join(arguments)} --workdir {place}"


def _package_environment() -> dict[str, Any]:
    folders = [str(Path(str(import_module(name).__file__)).parent) for name in PACKAGES]
    return {"py_modules": folders, "excludes": KEPT_OUT}


def _run_jobs(client: Any, study: str | None) -> list[Any]:
    """List the cluster's run jobs of a study, or of all studies."""
    return [
        job
        for job in client.list_jobs()
        if (job.metadata or {}).get("command") == "run"
        and (study is None or job.metadata.get("study") == study)
    ]


def _follow_to_end(client: Any, job: str, say: Callable[[str], None]) -> int:
    async def pass_on() -> None:
        begun = False
        async for text in client.tail_job_logs(job):
            if not begun and ENTRYPOINT in text:  # up to the end of that line the text is Ray's
                begun, text = True, text.partition(ENTRYPOINT)[2].partition("\n")[2]
            if begun:
                say(text)

    asyncio.run(pass_on())
    while not client.get_job_status(job).is_terminal():  # the log may end before the job
        time.sleep(POLL_SECONDS)
    info = client.get_job_info(job)
    if info.status == "SUCCEEDED":
        return 0
    if info.status == "STOPPED":
        return STOPPED
    if info.driver_exit_code is None:  # it did not even start, or its node was lost
        say(f"{info.message}\n")
        return LOST
    return int(info.driver_exit_code)


@contextmanager
def _open_client(address: str) -> Iterator[Any]:
    """Open a client of the job server, with Ray's errors as messages to a user."""
    if not address.startswith(("http://", "https://")):
        raise RunError(
            f"--address {address}: needs the http address of the cluster's job server, which is "
            "the dashboard's, e.g. http://127.0.0.1:8265 (`ray dashboard cluster.yaml` brings it "
            "here)"
        )
    hidden = {name: os.environ.pop(name) for name in OTHER_ADDRESSES if name in os.environ}
    try:
        from ray.exceptions import AuthenticationError
        from ray.job_submission import JobSubmissionClient

        for name in TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            yield JobSubmissionClient(address)
        except AuthenticationError as error:
            raise RunError(REFUSED_TOKEN.format(address=address)) from error
        except ConnectionError as error:
            raise RunError(
                f"no job server answers at {address}; is the cluster up, and its dashboard "
                "forwarded to here (`ray dashboard cluster.yaml`)?"
            ) from error
        except RuntimeError as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"the cluster at {address} refused: {error}") from error
    finally:
        os.environ.update(hidden)
