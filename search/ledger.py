"""The ledger: the append-only record of finished cells, the single truth of a study.

One JSON object a line: a cell, or a pack size that was measured. A pack's lines are appended by
one write and are on disk before anyone is told of them. A last line torn by a crash was
announced to nobody: readers pass over it and the next writer cuts it off.
"""

import fcntl
import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from msa_core.config_paths import Value
from msa_core.packing import PackSize

LEDGER = "ledger.jsonl"
LOCK = "lock"


class LedgerError(RuntimeError):
    """A ledger that cannot be read, or that another driver is writing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CellRecord:
    """One finished cell.

    Attributes:
        key: `spaces.plan.cell_key`.
        arm_key: the planned arm it belongs to.
        phase: `tune` or `confirm`.
        candidate: number of the candidate in its arm, from 0.
        params: the candidate: searched field -> value.
        config: every field that means something, resolved.
        status: `complete`, `pruned` or `failed`.
        reason: why it is not complete, in a line.
        kind: of a failure, one of `search.failures.KINDS`; empty if it did not fail.
        log: of a failure: the last lines that the training said.
        attempts: how often it was handed to a worker.
        epochs, best_epoch: trained, restored.
        metrics: `valid.<name>`, `test.<name>` (confirm only) and `seconds`.
        curve: name -> one value an epoch; None where undefined.
        predictions: test predictions (confirm only), encoded float32; empty if there are none.
        code: digest of the training core that trained it, which with `--keep` is not the one in
            its key; empty if unknown.
    """

    key: str
    arm: str
    arm_key: str
    phase: str
    candidate: int
    seed: int
    params: Mapping[str, Value]
    config: Mapping[str, Value]
    status: str
    reason: str = ""
    kind: str = ""
    log: str = ""
    attempts: int = 1
    epochs: int
    best_epoch: int
    metrics: Mapping[str, float]
    curve: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    predictions: str = ""
    code: str = ""


def read_ledger(folder: Path) -> dict[str, CellRecord]:
    """Every finished cell of a results folder by its key; readable while it is written.

    A failed cell that was trained again stands there with its last record.

    Raises:
        LedgerError: a line that is no record, other than a torn last one.
    """
    return _cells(_lines(folder / LEDGER))


def read_pack_sizes(folder: Path) -> list[PackSize]:
    """How large packs should be, as measured in the runs of a results folder.

    Raises:
        LedgerError: as `read_ledger`.
    """
    return _sizes(_lines(folder / LEDGER))


def _cells(lines: Iterable[CellRecord | PackSize]) -> dict[str, CellRecord]:
    return {line.key: line for line in lines if isinstance(line, CellRecord)}


def _sizes(lines: Iterable[CellRecord | PackSize]) -> list[PackSize]:
    return [line for line in lines if isinstance(line, PackSize)]


def _lines(path: Path) -> list[CellRecord | PackSize]:
    if not path.exists():
        return []
    # What stands behind the last newline is a write that did not finish.
    whole_lines = path.read_bytes().split(b"\n")[:-1]
    lines: list[CellRecord | PackSize] = []
    for number, line in enumerate(whole_lines, start=1):
        try:
            content = json.loads(line)
            kind = PackSize if "pack_key" in content else CellRecord
            lines.append(kind(**content))
        except (ValueError, TypeError) as error:
            raise LedgerError(
                f"{path}:{number}: not a record of a cell ({error}); restore the file from a "
                "backup, or move that line out of it to have its cell trained again"
            ) from None
    return lines


class Ledger:
    """The one writer of a results folder, for as long as it is open."""

    def __init__(self, folder: Path) -> None:
        """Lock the folder and cut off a torn last line.

        Raises:
            LedgerError: another driver holds the folder, or it cannot be written.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = (folder / LOCK).open("a+")
        except OSError as error:
            raise LedgerError(f"{folder}: cannot be written: {error.strerror}") from None
        self._take_lock()
        try:
            lines = _lines(folder / LEDGER)
            self.records, self.pack_sizes = _cells(lines), _sizes(lines)
            self._file = (folder / LEDGER).open("ab")
            self._cut_torn_line()
        except BaseException:
            self._lock.close()
            raise

    def append(self, records: Iterable[CellRecord], measured: PackSize | None = None) -> None:
        """Make finished cells durable, all of them or none, and what was measured for them.

        Raises:
            LedgerError: a cell that is there already and did not fail.
        """
        new = list(records)
        for record in new:
            if record.key in self.records and self.records[record.key].status != "failed":
                raise LedgerError(f"cell {record.key} is in the ledger already")
        lines = "".join(
            json.dumps(asdict(record), separators=(",", ":"), allow_nan=False) + "\n"
            for record in ([measured] if measured else []) + new
        )
        start = self._file.tell()
        try:
            self._file.write(lines.encode())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._undo(start)
            raise LedgerError(f"{self.folder / LEDGER}: {error.strerror}") from error
        self.records.update((record.key, record) for record in new)

    def close(self) -> None:
        """Release the folder."""
        self._file.close()
        self._lock.close()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = self._lock.read().strip() or "another process"
            self._lock.close()
            raise LedgerError(
                f"{self.folder}: a run of this study is going on ({holder}); wait for it, stop "
                "it, or choose another folder with --workdir"
            ) from None
        self._lock.truncate(0)
        self._lock.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._lock.flush()

    def _cut_torn_line(self) -> None:
        path = self.folder / LEDGER
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(path, whole)

    def _undo(self, size: int) -> None:
        """Take back a write that did not finish, as far as the disk lets us."""
        try:
            os.truncate(self.folder / LEDGER, size)
        except OSError:
            return  # the torn line is cut off when the ledger is opened next


def is_locked(folder: Path) -> bool:
    """Whether a driver is writing this folder now."""
    try:
        with (folder / LOCK).open("r") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
