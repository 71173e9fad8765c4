"""The lock of a results folder: one driver at a time, on one machine or over a network.

The kernel's lock (`flock`) decides between processes of one machine. Between machines, or where a
file system has none, the content of the lock decides: who holds it, and when it last gave a sign
of life, by the clock of the file system. Standard library only.
"""

import contextlib
import fcntl
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

LOCK = "lock"
BEAT_SECONDS = 5.0  # between two signs of life
DEAD_SECONDS = 60.0  # without one, after which a holder on another machine is taken for dead
SETTLE_SECONDS = 1.0  # after which of two that took it at once the later one holds it
PATIENCE = 10  # tries: who only asks whether a folder is locked holds its lock for a moment
OPEN, CLOSED = "open", "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """What a lock says of its holder.

    Attributes:
        host: name of its machine.
        kernel: identity of the system that runs there; another one after a restart.
        pids: identity of the name space of its process numbers.
        pid: its process.
        birth: when that process began, as the system counts; empty if unknown.
        started: when the run began, ISO time.
        token: drawn for this run.
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
    """A run that ended without a word.

    Attributes:
        started: ISO time.
        last_seen: ISO time of its last sign of life.
        host, pid: where it ran.
    """

    started: str
    last_seen: str
    host: str
    pid: int


class Lock:
    """Held from the moment it is made until `release`.

    Attributes:
        killed: the run that held it before and never released it; None if there was none.
        took_over: says so, for a person; empty if not.
    """

    def __init__(self, folder: Path) -> None:
        """Take the lock.

        Raises:
            LedgerError: another driver holds it, or it cannot be written.
        """
        self.folder = folder
        self.killed: KilledRun | None = None
        self.took_over = ""
        self._path = folder / LOCK
        self._own = Holder(
            host=socket.gethostname(),
            kernel=_kernel(),
            pids=_pids(),
            pid=os.getpid(),
            birth=_birth(os.getpid()),
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
            self._take()
        except OSError as error:
            os.close(self._file)
            raise LedgerError(f"{self._path}: cannot be written: {error.strerror}") from None
        except BaseException:
            os.close(self._file)
            raise
        self._released = threading.Event()
        self._beat = threading.Thread(target=self._give_signs, name="lock", daemon=True)
        self._beat.start()

    def confirm(self) -> None:
        """Make sure that it is still ours, before anything is written.

        Raises:
            LedgerError: another driver has taken it, or it is gone.
        """
        found = _read(self._path)
        if found is None or found.token != self._own.token:
            who = f"{found} has taken it over" if found and found.token else "somebody removed it"
            raise LedgerError(
                f"{self._path}: this run has lost the lock ({who}, maybe because this machine was "
                "suspended or cut off), so it writes nothing more; what it had written counts, "
                "and the same command goes on from there"
            )

    def release(self) -> None:
        """End in order."""
        self._released.set()
        self._beat.join()
        found = _read(self._path)
        if found is not None and found.token == self._own.token:
            # If it can't be written, the next run takes this one for killed, and nothing else.
            with contextlib.suppress(OSError):
                self._write(CLOSED)
        os.close(self._file)

    def _take(self) -> None:
        locked = _flock(self._file, fcntl.LOCK_EX, PATIENCE)
        found = _read(self._path)
        if locked is False or (found is not None and _holds(found, locked, self._path)):
            raise LedgerError(self._refusal(found or Holder(), locked))
        was_open = found is not None and found.state == OPEN
        if found is not None and was_open:
            self._note_killed(found)
        self._write(OPEN)
        elsewhere = was_open and found is not None and found.kernel != self._own.kernel
        if locked is None or elsewhere:  # another driver may be doing the same just now
            time.sleep(SETTLE_SECONDS)
            self.confirm()

    def _refusal(self, found: Holder, locked: bool | None) -> str:
        since = f", since {found.started}" if found.started else ""
        silent = _silence(self._path)
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

    def _write(self, state: str) -> None:
        content = json.dumps({**asdict(self._own), "state": state}).encode() + b"\n"
        # Over what is there, and only then cut: a full disk still has room for that.
        os.pwrite(self._file, content, 0)
        os.ftruncate(self._file, len(content))
        os.fsync(self._file)

    def _give_signs(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            found = _read(self._path)
            if found is not None and found.token != self._own.token:
                return  # not our lock any more; the next append says so
            try:
                os.utime(self._file)  # without a time: the file system puts its own
            except OSError:
                continue


def lock_holder(folder: Path) -> Holder | None:
    """Who is writing a folder now, on whatever machine; None = nobody.

    Raises:
        LedgerError: the lock cannot be read.
    """
    path = folder / LOCK
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        locked = _flock(file, fcntl.LOCK_SH, 1)
        found = _read(path) or Holder()
        return found if locked is False or _holds(found, locked, path) else None
    finally:
        os.close(file)


def is_locked(folder: Path) -> bool:
    """Whether a driver is writing this folder now, on whatever machine."""
    return lock_holder(folder) is not None


def last_sign(folder: Path) -> float:
    """Seconds since the holder of a folder's lock gave a sign of life, by the folder's clock."""
    return _silence(folder / LOCK)


def _flock(file: int, kind: int, tries: int) -> bool | None:
    """Whether the kernel gave its lock; None if this file system has none."""
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


def _holds(found: Holder, locked: bool | None, path: Path) -> bool:
    """Whether the holder that a lock names still holds it, although the kernel does not say so."""
    if found.state != OPEN:
        return False
    if found.kernel == _kernel():
        if locked:
            return False  # its process would not have let us have the kernel's lock
        if found.pids == _pids():
            return _birth(found.pid) == found.birth if found.birth else _lives(found.pid)
    return _silence(path) <= DEAD_SECONDS


def _read(path: Path) -> Holder | None:
    """What a lock says; None if it says nothing."""
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


def _silence(path: Path) -> float:
    """Seconds since a file was touched, by the clock that touched it."""
    try:
        touched = path.stat().st_mtime
    except OSError:
        return 0.0
    try:
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            now = os.fstat(probe.fileno()).st_mtime
    except OSError:  # who may only read has no better clock than its own
        now = time.time()
    return max(0.0, now - touched)


def _kernel() -> str:
    return _said(Path("/proc/sys/kernel/random/boot_id")) or socket.gethostname()


def _pids() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _birth(pid: int) -> str:
    """When a process began, in ticks of its system; empty if there is none, or nobody says."""
    # Behind the name, which may hold anything, the 20th word is the 22nd of `proc_pid_stat(5)`.
    words = _said(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return words[19] if len(words) > 19 else ""


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _said(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
