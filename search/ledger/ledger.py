"""The ledger: the append-only record of finished cells, the single truth of a study.

One JSON object a line: a cell, or a pack size that was measured. A pack's lines are appended
together and are on disk before anyone is told of them; where a crash left only some of them, none
counts, since they were announced to nobody: readers pass over them and the next writer cuts them
off. A line that was damaged later is put aside by the next writer, and its cell trained again.

In memory are records without their curves and predictions; those are read where they are wanted.
"""

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from msa_core.vectorised.pack_key import PackSize
from search.ledger.errors import LedgerError
from search.ledger.lines import (
    LEDGER,
    QUARANTINE,
    Fault,
    Lines,
    opened,
    put_aside,
    read_lines,
    scan,
    sync_folder,
)
from search.ledger.lock import KilledRun, Lock, is_locked
from search.ledger.record import CellRecord, Pool, line_of, parsed, sealed

__all__ = [
    "LEDGER", "CellRecord", "Fault", "KilledRun", "Ledger", "LedgerError", "NoSpace", "is_locked",
    "ledger_faults", "read_chosen", "read_ledger", "read_pack_sizes", "read_whole",
]  # fmt: skip
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class NoSpace(LedgerError):
    """The disk is full. Nothing was written, and the same may be tried again."""


def read_ledger(folder: Path) -> dict[str, CellRecord]:
    """Every finished cell of a results folder by its key; readable while it is written.

    Without what is large: predictions, and curves except the validation curves of cells that were
    stopped early. A failed cell that was trained again stands there with its last record. Damaged
    lines are passed over; `ledger_faults` names them.

    Raises:
        LedgerError: the file cannot be read, or is no ledger.
    """
    return read_lines(folder / LEDGER).records


def read_pack_sizes(folder: Path) -> list[PackSize]:
    """How large packs should be, as measured in the runs of a results folder.

    Raises:
        LedgerError: as `read_ledger`.
    """
    return read_lines(folder / LEDGER).pack_sizes


def read_whole(folder: Path, keys: Collection[str] | None = None) -> Iterator[CellRecord]:
    """The whole records of some cells, one after another, as the file has them.

    Args:
        folder: of the results.
        keys: of the cells; None = all. Those that are not there are passed over.

    Raises:
        LedgerError: as `read_ledger`.
    """
    path = folder / LEDGER
    with opened(path) as file:  # once: another writer may put another file in its place
        places = scan(file, path, Pool()).places
        wanted = set(places if keys is None else keys)
        yield from _whole(file, path, {key: places[key] for key in places if key in wanted})


def read_chosen(
    folder: Path,
    choose: Callable[[Mapping[str, CellRecord]], Iterable[CellRecord]],
    curves: Collection[str] | None = None,
) -> Iterator[CellRecord]:
    """The whole records of the cells that are chosen, in that order; the file is read once.

    Args:
        folder: of the results.
        choose: of the records of `read_ledger`.
        curves: the names of those that are wanted; None = all.

    Raises:
        LedgerError: as `read_ledger`.
    """
    path = folder / LEDGER
    with opened(path) as file:
        lines = scan(file, path, Pool())
        chosen = [record.key for record in choose(lines.records)]
        for key in chosen:
            yield from _whole(file, path, {key: lines.places[key]}, curves)


def ledger_faults(folder: Path) -> list[Fault]:
    """The lines of a ledger that count for nothing.

    Raises:
        LedgerError: as `read_ledger`.
    """
    return read_lines(folder / LEDGER).faults


class Ledger:
    """The one writer of a results folder, for as long as it is open.

    Attributes:
        folder: of the results.
        records: key -> finished cell, without what is large; see `read_ledger`.
        pack_sizes: as they were measured.
        quarantined: what was put aside when it was opened, for a person.
        killed: the run before this one, if it ended without a word.
        took_over: says whose lock this one took over; empty if nobody's.
    """

    def __init__(self, folder: Path) -> None:
        """Lock the folder, put damaged lines aside and cut off what was not written to its end.

        Raises:
            LedgerError: another driver holds the folder, it cannot be written, or there is a file
                in the ledger's place that is none.
        """
        self.folder = folder
        self._path = folder / LEDGER
        self._lock = Lock(folder)
        self.killed, self.took_over = self._lock.killed, self._lock.took_over
        self._pool = Pool()
        try:
            lines, self.quarantined = self._clean()
            self._file = self._open(lines.end)
        except OSError as error:
            self._lock.release()
            raise LedgerError(f"{self._path}: cannot be written: {error.strerror}") from None
        except BaseException:
            self._lock.release()
            raise
        self.records, self.pack_sizes = lines.records, lines.pack_sizes
        self._places, self._end = lines.places, lines.end
        self._unclean = False  # a write did not finish, and could not be taken back

    def append(
        self, records: Iterable[CellRecord], measured: PackSize | None = None
    ) -> list[CellRecord]:
        """Make finished cells durable, all of them or none, and what was measured for them.

        Args:
            records: the cells.
            measured: for their pack.

        Returns:
            The cells as the ledger has them now, and as every later reader will see them.

        Raises:
            LedgerError: a cell that is there already and did not fail, the lock was lost, or the
                disk does not take it (`NoSpace`: it is full). Nothing was written.
            ValueError: a cell that no reader would take. Nothing was written.
        """
        new = list(records)
        if not new and measured is None:
            return []
        self._refuse_known(new)
        lines = [line_of(record) for record in ([measured] if measured else []) + new]
        kept = [parsed(line, light=True, pool=self._pool)[0] for line in lines]
        written = [sealed(line, more=line is not lines[-1]) for line in lines]
        self._lock.confirm()
        place = self._end
        self._write(b"".join(written))
        cells = []
        for record, line in zip(kept, written, strict=True):
            if isinstance(record, CellRecord):
                self.records[record.key] = record
                self._places[record.key] = place
                cells.append(record)
            place += len(line)
        return cells

    def whole(self, keys: Iterable[str]) -> Iterator[CellRecord]:
        """The whole records of some cells, in that order; from any thread.

        Raises:
            LedgerError: a cell that is not there.
        """
        with opened(self._path) as file:
            for key in keys:
                if key not in self._places:
                    raise LedgerError(f"{self._path}: cell {key} is not in it")
                yield from _whole(file, self._path, {key: self._places[key]})

    def close(self) -> None:
        """Release the folder."""
        os.close(self._file)
        self._lock.release()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _clean(self) -> tuple[Lines, list[str]]:
        lines = read_lines(self._path, self._pool)
        if not lines.faults:
            return lines, []
        put_aside(self._path, lines)
        said = [f"{fault}; put aside in {QUARANTINE}" for fault in lines.faults]
        return read_lines(self._path, self._pool), said

    def _open(self, end: int) -> int:
        is_new = not self._path.exists()
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if os.fstat(file).st_size > end:
            os.ftruncate(file, end)
        if is_new:
            sync_folder(self.folder)
        return file

    def _refuse_known(self, new: Iterable[CellRecord]) -> None:
        seen = set()
        for record in new:
            known = self.records.get(record.key)
            if record.key in seen or (known is not None and known.status != "failed"):
                raise LedgerError(f"cell {record.key} is in the ledger already")
            seen.add(record.key)

    def _write(self, content: bytes) -> None:
        self._check_file()
        self._unclean = True
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
            self._end += len(content)
            self._unclean = False
        except OSError as error:
            self._undo()
            raise self._failure(error) from error
        except BaseException:  # an interruption
            self._undo()
            raise

    def _check_file(self) -> None:
        """That it is as this writer left it."""
        if self._unclean and (error := self._undo()):
            raise self._failure(error) from error
        try:
            here, there = os.fstat(self._file), self._path.stat()
            same = (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
        except OSError:
            same = False
        if not same or here.st_size != self._end:
            raise LedgerError(
                f"{self._path}: another program changed it while this run was going on, so nothing "
                "more is written; `triptych ledger check` says what it holds"
            )

    def _undo(self) -> OSError | None:
        """Take back a write that did not finish, as far as the disk lets us.

        Where it does not, that is tried again before the next write; else what is torn is cut off
        when the ledger is opened next.
        """
        try:
            if os.fstat(self._file).st_size > self._end:
                os.ftruncate(self._file, self._end)
        except OSError as error:
            return error
        self._unclean = False
        return None

    def _failure(self, error: OSError) -> LedgerError:
        kind = NoSpace if error.errno in NO_SPACE else LedgerError
        return kind(f"{self._path}: cannot be written: {error.strerror}")


def _whole(
    file: BinaryIO,
    path: Path,
    places: Mapping[str, int],
    curves: Collection[str] | None = None,
) -> Iterator[CellRecord]:
    for key, place in places.items():
        file.seek(place)
        try:
            record, _ = parsed(file.readline().removesuffix(b"\n"), light=False, curves=curves)
        except ValueError as error:
            raise LedgerError(f"{path}: cell {key}: {error}") from None
        assert isinstance(record, CellRecord)
        yield record
