"""`triptych ledger`: a ledger's content and damage, its repair, and its cells for other tools."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TextIO

from reports.results import METRIC, PARAM
from search.atomic_files import written_atomically
from search.ledger.errors import LedgerError
from search.ledger.ledger import Ledger, read_full_records, read_ledger
from search.ledger.lines import LEDGER, QUARANTINE, LedgerLines, read_lines
from search.ledger.lock import is_locked, lock_holder, seconds_since_heartbeat
from search.ledger.record import CellRecord
from search.results.folder import without_test
from search.results.history import record_killed

FORMATS = ("csv", "parquet", "jsonl")
# Fields of a record without a column of their own: configuration and metrics have one per name, and
# the others are too large for a cell of a table.
NO_COLUMNS = ("params", "config", "metrics", "curve", "predictions", "log")


def check_ledger(folder: Path) -> tuple[list[str], bool]:
    """Describe what a ledger holds and what is wrong with it.

    Args:
        folder: Results folder.

    Returns:
        Lines to print, and whether every line of the ledger counts.

    Raises:
        LedgerError: There is none, it cannot be read, or is no ledger.
    """
    path = _existing_ledger(folder)
    lines = read_lines(path)
    report = [
        f"{path}: {len(lines.records)} cells, {len(lines.pack_sizes)} measured pack sizes, "
        f"{_format_size(path.stat().st_size)}"
    ]
    report += _by_phase(lines.records.values())
    report.append(_writer_line(folder))
    if lines.torn and not is_locked(folder):
        report.append(
            f"the last {lines.torn} bytes were not written to their end and count for nothing; "
            "the next run cuts them off"
        )
    report += _quarantine_lines(folder)
    report += _fault_lines(lines)
    return report, not lines.faults


def repair_ledger(folder: Path) -> list[str]:
    """Put damaged lines aside and cut off an unfinished last line; return what was done.

    Raises:
        LedgerError: As `check_ledger`; or a run is going on.
    """
    _existing_ledger(folder)
    # Opening a ledger for writing repairs it, as every run does first.
    with Ledger(folder) as ledger:
        if ledger.killed is not None:
            record_killed(folder, ledger.killed)
        return ledger.quarantined or ["nothing to repair"]


def export_cells(
    folder: Path, form: str, to: Path | None, stream: TextIO, *, sealed: bool = False
) -> int:
    """Write every cell of a ledger for other tools, one row per cell; return how many.

    Args:
        folder: Results folder.
        form: One of `FORMATS`. Curves, predictions and logs are in `jsonl` alone.
        to: File for an atomic write; None = the stream is written to.
        stream: Stream to write to if there is no file.
        sealed: Whether to leave out test metrics and predictions.

    Raises:
        LedgerError: There is no ledger, or the file cannot be written.
    """
    _existing_ledger(folder)
    if form == "parquet":
        return _write_parquet(_visible_records(read_ledger(folder).values(), sealed), to)
    if to is None:
        return _write_text(folder, form, stream, sealed)
    with _exported_file(to) as part, part.open("w", encoding="utf-8", newline="") as file:
        return _write_text(folder, form, file, sealed)


def _existing_ledger(folder: Path) -> Path:
    path = folder / LEDGER
    if not path.exists():
        raise LedgerError(f"{folder} holds no ledger; run the study first, or name its folder")
    return path


def _by_phase(records: Iterable[CellRecord]) -> list[str]:
    counts: dict[str, Counter[str]] = {}
    for record in records:
        counts.setdefault(record.phase, Counter())[record.status] += 1
    return [
        f"  {phase}: " + ", ".join(f"{count} {status}" for status, count in sorted(found.items()))
        for phase, found in sorted(counts.items(), reverse=True)
    ]


def _writer_line(folder: Path) -> str:
    holder = lock_holder(folder)
    if holder is None:
        return "nobody is writing it"
    since = f" since {holder.started}" if holder.started else ""
    seconds = seconds_since_heartbeat(folder)
    return f"{holder} is writing it{since}, last sign of life {seconds:.0f} s ago"


def _quarantine_lines(folder: Path) -> list[str]:
    try:
        count = (folder / QUARANTINE).read_bytes().count(b"\n")
    except OSError:
        return []
    return [f"{count} lines were put aside earlier; they are in {QUARANTINE}"]


def _fault_lines(lines: LedgerLines) -> list[str]:
    if not lines.faults:
        return ["every line of it is sound"]
    repeats = sum(fault.repeats for fault in lines.faults)
    return [
        f"{len(lines.faults) - repeats} damaged lines and {repeats} that repeat a cell; the next "
        f"run or --repair puts them aside in {QUARANTINE}, and damaged cells are trained again:",
        *(f"  {fault}" for fault in lines.faults),
    ]


def _format_size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _visible_records(records: Iterable[CellRecord], sealed: bool) -> Iterator[CellRecord]:
    """Yield the records without what is under embargo."""
    for record in records:
        metrics = without_test(record.metrics)
        yield replace(record, metrics=metrics, predictions="") if sealed else record


def _write_text(folder: Path, form: str, file: TextIO, sealed: bool) -> int:
    if form == "jsonl":
        return sum(
            _write_json(record, file)
            for record in _visible_records(read_full_records(folder), sealed)
        )
    records = list(_visible_records(read_ledger(folder).values(), sealed))
    columns = _column_names(records)
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_table_row, records))
    return len(records)


def _write_json(record: CellRecord, file: TextIO) -> int:
    content = {item.name: getattr(record, item.name) for item in fields(record)}
    file.write(json.dumps(content) + "\n")
    return 1


def _column_names(records: Iterable[CellRecord]) -> list[str]:
    plain = [item.name for item in fields(CellRecord) if item.name not in NO_COLUMNS]
    metrics = {name for record in records for name in record.metrics}
    params = {name for record in records for name in record.config}
    return [
        *plain,
        *(METRIC + name for name in sorted(metrics)),
        *(PARAM + name for name in sorted(params)),
    ]


def _table_row(record: CellRecord) -> dict[str, Any]:
    return {
        **{item.name: getattr(record, item.name) for item in fields(record)
           if item.name not in NO_COLUMNS},
        **{METRIC + name: value for name, value in record.metrics.items()},
        **{PARAM + name: value for name, value in record.config.items()},
    }  # fmt: skip


def _write_parquet(shown: Iterable[CellRecord], to: Path | None) -> int:
    if to is None:
        raise LedgerError("parquet is no text; say with --out into which file")
    import pandas as pd

    records = list(shown)
    columns = _column_names(records)
    table = pd.DataFrame(map(_table_row, records), columns=columns)
    for name in columns:
        if table[name].dtype == object and len({type(value) for value in table[name].dropna()}) > 1:
            table[name] = table[name].map(str, na_action="ignore")  # a column has one type there
    with _exported_file(to) as part:
        try:
            table.to_parquet(part, index=False)
        except ImportError as error:
            raise LedgerError(
                "parquet needs the package pyarrow, which is not installed; export csv instead"
            ) from error
    return len(table)


@contextmanager
def _exported_file(path: Path) -> Iterator[Path]:
    """Write a file atomically; a failure is a message to the user."""
    try:
        with written_atomically(path) as part:
            yield part
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror or error}") from None
