"""Studies as jobs of a Ray cluster: handed in, followed, asked how far they are.

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
from search.submit.staging import stage

PACKAGES = ("msa_core", "spaces", "search", "reports")
KEPT_OUT = ["**/__pycache__", "**/*.pyc"]
RUNNING = ("PENDING", "RUNNING")
LOST, STOPPED = 1, 130
POLL_SECONDS = 0.5
ENTRYPOINT = "Running entrypoint for job"
# Where Ray would look first, whatever address it is given.
OTHER_ADDRESSES = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
# They tell of every package and connection, each at a level of its own.
TALKATIVE = (
    "ray._private.runtime_env.packaging",
    "ray.dashboard.modules.dashboard_sdk",
    "ray.dashboard.modules.job.sdk",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Submission:
    """A study that a cluster has taken.

    Attributes:
        job: its name there.
        study: name of the study.
        address: of the job server.
        workdir: results are in `runs/<study>` below it, on the head.
    """

    job: str
    study: str
    address: str
    workdir: str

    def status_command(self) -> str:
        """How a user asks how far it is."""
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
    """Hand a study in to a cluster, where it runs without this machine.

    Args:
        name: a study file, or a shipped study.
        address: of the cluster's job server, e.g. `http://127.0.0.1:8265`.
        workdir: on the head, or on a file system that the head mounts.
        data: feature files of this machine, which travel.
        data_there: feature files by their paths on the cluster.
        overrides: as given to `--set`.
        options: further arguments of `triptych run`.

    Raises:
        StudyError: a mistake in the study.
        RunError: no cluster, no token, or the study is running there already.
    """
    with tempfile.TemporaryDirectory(prefix="triptych-") as folder:
        staged = stage(name, Path(folder), data=data, data_there=data_there, overrides=overrides)
        study = staged.study.name
        with _client(address) as client:
            before = _jobs_of(client, study)
            for job in before:
                if job.status in RUNNING and job.metadata.get("workdir") == workdir:
                    raise RunError(
                        f"study '{study}' is already running at {address} as job "
                        f"{job.submission_id}; ask it with `triptych status {study} --address "
                        f"{address}`, or end it with `ray job stop {job.submission_id} --address "
                        f"{address}`"
                    )
            # Two that count the same get the same name, and Ray takes only one of them.
            wanted = f"triptych-{study}-{len(before) + 1}"
            job_name = client.submit_job(
                submission_id=wanted,
                entrypoint=_command(
                    "run", *staged.arguments, *options, "--address", "auto", workdir=workdir
                ),
                runtime_env={**_packages(), "working_dir": folder},
                metadata={"study": study, "workdir": workdir, "command": "run"},
            )
    return Submission(job=job_name, study=study, address=address, workdir=workdir)


def follow_study(submission: Submission, say: Callable[[str], None]) -> int:
    """Pass on what a job says until it ends.

    Args:
        submission: of the study.
        say: takes text as it comes.

    Returns:
        Exit code of its `triptych run`; 130 if somebody stopped it.

    Raises:
        RunError: the cluster went away.
    """
    with _client(submission.address) as client:
        return _to_its_end(client, submission.job, say)


def ask_status(
    study: str | None,
    address: str,
    say: Callable[[str], None],
    workdir: str = HEAD_WORKDIR,
    options: Sequence[str] = (),
) -> int:
    """Have the head run `triptych status`, and pass on what it says.

    Args:
        study: its name; None = all of the work folder.
        address: of the cluster's job server.
        say: takes text as it comes.
        workdir: on the head, as for `submit_study`.
        options: further arguments of `triptych status`.

    Returns:
        Its exit code.

    Raises:
        RunError: no cluster, or no token.
    """
    arguments = [study] if study else []
    with _client(address) as client:
        for job in _jobs_of(client, study):
            if job.status in RUNNING:
                say(f"job {job.submission_id}: {job.status.lower()}\n")
        job_name = client.submit_job(
            submission_id=f"triptych-status-{token_hex(4)}",
            entrypoint=_command("status", *arguments, *options, workdir=workdir),
            runtime_env=_packages(),
            metadata={"command": "status"},
        )
        try:
            return _to_its_end(client, job_name, say)
        finally:
            if client.get_job_status(job_name).is_terminal():
                client.delete_job(job_name)


def _command(command: str, *arguments: str, workdir: str) -> str:
    """For the shell of the head; a `~` is the head's."""
    home, slash, rest = workdir.partition("/")
    place = f"~/{shlex.quote(rest)}" if home == "~" and slash else shlex.quote(workdir)
    # exec: a signal to the job is one to Triptych.
    return f"exec python -m search.cli {command} {shlex.join(arguments)} --workdir {place}"


def _packages() -> dict[str, Any]:
    folders = [str(Path(str(import_module(name).__file__)).parent) for name in PACKAGES]
    return {"py_modules": folders, "excludes": KEPT_OUT}


def _jobs_of(client: Any, study: str | None) -> list[Any]:
    """The runs of a study that the cluster knows, or of all studies."""
    return [
        job
        for job in client.list_jobs()
        if (job.metadata or {}).get("command") == "run"
        and (study is None or job.metadata.get("study") == study)
    ]


def _to_its_end(client: Any, job: str, say: Callable[[str], None]) -> int:
    async def pass_on() -> None:
        begun = False
        async for text in client.tail_job_logs(job):
            if not begun and ENTRYPOINT in text:  # before and in that line is Ray's own
                begun, text = True, text.partition(ENTRYPOINT)[2].partition("\n")[2]
            if begun:
                say(text)

    asyncio.run(pass_on())
    while not client.get_job_status(job).is_terminal():  # the log may end a little earlier
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
def _client(address: str) -> Iterator[Any]:
    """The job server at an address, with Ray's errors as messages to a user."""
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
