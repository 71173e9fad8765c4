"""The lock of a results folder: one driver at a time, on one machine or over a network.

The kernel's lock (`flock`) decides between processes of one machine. Between machines, or where a
file system has none, the content of the lock decides: who holds it, and when it was last touched
by its heartbeat, by the clock of the file system.

The `filelock` package cannot stand in for it: it has no shared lock, by which readers ask without
keeping each other out, and where there is no `flock` it falls back to a file that a killed holder
leaves behind.
"""

import contextlib
import json
import os
import socket
import tempfile
import threading
import time
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from search.ledger.errors import LedgerError

try:
    import fcntl
except ImportError:  # on Windows, where `_check_system` tells so in one line
    fcntl = None  # type: ignore[assignment]

LOCK = "lock"
HEARTBEAT_SECONDS = 5.0
# Without a heartbeat, after which a holder on another machine counts as dead: twelve are missing.
DEAD_SECONDS = 60.0
SETTLE_SECONDS = 1.0  # after which, of two that took the lock at once, the later one holds it
PATIENCE = 10  # tries: a reader that asks for the lock holds it for a moment
OPEN, CLOSED = "open", "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """The holder of a lock, as the lock's file names it.

    Attributes:
        host: Name of its machine.
        kernel: Identity of the system that runs there; another one after a restart.
        pids: Identity of the namespace of its process number.
        pid: Number of its process.
        birth: Start of that process, in ticks of its system; empty if unknown.
        started: Start of the run, ISO time.
        token: Random token of this run.
        state: `open` while it runs; `closed` once it ended in order.
    """

    host: str = ""
    kernel: str = ""
    pids: str = ""
    pid: int = 0
    birth: str = ""
    started: str = ""
    token: str = ""
    state: str = CLOSED

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.pid else "another process"


@dataclass(frozen=True, kw_only=True, slots=True)
class KilledRun:
    """A run that did not end in order.

    Attributes:
        started: Start of the run, ISO time.
        last_seen: ISO time of its last heartbeat.
        host, pid: Machine and process that it ran in.
    """

    started: str
    last_seen: str
    host: str
    pid: int


class Lock:
    """The lock of a folder, held from its creation until `release`.

    Attributes:
        killed: Run that held it before and never released it; None if there was none.
        took_over: Sentence about that run; empty if there was none.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            LedgerError: another driver holds it, or it cannot be written.
        """
        _check_system()
        self.folder = folder
        self.killed: KilledRun | None = None
        self.took_over = ""
        self._path = folder / LOCK
        self._own = Holder(
            host=socket.gethostname(),
            kernel=_boot_id(),
            pids=_pid_namespace(),
            pid=os.getpid(),
            birth=_process_start(os.getpid()),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            token=uuid.uuid4().hex,
            state=OPEN,
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LedgerError(f"{folder}: cannot be written: {error.strerror}") from None
        try:
            self._take_lock()
        except OSError as error:
            os.close(self._file)
            raise LedgerError(f"{self._path}: cannot be written: {error.strerror}") from None
        except BaseException:
            os.close(self._file)
            raise
        self._released = threading.Event()
        self._heartbeat = threading.Thread(target=self._send_heartbeats, name="lock", daemon=True)
        self._heartbeat.start()

    def confirm_held(self) -> None:
        """Check, before anything is written, that this run still holds the lock.

        Raises:
            LedgerError: another driver has taken it, or it is gone.
        """
        found = _read_holder(self._path)
        if found is None or found.token != self._own.token:
            who = f"{found} has taken it over" if found and found.token else "somebody removed it"
            raise LedgerError(
                f"{self._path}: this run has lost the lock ({who}, maybe because this machine was "
                "suspended or cut off), so it writes nothing more; what it had written counts, "
                "and the same command goes on from there"
            )

    def release(self) -> None:
        """Release the lock in order."""
        self._released.set()
        self._heartbeat.join()
        found = _read_holder(self._path)
        if found is not None and found.token == self._own.token:
            # Where it can't be written the next run takes this one for killed, and no more.
            with contextlib.suppress(OSError):
                self._write_state(CLOSED)
        os.close(self._file)

    def _take_lock(self) -> None:
        locked = _try_flock(self._file, fcntl.LOCK_EX, PATIENCE)
        found = _read_holder(self._path)
        if locked is False or (found is not None and _still_holds(found, locked, self._path)):
            raise LedgerError(self._refusal_text(found or Holder(), locked))
        was_open = found is not None and found.state == OPEN
        if found is not None and was_open:
            self._note_killed(found)
        self._write_state(OPEN)
        elsewhere = was_open and found is not None and found.kernel != self._own.kernel
        # Another driver may be doing the same just now, and no kernel decides between the two.
        if locked is None or elsewhere:
            time.sleep(SETTLE_SECONDS)
            self.confirm_held()

    def _refusal_text(self, found: Holder, locked: bool | None) -> str:
        since = f", since {found.started}" if found.started else ""
        silent = _seconds_since_touch(self._path)
        sign = f", last sign of life {silent:.0f} s ago" if found.pid else ""
        hint = ""
        if locked is not False and found.kernel != self._own.kernel:
            wait = DEAD_SECONDS - silent
            hint = f"; if that machine is gone, try again in {max(1.0, wait):.0f} s"
        return (
            f"{self.folder}: a run of this study is going on ({found}{since}{sign}); wait for it, "
            f"stop it, or choose another folder with --workdir{hint}"
        )

    def _note_killed(self, found: Holder) -> None:
        seen = os.fstat(self._file).st_mtime
        last_seen = datetime.fromtimestamp(seen, UTC).isoformat(timespec="seconds")
        self.killed = KilledRun(
            started=found.started, last_seen=last_seen, host=found.host, pid=found.pid
        )
        self.took_over = (
            f"the run before this one ({found}, since {found.started}) did not end in order; its "
            f"last sign of life was at {last_seen}, and its lock was taken over"
        )

    def _write_state(self, state: str) -> None:
        content = json.dumps({**asdict(self._own), "state": state}).encode() + b"\n"
        # Written over the old content and only then cut: that works on a full disk, too.
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))
        os.fsync(self._file)

    def _send_heartbeats(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            found = _read_holder(self._path)
            if found is not None and found.token != self._own.token:
                return  # lost to another driver; the next append refuses to write
            try:
                # Without a time: the file system sets its own, and clocks of machines differ.
                os.utime(self._file)
            except OSError:
                continue


def lock_holder(folder: Path) -> Holder | None:
    """Return the driver that is writing a folder now, on whatever machine; None if there is none.

    Raises:
        LedgerError: the lock cannot be read.
    """
    _check_system()
    path = folder / LOCK
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        # Shared, so that several readers that ask at once do not take each other for a driver.
        locked = _try_flock(file, fcntl.LOCK_SH, 1)
        found = _read_holder(path) or Holder()
        return found if locked is False or _still_holds(found, locked, path) else None
    finally:
        os.close(file)


def is_locked(folder: Path) -> bool:
    """Check whether a driver is writing this folder now, on whatever machine."""
    return lock_holder(folder) is not None


def seconds_since_heartbeat(folder: Path) -> float:
    """Return the seconds since the last heartbeat of a folder's lock, by the folder's clock."""
    return _seconds_since_touch(folder / LOCK)


def _check_system() -> None:
    if fcntl is None:
        raise LedgerError(
            "Triptych runs on Linux and macOS: file locks (fcntl.flock) are missing here; on "
            "Windows use WSL"
        )


def _try_flock(file: int, kind: int, tries: int) -> bool | None:
    """Try to get the kernel's lock; None if this file system has none."""
    for attempt in range(tries):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):
            if attempt + 1 < tries:
                time.sleep(0.05)
        except OSError:
            return None
    return False


def _still_holds(found: Holder, locked: bool | None, path: Path) -> bool:
    """Check whether the named holder still holds a lock that the kernel does not refuse."""
    if found.state != OPEN:
        return False
    if found.kernel == _boot_id():
        if locked:
            return False  # while its process lived, the kernel would have refused the lock
        # In another container the same number is another process; then heartbeats decide.
        if found.pids == _pid_namespace():
            return (
                _process_start(found.pid) == found.birth
                if found.birth
                else _process_exists(found.pid)
            )
    return _seconds_since_touch(path) <= DEAD_SECONDS


def _read_holder(path: Path) -> Holder | None:
    """Read the holder that a lock names; None if it names none."""
    try:
        content = json.loads(path.read_bytes().split(b"\n")[0])
        known = {name: content[name] for name in Holder.__dataclass_fields__}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if (
        not all(isinstance(value, int if name == "pid" else str) for name, value in known.items())
        or not 0 < known["pid"] < 2**31
    ):
        return None
    return Holder(**known)


def _seconds_since_touch(path: Path) -> float:
    """Return the seconds since a file was touched, by the clock of its file system."""
    try:
        touched = path.stat().st_mtime
    except OSError:
        return 0.0
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:  # a reader that may not write has no better clock than its own
        now = time.time()
    return max(0.0, now - touched)


def _boot_id() -> str:
    return _read_text(Path("/proc/sys/kernel/random/boot_id")) or socket.gethostname()


def _pid_namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _process_start(pid: int) -> str:
    """Return the start of a process, in ticks of its system; empty if there is none, or unknown."""
    # Behind the name, which may hold anything, the 20th word is the 22nd of `proc_pid_stat(5)`.
    words = _read_text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return words[19] if len(words) > 19 else ""


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
