"""`triptych ledger`: what a ledger holds, what is wrong with it, and its cells for other tools."""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TextIO

from reports.results import METRIC, PARAM
from search.ledger.errors import LedgerError
from search.ledger.ledger import LEDGER, Ledger, read_ledger, read_whole
from search.ledger.lines import QUARANTINE, Lines, read_lines
from search.ledger.lock import is_locked, last_sign, lock_holder
from search.ledger.record import CellRecord
from search.results.folder import without_test
from search.results.history import record_killed

FORMATS = ("csv", "parquet", "jsonl")
LARGE = ("params", "config", "metrics", "curve", "predictions", "log")


def check(folder: Path) -> tuple[list[str], bool]:
    """What a ledger holds, and what is wrong with it.

    Args:
        folder: of the results.

    Returns:
        Lines for a person, and whether every line of the ledger counts.

    Raises:
        LedgerError: there is none, it cannot be read, or is no ledger.
    """
    path = _existing(folder)
    lines = read_lines(path)
    said = [
        f"{path}: {len(lines.records)} cells, {len(lines.pack_sizes)} measured pack sizes, "
        f"{_size(path.stat().st_size)}"
    ]
    said += _by_phase(lines.records.values())
    said.append(_holder(folder))
    if lines.torn and not is_locked(folder):
        said.append(
            f"the last {lines.torn} bytes were not written to their end and count for nothing; "
            "the next run cuts them off"
        )
    said += _aside(folder)
    said += _faults(lines)
    return said, not lines.faults


def repair(folder: Path) -> list[str]:
    """Put damaged lines aside and cut off what was not written to its end; says what was done.

    Raises:
        LedgerError: as `check`; or a run is going on.
    """
    _existing(folder)
    with Ledger(folder) as ledger:
        if ledger.killed is not None:
            record_killed(folder, ledger.killed)
        return ledger.quarantined or ["nothing to repair"]


def export(
    folder: Path, form: str, to: Path | None, stream: TextIO, *, sealed: bool = False
) -> int:
    """Write every cell of a ledger for other tools, one row a cell; returns how many.

    Args:
        folder: of the results.
        form: of `FORMATS`. Curves, predictions and logs are in `jsonl` alone.
        to: the file, written whole or not at all; None = to the stream.
        stream: where to if there is no file.
        sealed: leave out test metrics and predictions.

    Raises:
        LedgerError: there is no ledger, or the file cannot be written.
    """
    _existing(folder)
    if form == "parquet":
        return _parquet(_shown(read_ledger(folder).values(), sealed), to)
    if to is None:
        return _text(folder, form, stream, sealed)
    with _whole_file(to) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        return _text(folder, form, file, sealed)


def _existing(folder: Path) -> Path:
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


def _holder(folder: Path) -> str:
    holder = lock_holder(folder)
    if holder is None:
        return "nobody is writing it"
    since = f" since {holder.started}" if holder.started else ""
    return f"{holder} is writing it{since}, last sign of life {last_sign(folder):.0f} s ago"


def _aside(folder: Path) -> list[str]:
    try:
        count = (folder / QUARANTINE).read_bytes().count(b"\n")
    except OSError:
        return []
    return [f"{count} lines were put aside earlier; they are in {QUARANTINE}"]


def _faults(lines: Lines) -> list[str]:
    if not lines.faults:
        return ["every line of it is sound"]
    repeats = sum(fault.repeats for fault in lines.faults)
    return [
        f"{len(lines.faults) - repeats} damaged lines and {repeats} that repeat a cell; the next "
        f"run or --repair puts them aside in {QUARANTINE}, and damaged cells are trained again:",
        *(f"  {fault}" for fault in lines.faults),
    ]


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def _shown(records: Iterable[CellRecord], sealed: bool) -> Iterator[CellRecord]:
    """The records as they may be shown."""
    for record in records:
        metrics = without_test(record.metrics)
        yield replace(record, metrics=metrics, predictions="") if sealed else record


def _text(folder: Path, form: str, file: TextIO, sealed: bool) -> int:
    if form == "jsonl":
        return sum(_write_json(record, file) for record in _shown(read_whole(folder), sealed))
    records = list(_shown(read_ledger(folder).values(), sealed))
    columns = _columns(records)
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(_row, records))
    return len(records)


def _write_json(record: CellRecord, file: TextIO) -> int:
    content = {item.name: getattr(record, item.name) for item in fields(record)}
    file.write(json.dumps(content) + "\n")
    return 1


def _columns(records: Iterable[CellRecord]) -> list[str]:
    plain = [item.name for item in fields(CellRecord) if item.name not in LARGE]
    metrics = {name for record in records for name in record.metrics}
    params = {name for record in records for name in record.config}
    return [
        *plain,
        *(METRIC + name for name in sorted(metrics)),
        *(PARAM + name for name in sorted(params)),
    ]


def _row(record: CellRecord) -> dict[str, Any]:
    return {
        **{item.name: getattr(record, item.name) for item in fields(record)
           if item.name not in LARGE},
        **{METRIC + name: value for name, value in record.metrics.items()},
        **{PARAM + name: value for name, value in record.config.items()},
    }  # fmt: skip


def _parquet(shown: Iterable[CellRecord], to: Path | None) -> int:
    if to is None:
        raise LedgerError("parquet is no text; say with --out into which file")
    import pandas as pd

    records = list(shown)
    columns = _columns(records)
    table = pd.DataFrame(map(_row, records), columns=columns)
    for name in columns:
        if table[name].dtype == object and len({type(value) for value in table[name].dropna()}) > 1:
            table[name] = table[name].map(str, na_action="ignore")  # a column has one type there
    with _whole_file(to) as unfinished:
        try:
            table.to_parquet(unfinished, index=False)
        except ImportError as error:
            raise LedgerError(
                "parquet needs the package pyarrow, which is not installed; export csv instead"
            ) from error
    return len(table)


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file to write, which takes its name once it is whole."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        raise LedgerError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        unfinished.unlink(missing_ok=True)
