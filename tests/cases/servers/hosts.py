"""Several hosts on one machine: network namespaces on a switch of their own, a Ray node in each.

The namespaces carry this process's id in their names and the switch is one of them, so nothing of
the machine's own network is touched and several test runs can stand side by side.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.cases.shadows import shadow_packages
from tests.cases.studies.whole_runs import wait_for

BIN = Path(sys.executable).parent
PORT, JOBS_PORT = 6379, 8265
STORE_BYTES = 100_000_000
# A host that is cut off says nothing: this is how soon the head gives it up. docs/cluster.md
# recommends slower ones, which forgive a busy network.
DETECTION = {
    "RAY_health_check_initial_delay_ms": "3000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "3000",
    "RAY_health_check_failure_threshold": "4",
}


class Hosts:
    """Hosts that can be cut off and killed."""

    def __init__(self, names: Sequence[str]) -> None:
        """Make the namespaces; the first one is to be the head.

        Args:
            names: of the hosts.
        """
        self.names = tuple(names)
        self._prefix = f"triptych{os.getpid()}-{secrets.token_hex(2)}"
        # Ray's sockets are below it, and their paths may have no more than 107 characters.
        self.scratch = Path(tempfile.mkdtemp(prefix="tri-", dir="/tmp"))
        self.token = self.scratch / "auth_token"
        self.token.touch(mode=0o600)
        self.token.write_text(secrets.token_hex(32))
        self._made: list[str] = []

    def connect(self) -> None:
        """Make the namespaces, and wire them to the switch."""
        switch = self._make("switch")
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        for place, name in enumerate(self.names):
            host = self._make(name)
            port = _port(place)
            _ip("-n", switch, "link", "add", port, "type", "veth",
                "peer", "name", "eth0", "netns", host)  # fmt: skip
            _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
            _ip("-n", host, "address", "add", f"{self.address(name)}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
            _ip("-n", host, "link", "set", "lo", "up")

    def address(self, name: str) -> str:
        """Where the host is on the switch."""
        return f"10.77.0.{self.names.index(name) + 1}"

    @property
    def cluster(self) -> str:
        """Address of the cluster."""
        return f"{self.address(self.names[0])}:{PORT}"

    @property
    def jobs(self) -> str:
        """Address of its job server, for who is on the head."""
        return f"http://127.0.0.1:{JOBS_PORT}"

    def start_ray(self, cores: int = 1) -> None:
        """Start a Ray node on every host, with token authentication."""
        head, *workers = self.names
        as_head = ["--head", f"--port={PORT}", "--dashboard-host=127.0.0.1"]
        self._wait(self._start_node(head, cores, as_head), head)
        as_worker = [f"--address={self.cluster}"]
        started = {worker: self._start_node(worker, cores, as_worker) for worker in workers}
        for worker, starting in started.items():
            self._wait(starting, worker)

    def environment(self) -> dict[str, str]:
        """Of a process on a host: it knows the token, and no other cluster."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {
            **own,
            **DETECTION,
            "PATH": f"{BIN}:{own.get('PATH', '')}",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token),
            "RAY_JOB_STOP_WAIT_TIME_S": "60",
            "RAY_USAGE_STATS_ENABLED": "0",
            "HOME": str(self.scratch),
            "COLUMNS": "200",
        }

    def start(
        self,
        name: str,
        command: Sequence[object],
        environment: Mapping[str, str | None] | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        """Start a command on a host.

        Args:
            name: of the host.
            command: program and arguments.
            environment: what is other than in `environment()`; None = not set.
            options: of `subprocess.Popen`.
        """
        values = {
            **self.environment(),
            "RAY_TMPDIR": str(self._temporary(name)),
            **(environment or {}),
        }
        said = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} | options
        return subprocess.Popen(
            ["ip", "netns", "exec", self._namespace(name), *map(str, command)],
            env={key: value for key, value in values.items() if value is not None},
            text=True,
            **said,
        )

    def run(
        self,
        name: str,
        command: Sequence[object],
        environment: Mapping[str, str | None] | None = None,
        timeout: float = 120,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host to its end; its output and its errors are in `stdout`."""
        process = self.start(name, command, environment, **options)
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            said, _ = process.communicate()
            raise AssertionError(f"{command} did not end in {timeout} s; it said: {said}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, said, "")

    def cut_off(self, name: str) -> None:
        """Pull the host's plug at the switch; it goes on by itself."""
        _ip("-n", self._namespace("switch"), "link", "set", self._plug(name), "down")

    def kill(self, name: str) -> None:
        """SIGKILL for every process of the host."""
        for process in self.processes(name):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def processes(self, name: str) -> list[int]:
        """The processes of a host."""
        return [int(line) for line in _ip("netns", "pids", self._namespace(name)).split()]

    def close(self) -> None:
        """Leave nothing behind."""
        for name in self._made:
            wait_for(lambda name=name: self._emptied(name), 30)
            _ip("netns", "delete", self._namespace(name))
        self._made.clear()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _emptied(self, name: str) -> bool:
        self.kill(name)
        return not self.processes(name)

    def _make(self, name: str) -> str:
        namespace = self._namespace(name)
        _ip("netns", "add", namespace)
        self._made.append(name)
        return namespace

    def _namespace(self, name: str) -> str:
        return f"{self._prefix}-{name}"

    def _plug(self, name: str) -> str:
        return _port(self.names.index(name))

    def _start_node(self, name: str, cores: int, role: Sequence[str]) -> subprocess.Popen[str]:
        own = [
            f"--node-ip-address={self.address(name)}",
            # Without it a node takes the head's, where the sockets of two get in each other's way.
            f"--temp-dir={self._temporary(name)}",
            f"--num-cpus={cores}",
            f"--object-store-memory={STORE_BYTES}",
            "--disable-usage-stats",
        ]
        # Its workers must import nothing from where it was started.
        folder = shadow_packages(self.scratch / "started")
        return self.start(name, [BIN / "ray", "start", *own, *role], cwd=folder)

    def _temporary(self, name: str) -> Path:
        temporary = self.scratch / name
        temporary.mkdir(exist_ok=True)
        return temporary

    def _wait(self, starting: subprocess.Popen[str], name: str) -> None:
        said, _ = starting.communicate(timeout=120)
        assert starting.returncode == 0, f"no Ray node on {name}: {said}"


def can_make_hosts() -> bool:
    """Whether this process may make network namespaces."""
    probe = f"triptych{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True)
    if made.returncode:
        return False
    entered = subprocess.run(["ip", "netns", "exec", probe, "true"], capture_output=True)
    _ip("netns", "delete", probe)
    return entered.returncode == 0


def _port(place: int) -> str:
    return f"port{place}"


def _ip(*arguments: str) -> str:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"
    return done.stdout
