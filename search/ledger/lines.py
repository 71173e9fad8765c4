"""The lines of a ledger's file: read while it is written, and damaged ones put aside."""

import base64
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from search.atomic_files import written_atomically
from search.ledger.errors import LedgerError
from search.ledger.record import (
    LONGEST,
    CellRecord,
    MappingPool,
    Record,
    clear_more_mark,
    parse_record,
)
from spaces.abilities import PackSize
from spaces.core import Status

LEDGER = "ledger.jsonl"
QUARANTINE = "ledger.quarantine.jsonl"
FEW_FAULTS = 3  # number that is never reason enough to doubt that a file is a ledger
HOPELESS = 1000  # number that is, before the first record: the rest is not worth reading
KEPT_BYTES = 2**20  # of a line in the quarantine


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A line that does not count.

    Attributes:
        line: Number of the line in the file, from 1.
        reason: Reason why it does not count, in a few words.
        offset, size: Position and length in bytes, its end included.
        repeats: Whether the line is sound, but its cell is in the ledger already.
    """

    line: int
    reason: str
    offset: int
    size: int
    repeats: bool = False

    def __str__(self) -> str:
        return f"{LEDGER}:{self.line}: {self.reason}"


@dataclass(kw_only=True, slots=True)
class LedgerLines:
    """The content of a ledger's file.

    Attributes:
        records: Valid records by key, without what is large.
        offsets: Positions of their lines by key, in bytes.
        pack_sizes: Measured pack sizes, in the order of the file.
        faults: Lines that do not count.
        sound: Number of lines that are records.
        end: Position in bytes behind the last complete append.
        torn: Number of bytes behind `end`: an append that was not finished.
        looks_right: Whether some line looks like a record.
    """

    records: dict[str, CellRecord] = field(default_factory=dict)
    offsets: dict[str, int] = field(default_factory=dict)
    pack_sizes: list[PackSize] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    sound: int = 0
    end: int = 0
    torn: int = 0
    looks_right: bool = False

    def add_record(self, record: Record, offset: int) -> str:
        """Add a record; return the reason why it does not count, empty if it does."""
        if isinstance(record, PackSize):
            self.pack_sizes.append(record)
            return ""
        before = self.records.get(record.key)
        if before is not None and before.status != Status.FAILED:
            return f"cell {record.key[:40]} is in the ledger already"
        self.records[record.key] = record
        self.offsets[record.key] = offset
        return ""


def read_lines(path: Path, pool: MappingPool | None = None) -> LedgerLines:
    """Read the content of a ledger's file; empty if there is none.

    Lines that were appended together count together or, where the last ones are missing, not at
    all.

    Args:
        path: Path of the file.
        pool: Pool for the mappings that many records have alike.

    Raises:
        LedgerError: it cannot be read, or is no ledger.
    """
    with open_ledger(path) as file:
        return scan_lines(file, path, pool or MappingPool())


@contextmanager
def open_ledger(path: Path) -> Iterator[BinaryIO]:
    """Open a ledger's file for reading; an empty one if there is none.

    Raises:
        LedgerError: it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise LedgerError(f"{path}: no file; move it away, and the study starts anew")
        with path.open("rb") as file:
            yield file
    except FileNotFoundError:
        yield io.BytesIO()
    except OSError as error:
        raise LedgerError(f"{path}: cannot be read: {error.strerror}") from None


def scan_lines(file: BinaryIO, path: Path, pool: MappingPool) -> LedgerLines:
    """Do as `read_lines`, with an open file."""
    lines = LedgerLines()
    # Records of an append whose last line has not come: it may be missing, then none counts.
    waiting: list[tuple[Fault, Record]] = []
    offset = 0
    for number, (head, size, whole) in enumerate(_split_lines(file), start=1):
        if not whole:
            lines.torn += size
            lines.looks_right |= _looks_right(head)
            break
        at = Fault(line=number, reason="", offset=offset, size=size)
        offset += size
        more = False
        try:
            if len(head) < size - 1:
                raise ValueError(f"longer than any record ({size} bytes)")
            record, more = parse_record(head, light=True, pool=pool)
            waiting.append((at, record))
            lines.looks_right = True
        except ValueError as error:
            lines.faults.append(replace(at, reason=str(error)))
            lines.looks_right |= _looks_right(head)
            _check_hope(lines, path)
        if not more:
            _accept_waiting(lines, waiting)
            lines.end = offset
    lines.torn += offset - lines.end
    lines.faults.sort(key=lambda fault: fault.line)
    _check_is_ledger(lines, path)
    return lines


def _accept_waiting(lines: LedgerLines, waiting: list[tuple[Fault, Record]]) -> None:
    for at, record in waiting:
        lines.sound += 1
        if reason := lines.add_record(record, at.offset):
            lines.faults.append(replace(at, reason=reason, repeats=True))
    waiting.clear()


def _split_lines(file: BinaryIO) -> Iterator[tuple[bytes, int, bool]]:
    """Yield each line without its end, cut if absurdly long; its size; whether it has an end."""
    while head := file.readline(LONGEST + 2):
        size, last = len(head), head
        while not last.endswith(b"\n"):
            last = file.readline(LONGEST)
            size += len(last)
            if not last:
                yield head, size, False
                return
        yield head.removesuffix(b"\n"), size, True


def _looks_right(line: bytes) -> bool:
    """Check whether a line begins as a record does, or is empty as after a loss of power."""
    return line.startswith(b'{"') or line == b"{" or not line.strip(b"\0")


def _check_hope(lines: LedgerLines, path: Path) -> None:
    if len(lines.faults) > HOPELESS and not lines.sound:
        raise _no_ledger(lines, path, "none of its first lines")


def _check_is_ledger(lines: LedgerLines, path: Path) -> None:
    damaged = sum(not fault.repeats for fault in lines.faults)
    if lines.sound or not (damaged or lines.torn):
        if damaged > max(FEW_FAULTS, lines.sound):
            raise _no_ledger(lines, path, f"only {lines.sound} of its lines")
    elif damaged > FEW_FAULTS or not lines.looks_right:
        raise _no_ledger(lines, path, "nothing in it")


def _no_ledger(lines: LedgerLines, path: Path, what: str) -> LedgerError:
    first = next((fault for fault in lines.faults if not fault.repeats), None)
    why = f", and line {first.line} is not: {first.reason}" if first else ""
    return LedgerError(
        f"{path}: {what} is a record of a cell{why}; nothing was changed; restore the file from a "
        "backup, or move it away to have the study trained anew"
    )


def quarantine_faults(path: Path, lines: LedgerLines) -> None:
    """Move damaged lines to the quarantine; the ledger is replaced by an atomic write.

    Args:
        path: Path of the ledger.
        lines: Content of the ledger.

    Raises:
        OSError: it cannot be written; the ledger is as it was.
    """
    # Replacing a link would leave the file that it leads to as it was.
    path = path.resolve()
    with path.open("rb") as file:
        # The quarantine first: a crash in between leaves a line in both files, and never in none.
        _append_whole(
            path.with_name(QUARANTINE),
            b"".join(_quarantine_entry(file, one) for one in lines.faults),
        )
        with written_atomically(path, durable=True) as part, part.open("wb") as anew:
            start = 0
            for fault in lines.faults:
                _copy_lines(file, anew, start, fault.offset, loses_next=True)
                start = fault.offset + fault.size
            _copy_lines(file, anew, start, lines.end, loses_next=False)
    sync_folder(path.parent)


def _quarantine_entry(file: BinaryIO, fault: Fault) -> bytes:
    file.seek(fault.offset)
    raw = file.read(min(fault.size, KEPT_BYTES)).removesuffix(b"\n")
    content = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "line": fault.line,
        "bytes": fault.size,
        "reason": fault.reason,
    }
    try:
        content["content"] = raw.decode()
    except UnicodeDecodeError:
        content["base64"] = base64.b64encode(raw).decode()
    return json.dumps(content).encode() + b"\n"


def _append_whole(path: Path, content: bytes) -> None:
    with path.open("ab") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _copy_lines(file: BinaryIO, to: BinaryIO, start: int, end: int, loses_next: bool) -> None:
    """Copy lines; the last one may lose what was appended with it."""
    file.seek(start)
    while start < end:
        line = file.readline()
        start += len(line)
        to.write(clear_more_mark(line) if start >= end and loses_next else line)


def sync_folder(folder: Path) -> None:
    """Sync a folder, so that a new file is in it after a loss of power, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems have that for files only
    finally:
        os.close(handle)
