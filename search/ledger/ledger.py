"""The ledger: the append-only record of finished cells, the single truth of a study.

One JSON object per line: a cell, or a pack size that was measured. A pack's lines are appended
together, and are on disk before anything else uses them; where a crash left only some of them, none
counts, since nothing has used them: readers pass over them and the next writer cuts them off. A
line that was damaged later is moved to the quarantine by the next writer, and its cell is trained
again.

In memory are records without their curves and predictions; those are read where they are wanted.
"""

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType

from search.ledger.errors import LedgerError
from search.ledger.lines import (
    LEDGER,
    QUARANTINE,
    LedgerLines,
    open_ledger,
    quarantine_faults,
    read_lines,
    scan_lines,
    sync_folder,
)
from search.ledger.lock import Lock
from search.ledger.record import CellRecord, MappingPool, add_checksum, encode_record, parse_record
from spaces.abilities import PackSize
from spaces.core import Status

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


class NoSpace(LedgerError):
    """The disk is full. Nothing was written, and the same may be tried again."""


def read_ledger(folder: Path) -> dict[str, CellRecord]:
    """Read the finished cells of a results folder by key, also while it is written.

    Without what is large: predictions, and curves except the validation curves of cells that were
    stopped early. A failed cell that was trained again stands there with its last record. Damaged
    lines are passed over.

    Raises:
        LedgerError: the file cannot be read, or is no ledger.
    """
    return read_lines(folder / LEDGER).records


def read_pack_sizes(folder: Path) -> list[PackSize]:
    """Read the pack sizes that were measured in the runs of a results folder.

    Raises:
        LedgerError: as `read_ledger`.
    """
    return read_lines(folder / LEDGER).pack_sizes


def read_full_records(folder: Path, keys: Collection[str] | None = None) -> Iterator[CellRecord]:
    """Read the full records of some cells, one after another, in the order of the file.

    Args:
        folder: Results folder.
        keys: Keys of the cells; None = all. Those that are not there are passed over.

    Raises:
        LedgerError: as `read_ledger`.
    """
    wanted = None if keys is None else set(keys)

    def choose(records: Mapping[str, CellRecord]) -> Iterable[CellRecord]:
        return (cell for key, cell in records.items() if wanted is None or key in wanted)

    yield from read_chosen_records(folder, choose)


def read_chosen_records(
    folder: Path,
    choose: Callable[[Mapping[str, CellRecord]], Iterable[CellRecord]],
    curves: Collection[str] | None = None,
) -> Iterator[CellRecord]:
    """Read the full records of the cells that are chosen, in that order, with one scan of the file.

    Args:
        folder: Results folder.
        choose: Function that chooses among the records of `read_ledger`.
        curves: Names of the curves to read; None = all.

    Raises:
        LedgerError: as `read_ledger`.
    """
    path = folder / LEDGER
    # Opened once: a writer may replace the file meanwhile, and then the offsets would not fit.
    with open_ledger(path) as file:
        lines = scan_lines(file, path, MappingPool())
        for chosen in choose(lines.records):
            file.seek(lines.offsets[chosen.key])
            line = file.readline().removesuffix(b"\n")
            try:
                record, _ = parse_record(line, light=False, curves=curves)
            except ValueError as error:
                raise LedgerError(f"{path}: cell {chosen.key}: {error}") from None
            assert isinstance(record, CellRecord)
            yield record


class Ledger:
    """The one writer of a results folder, for as long as it is open.

    Attributes:
        folder: Results folder.
        records: Finished cells by key, without what is large; see `read_ledger`.
        pack_sizes: Pack sizes that earlier runs measured.
        quarantined: Sentences about the lines that were moved to the quarantine on opening.
        killed: Run before this one, if it did not end in order.
        took_over: Sentence about the lock that was taken over; empty if none was.
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
        self._pool = MappingPool()
        try:
            lines, self.quarantined = self._quarantine_damage()
            self._file = self._open_file(lines.end)
        except OSError as error:
            self._lock.release()
            raise LedgerError(f"{self._path}: cannot be written: {error.strerror}") from None
        except BaseException:
            self._lock.release()
            raise
        self.records, self.pack_sizes = lines.records, lines.pack_sizes
        self._end = lines.end
        self._unclean = False  # whether a write did not finish and could not be undone

    def append(
        self, records: Iterable[CellRecord], measured: PackSize | None = None
    ) -> list[CellRecord]:
        """Write finished cells durably, all of them or none, and the measured pack size.

        Args:
            records: Finished cells.
            measured: Pack size that was measured for their pack.

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
        lines = [encode_record(record) for record in ([measured] if measured else []) + new]
        # Parsed again before anything is written: what no reader would take must not get in.
        kept = [parse_record(line, light=True, pool=self._pool)[0] for line in lines]
        written = [add_checksum(line, more=line is not lines[-1]) for line in lines]
        self._lock.confirm_held()
        self._write_bytes(b"".join(written))
        cells = [record for record in kept if isinstance(record, CellRecord)]
        self.records |= {cell.key: cell for cell in cells}
        return cells

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

    def _quarantine_damage(self) -> tuple[LedgerLines, list[str]]:
        lines = read_lines(self._path, self._pool)
        if not lines.faults:
            return lines, []
        quarantine_faults(self._path, lines)
        sentences = [f"{fault}; put aside in {QUARANTINE}" for fault in lines.faults]
        return read_lines(self._path, self._pool), sentences

    def _open_file(self, end: int) -> int:
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
            if record.key in seen or (known is not None and known.status != Status.FAILED):
                raise LedgerError(f"cell {record.key} is in the ledger already")
            seen.add(record.key)

    def _write_bytes(self, content: bytes) -> None:
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
            self._undo_write()
            raise self._write_error(error) from error
        except BaseException:  # Ctrl-C may come between two parts of a write
            self._undo_write()
            raise

    def _check_file(self) -> None:
        """Refuse to write to a file that is not as this writer left it."""
        if self._unclean and (error := self._undo_write()):
            raise self._write_error(error) from error
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

    def _undo_write(self) -> OSError | None:
        """Undo a write that did not finish; return the error where the disk does not allow it.

        Then it is tried again before the next write; at the latest the next opening cuts it off.
        """
        try:
            if os.fstat(self._file).st_size > self._end:
                os.ftruncate(self._file, self._end)
        except OSError as error:
            return error
        self._unclean = False
        return None

    def _write_error(self, error: OSError) -> LedgerError:
        kind = NoSpace if error.errno in NO_SPACE else LedgerError
        return kind(f"{self._path}: cannot be written: {error.strerror}")
