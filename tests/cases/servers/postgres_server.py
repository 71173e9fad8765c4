"""Real servers for tests, on this machine alone: PostgreSQL, and an MLflow server before it."""

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

START_SECONDS = 120.0
DEBIAN = Path("/usr/lib/postgresql")  # keeps them there, and not on the path


def programs_path() -> str:
    """Where PostgreSQL's programs may be, the newest version first."""
    found = sorted(DEBIAN.glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return os.pathsep.join([os.environ.get("PATH", ""), *map(str, found)])


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Postgres:
    """A PostgreSQL of its own, in a folder of its own, with a password."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="triptych-postgres-"))
        self.port = free_port()
        self._password = secrets.token_hex(8)
        # It refuses to run as root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        word = self.folder / "word"
        word.write_text(self._password, encoding="utf-8")
        word.chmod(0o644)
        self._call("initdb", "--username=tracking", "--auth=scram-sha-256", f"--pwfile={word}")
        word.unlink()
        self.start()

    @property
    def uri(self) -> str:
        """Of its only database."""
        return f"postgresql://tracking:{self._password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder} -c fsync=off"
        self._call("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is as good as a crash."""
        self._call("pg_ctl", "-w", "-m", mode, "stop")

    def remove(self) -> None:
        """Stop it and delete everything."""
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _call(self, program: str, *words: str) -> None:
        found = shutil.which(program, path=programs_path())
        assert found is not None
        subprocess.run(
            [found, "-D", str(self.folder / "data"), *words],
            check=True,
            timeout=START_SECONDS,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._as,
        )


class MlflowServer:
    """`mlflow server` on a port that stays the same when it is started again."""

    def __init__(self, folder: Path, store: str) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._store = store
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1",
                 "--port", str(self.port), "--workers", "1",
                 "--artifacts-destination", str(self._folder / "artifacts")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                env={**os.environ, "MLFLOW_BACKEND_STORE_URI": self._store,
                     "MLFLOW_DISABLE_TELEMETRY": "true"},
            )  # fmt: skip
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            assert self._process.poll() is None, "the MLflow server ended; see server.log"
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.5)
        raise TimeoutError("the MLflow server does not answer; see server.log")

    def kill(self) -> None:
        """Kill it and what it started, in the middle of whatever they do."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
