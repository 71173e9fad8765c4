"""The lines of a ledger's file: read while it is written, and damaged ones put aside."""

import base64
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from msa_core.vectorised.pack_key import PackSize
from search.ledger.errors import LedgerError
from search.ledger.record import LONGEST, CellRecord, Pool, Record, parsed, without_more

LEDGER = "ledger.jsonl"
QUARANTINE = "ledger.quarantine.jsonl"
FEW_FAULTS = 3  # so many are never reason enough to doubt that a file is a ledger
HOPELESS = 1000  # so many, and no record yet, are
KEPT_BYTES = 2**20  # of a line that is put aside


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A line that counts for nothing.

    Attributes:
        line: its number in the file, from 1.
        reason: what is wrong with it, in a few words.
        offset, size: where it is, in bytes, with its end.
        repeats: the line is sound, but its cell is in the ledger already.
    """

    line: int
    reason: str
    offset: int
    size: int
    repeats: bool = False

    def __str__(self) -> str:
        return f"{LEDGER}:{self.line}: {self.reason}"


@dataclass(kw_only=True, slots=True)
class Lines:
    """What a ledger's file holds.

    Attributes:
        records: key -> the record that stands, without what is large.
        places: key -> where its line begins, in bytes.
        pack_sizes: as they were measured.
        faults: lines that count for nothing.
        sound: lines that are records.
        end: in bytes; what is behind it was not written to its end.
        torn: the bytes behind it.
        looks_right: whether something of it looks like a record.
    """

    records: dict[str, CellRecord] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    pack_sizes: list[PackSize] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    sound: int = 0
    end: int = 0
    torn: int = 0
    looks_right: bool = False

    def add(self, record: Record, offset: int) -> str:
        """Take in a record; why it does not count, if it does not."""
        if isinstance(record, PackSize):
            self.pack_sizes.append(record)
            return ""
        before = self.records.get(record.key)
        if before is not None and before.status != "failed":
            return f"cell {record.key[:40]} is in the ledger already"
        self.records[record.key] = record
        self.places[record.key] = offset
        return ""


def read_lines(path: Path, pool: Pool | None = None) -> Lines:
    """Everything that a ledger's file holds; nothing if there is none.

    What was appended together counts together or, where its last lines are missing, not at all.

    Args:
        path: of the file.
        pool: keeps what many records have alike.

    Raises:
        LedgerError: it cannot be read, or is no ledger.
    """
    with opened(path) as file:
        return scan(file, path, pool or Pool())


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A ledger's file to read from; as if it was empty if there is none.

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


def scan(file: BinaryIO, path: Path, pool: Pool) -> Lines:
    """As `read_lines`, of an open file."""
    lines = Lines()
    waiting: list[tuple[Fault, Record]] = []  # until the last line of their append has come
    offset = 0
    for number, (head, size, whole) in enumerate(_pieces(file), start=1):
        if not whole:
            lines.torn += size
            lines.looks_right |= _looks_right(head)
            break
        place = Fault(line=number, reason="", offset=offset, size=size)
        offset += size
        more = False
        try:
            if len(head) < size - 1:
                raise ValueError(f"longer than any record ({size} bytes)")
            record, more = parsed(head, light=True, pool=pool)
            waiting.append((place, record))
            lines.looks_right = True
        except ValueError as error:
            lines.faults.append(_fault(place, str(error)))
            lines.looks_right |= _looks_right(head)
            _check_hope(lines, path)
        if not more:
            _settle(lines, waiting)
            lines.end = offset
    lines.torn += offset - lines.end
    lines.faults.sort(key=lambda fault: fault.line)
    _check_is_ledger(lines, path)
    return lines


def _settle(lines: Lines, waiting: list[tuple[Fault, Record]]) -> None:
    for place, record in waiting:
        lines.sound += 1
        if reason := lines.add(record, place.offset):
            lines.faults.append(_fault(place, reason, repeats=True))
    waiting.clear()


def _pieces(file: BinaryIO) -> Iterator[tuple[bytes, int, bool]]:
    """Each line without its end, cut if it is absurdly long; its size; whether it has an end."""
    while head := file.readline(LONGEST + 2):
        size, last = len(head), head
        while not last.endswith(b"\n"):
            last = file.readline(LONGEST)
            size += len(last)
            if not last:
                yield head, size, False
                return
        yield head.removesuffix(b"\n"), size, True


def _fault(place: Fault, reason: str, repeats: bool = False) -> Fault:
    return Fault(
        line=place.line, reason=reason, offset=place.offset, size=place.size, repeats=repeats
    )


def _looks_right(line: bytes) -> bool:
    """Whether it begins as a record does; or is empty, as lines are after a loss of power."""
    return line.startswith(b'{"') or line == b"{" or not line.strip(b"\0")


def _check_hope(lines: Lines, path: Path) -> None:
    if len(lines.faults) > HOPELESS and not lines.sound:
        raise _no_ledger(lines, path, "none of its first lines")


def _check_is_ledger(lines: Lines, path: Path) -> None:
    damaged = sum(not fault.repeats for fault in lines.faults)
    if lines.sound or not (damaged or lines.torn):
        if damaged > max(FEW_FAULTS, lines.sound):
            raise _no_ledger(lines, path, f"only {lines.sound} of its lines")
    elif damaged > FEW_FAULTS or not lines.looks_right:
        raise _no_ledger(lines, path, "nothing in it")


def _no_ledger(lines: Lines, path: Path, what: str) -> LedgerError:
    first = next((fault for fault in lines.faults if not fault.repeats), None)
    why = f", and line {first.line} is not: {first.reason}" if first else ""
    return LedgerError(
        f"{path}: {what} is a record of a cell{why}; nothing was changed; restore the file from a "
        "backup, or move it away to have the study trained anew"
    )


def put_aside(path: Path, lines: Lines) -> None:
    """Move damaged lines to the quarantine: the ledger is written anew, whole or not at all.

    Args:
        path: of the ledger.
        lines: what it holds.

    Raises:
        OSError: it cannot be written; the ledger is as it was.
    """
    path = path.resolve()  # of a link, what it leads to is written
    unfinished = path.with_name(f"{path.name}.tmp")
    with path.open("rb") as file:
        _append_whole(
            path.with_name(QUARANTINE), b"".join(_aside(file, one) for one in lines.faults)
        )
        with unfinished.open("wb") as anew:
            start = 0
            for fault in lines.faults:
                _copy(file, anew, start, fault.offset, loses_next=True)
                start = fault.offset + fault.size
            _copy(file, anew, start, lines.end, loses_next=False)
            anew.flush()
            os.fsync(anew.fileno())
    unfinished.replace(path)
    sync_folder(path.parent)


def _aside(file: BinaryIO, fault: Fault) -> bytes:
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


def _copy(file: BinaryIO, to: BinaryIO, start: int, end: int, loses_next: bool) -> None:
    """Copy lines, of which the last one may lose what was appended with it."""
    file.seek(start)
    while start < end:
        line = file.readline()
        start += len(line)
        to.write(without_more(line) if start >= end and loses_next else line)


def sync_folder(folder: Path) -> None:
    """Make durable that a file is in a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems have that for files only
    finally:
        os.close(handle)
