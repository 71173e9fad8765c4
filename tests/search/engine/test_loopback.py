"""A run of this machine alone listens nowhere but on loopback."""

import ipaddress
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cases.paths import TRIPTYCH

LISTENS = "0A"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="needs Linux's /proc")
def test_a_local_run_listens_on_loopback_alone(tmp_path: Path, small_study_text: str) -> None:
    text = small_study_text.replace("train.epochs: 3", "train.epochs: 60")
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    said = tmp_path / "said"
    with said.open("w") as file:
        run = subprocess.Popen(
            [str(TRIPTYCH), "run", "study.yaml", "--workers", "2"],
            cwd=tmp_path, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        found: set[str] = set()
        trained = False
        deadline = time.monotonic() + 200
        while run.poll() is None and time.monotonic() < deadline:
            family = below(run.pid)
            trained |= any("Trainable" in command for command in family.values())
            found |= listening(set(family))
            time.sleep(0.2)
        if run.poll() is None:
            run.kill()
    assert run.wait() == 0, said.read_text()
    assert trained  # so the workers were looked at, too
    assert len(found) > 3  # Ray's control plane, its node's servers and the workers
    assert {address for address in found if not is_loopback(address)} == set()
    assert "oken" not in said.read_text()


def below(process: int) -> dict[int, str]:
    """A process and all that it started: their ids and commands."""
    parents: dict[int, int] = {}
    commands: dict[int, str] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            commands[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
        except OSError:
            continue  # it has ended
    family = {process}
    while more := {one for one, parent in parents.items() if parent in family} - family:
        family |= more
    return {one: commands.get(one, "") for one in family}


def listening(processes: set[int]) -> set[str]:
    """`address:port` of every TCP server among the processes."""
    sockets = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process}/fd").glob("*"):
            try:
                target = str(descriptor.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                sockets.add(target[len("socket:[") : -1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENS and fields[9] in sockets:
                found.add(address_of(fields[1]))
    return found


def address_of(entry: str) -> str:
    """`host:port` of the kernel's hexadecimal words, each in the machine's byte order."""
    words, port = entry.split(":")
    raw = b"".join(
        int(words[place : place + 8], 16).to_bytes(4, sys.byteorder)
        for place in range(0, len(words), 8)
    )
    return f"{ipaddress.ip_address(raw)} {int(port, 16)}"


def is_loopback(entry: str) -> bool:
    address = ipaddress.ip_address(entry.split(" ")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
