"""The lock of a results folder: one driver, and what becomes of a lock whose holder died."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.ledger import lock as module
from search.ledger.errors import LedgerError
from search.ledger.ledger import Ledger, read_ledger
from search.ledger.lock import (
    CLOSED,
    LOCK,
    OPEN,
    Lock,
    is_locked,
    lock_holder,
    seconds_since_heartbeat,
)
from search.results.history import read_runs, record_killed
from tests.cases.ledger_cases import record

GOES_ON = r"is going on \(process \d+ on .+, since .+, last sign of life \d+ s ago\); wait for it"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 2)


@pytest.fixture
def no_flock(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a network file system without a lock service."""

    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)


@pytest.fixture
def left(tmp_path: Path) -> Callable[..., Path]:
    """Writes the lock that a run left behind, changed, and last touched some time ago."""

    def write(seconds_ago: float = 0.0, **changes: Any) -> Path:
        with Ledger(tmp_path):
            content = json.loads((tmp_path / LOCK).read_text())
        path = tmp_path / LOCK
        path.write_text(json.dumps({**content, "token": "of another run", **changes}) + "\n")
        touched = time.time() - seconds_ago
        os.utime(path, (touched, touched))
        return tmp_path

    return write


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_second_driver_is_refused_and_says_who_the_first_is(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with Ledger(tmp_path) as ledger:
        assert is_locked(tmp_path)
        holder = lock_holder(tmp_path)
        assert holder is not None and holder.pid == os.getpid()
        assert 0 <= seconds_since_heartbeat(tmp_path) < 60
        with pytest.raises(LedgerError, match=GOES_ON):
            Ledger(tmp_path)
        ledger.append([record("a")])
    assert not is_locked(tmp_path)
    with Ledger(tmp_path) as ledger:
        assert (ledger.killed, ledger.took_over) == (None, "")


def test_a_killed_driver_is_noticed_and_goes_into_the_history(tmp_path: Path) -> None:
    code = (
        "import os, sys, pathlib, search.ledger.ledger as l; l.Ledger(pathlib.Path(sys.argv[1])); "
        "print('here', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == b"here\n"
    with pytest.raises(LedgerError, match=rf"process {process.pid} on "):
        Ledger(tmp_path)
    process.kill()
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert not is_locked(tmp_path)
    with Ledger(tmp_path) as ledger:
        assert ledger.killed is not None and ledger.killed.pid == process.pid
        assert "did not end in order" in ledger.took_over
        record_killed(tmp_path, ledger.killed, cells=3)
    (run,) = read_runs(tmp_path)
    assert (run.ended, run.cells) == ("killed", 3)
    assert 0 <= run.wall_seconds < 600
    with Ledger(tmp_path) as ledger:
        assert ledger.killed is None


def test_a_lock_closed_in_order_is_nobodys(left: Callable[..., Path]) -> None:
    folder = left(state=CLOSED, kernel="another machine")
    assert not is_locked(folder)
    with Ledger(folder) as ledger:
        assert ledger.killed is None


@pytest.mark.parametrize("flock", [True, False])
def test_another_machine_that_gave_a_sign_lately_holds_the_lock(
    left: Callable[..., Path], request: pytest.FixtureRequest, flock: bool
) -> None:
    if not flock:
        request.getfixturevalue("no_flock")
    folder = left(20, kernel="another machine", host="far", state=OPEN)
    assert is_locked(folder)
    with pytest.raises(
        LedgerError, match=rf"on far.*{GOES_ON[-10:]}.*that machine is gone, try again in \d\d s"
    ):
        Ledger(folder)
    assert json.loads((folder / LOCK).read_text())["token"] == "of another run"


@pytest.mark.parametrize("flock", [True, False])
def test_another_machine_that_gave_none_for_long_has_lost_the_lock(
    left: Callable[..., Path], request: pytest.FixtureRequest, flock: bool
) -> None:
    if not flock:
        request.getfixturevalue("no_flock")
    folder = left(90, kernel="another machine", host="far", state=OPEN)
    assert not is_locked(folder)
    with Ledger(folder) as ledger:
        assert ledger.killed is not None and ledger.killed.host == "far"
        ledger.append([record("a")])
        assert is_locked(folder)


def test_without_flock_a_dead_process_of_this_machine_has_lost_the_lock(
    left: Callable[..., Path], no_flock: None
) -> None:
    folder = left(pid=dead_pid(), state=OPEN)
    assert not is_locked(folder)
    with Ledger(folder) as ledger:
        assert ledger.took_over


def test_without_flock_a_process_that_only_has_the_same_number_does_not_hold_it(
    left: Callable[..., Path], no_flock: None
) -> None:
    with Ledger(left(birth="1", state=OPEN)) as ledger:
        assert ledger.took_over


def test_without_flock_a_live_process_holds_it_however_long_it_is_silent(
    left: Callable[..., Path], no_flock: None
) -> None:
    folder = left(500, state=OPEN)  # it is this very process
    assert is_locked(folder)
    with pytest.raises(LedgerError, match=GOES_ON):
        Ledger(folder)


@pytest.mark.parametrize(("silent", "locked"), [(5, True), (90, False)])
def test_without_flock_processes_of_another_container_count_by_their_signs(
    left: Callable[..., Path], no_flock: None, silent: float, locked: bool
) -> None:
    assert is_locked(left(silent, pids="another", state=OPEN)) == locked


def test_with_flock_a_restart_of_the_same_system_is_not_waited_for(
    left: Callable[..., Path],
) -> None:
    with Ledger(left(pid=dead_pid(), state=OPEN)) as ledger:
        assert ledger.killed is not None


def test_who_finds_another_token_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / LOCK
    ledger = Ledger(tmp_path)
    ledger.append([record("a")])
    content = json.loads(path.read_text())
    other = json.dumps({**content, "token": "of another run", "host": "far", "pid": 7}) + "\n"
    path.write_text(other)
    with pytest.raises(LedgerError, match=r"has lost the lock .process 7 on far has taken it over"):
        ledger.append([record("b")])
    ledger.close()
    assert path.read_text() == other  # not ours to release
    assert set(read_ledger(tmp_path)) == {"a"}


def test_who_finds_no_lock_writes_nothing(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        (tmp_path / LOCK).unlink()
        with pytest.raises(LedgerError, match="somebody removed it"):
            ledger.append([record("a")])


def test_of_two_that_take_it_at_once_the_later_one_holds_it(
    tmp_path: Path, no_flock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / LOCK

    def meanwhile(seconds: float) -> None:
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "token": "of another run"}))

    monkeypatch.setattr(time, "sleep", meanwhile)
    with pytest.raises(LedgerError, match="has lost the lock"):
        Lock(tmp_path)


def test_the_holder_gives_signs_of_life_until_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.01)
    path = tmp_path / LOCK
    lock = Lock(tmp_path)

    def is_touched() -> bool:
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while (
            path.stat().st_mtime == 1 and time.monotonic() < deadline and lock._heartbeat.is_alive()
        ):
            time.sleep(0.01)
        return path.stat().st_mtime != 1

    assert is_touched()
    path.write_text(json.dumps({**json.loads(path.read_text()), "token": "other"}))
    lock._heartbeat.join(10)
    assert not is_touched()
    lock.release()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 300,
        b"process 12 on somewhere\n",
        b"[" * 100_000,
        b'{"pid": "x"}',
        b'{"host": 1, "kernel": [], "pids": {}, "pid": -1, "birth": "", "started": "", '
        b'"token": "", "state": "open"}',
        b"\xff\xfe",
    ],
)
def test_a_lock_that_says_nothing_is_the_kernels_matter(tmp_path: Path, content: bytes) -> None:
    (tmp_path / LOCK).write_bytes(content)
    assert not is_locked(tmp_path)
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
        (tmp_path / LOCK).write_bytes(content)
        assert str(lock_holder(tmp_path)) == "another process"
        with pytest.raises(LedgerError, match=r"is going on \(another process\)"):
            Ledger(tmp_path)


def test_asking_whether_a_folder_is_locked_never_keeps_a_driver_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 10)
    (tmp_path / LOCK).touch()
    with (tmp_path / LOCK).open() as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        real = time.sleep

        def let_go(seconds: float) -> None:
            fcntl.flock(asking, fcntl.LOCK_UN)
            real(seconds)

        monkeypatch.setattr(time, "sleep", let_go)
        with Ledger(tmp_path):
            pass


def test_a_lock_that_cannot_be_written_is_one_message(tmp_path: Path) -> None:
    (tmp_path / LOCK).mkdir()
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path)


def test_windows_gets_one_line_when_a_folder_is_to_be_locked(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; sys.modules['fcntl'] = None\n"
        "from search.ledger.lock import Lock, LedgerError, lock_holder\n"
        "for use in (Lock, lock_holder):\n"
        "    try: use(pathlib.Path(sys.argv[1]))\n"
        "    except LedgerError as error: print(error)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True
    )
    assert told.stdout.count("runs on Linux and macOS") == 2
    assert told.stdout.count("on Windows use WSL") == 2


def test_a_folder_that_is_not_there_is_not_locked(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not is_locked(tmp_path / "none")
    assert not is_locked(tmp_path / "file")
