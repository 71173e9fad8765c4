"""Damaged ledgers: one bad line costs one cell, and a file that is no ledger is left alone."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from search.cli import main
from search.ledger import lines as ledger_lines
from search.ledger.errors import LedgerError
from search.ledger.ledger import Ledger, read_full_records, read_ledger
from search.ledger.lines import LEDGER, QUARANTINE, read_lines
from search.ledger.lock import LOCK
from search.ledger.record import add_checksum, encode_record
from search.report.ledger_export import export_cells
from search.results.history import read_runs
from tests.cases.ledger_cases import record

KEYS = ("a", "b", "c", "d", "e")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Ledger(tmp_path) as ledger:
        for key in KEYS:
            ledger.append([record(key)])
    return tmp_path


def change(folder: Path, number: int, damage: Callable[[bytes], bytes]) -> bytes:
    """Damage one line; returns what it became."""
    path = folder / LEDGER
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = damage(lines[number][:-1]) + b"\n"
    path.write_bytes(b"".join(lines))
    return lines[number][:-1]


def resealed(**changes: object) -> Callable[[bytes], bytes]:
    """Changes values, and makes the checksum fit: what a program of ours may have written."""

    def damage(line: bytes) -> bytes:
        content = {**json.loads(line), **changes}
        del content["crc"]
        return add_checksum(json.dumps(content, separators=(",", ":")).encode(), False)[:-1]

    return damage


def without_seal(line: bytes) -> bytes:
    content = json.loads(line)
    del content["crc"], content["status"]
    return json.dumps(content).encode()


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "another digit": (lambda line: line.replace(b'"epochs":3', b'"epochs":4'), "checksum does not"),
    "no JSON": (lambda line: b"{" + line[:-18] + b"}", "no JSON: .* at character 1"),
    "an empty line": (lambda line: b"", "no JSON"),
    "no object": (lambda line: b"[1]", "no JSON object"),
    "half a line": (lambda line: line[:40], "no JSON"),
    "bytes that are no text": (lambda line: b"\xff" + line[1:-18], "no text"),
    "zeros": (lambda line: bytes(len(line)), "no JSON"),
    "too deep": (lambda line: b"[" * 200_000, "too deep"),
    "a checksum at another place": (lambda line: line[:-1] + b',"x":1}', "'crc' is none of its"),
    "an unknown field": (resealed(extra=1), "'extra' is none of its fields"),
    "a missing field": (without_seal, "'status' is missing"),
    "a wrong type": (resealed(epochs=1.5), "'epochs' can't be 1.5"),
    "a truth value for a number": (resealed(seed=True), "'seed' can't be True"),
    "a mapping for a number": (resealed(metrics={"a": {}}), "'metrics' can't be this dict"),
    "an infinite metric": (
        lambda line: line[:-18].replace(b"0.30000000000000004", b"1e999") + b"}",
        "'metrics' can't be",
    ),
    "NaN": (lambda line: line[:-18].replace(b"0.30000000000000004", b"NaN") + b"}", "NaN is no"),
    "a number of 9000 digits": (
        lambda line: line[:-18].replace(b"0.30000000000000004", b"9" * 9000) + b"}",
        "Exceeds the limit",
    ),
    "an absurd candidate": (resealed(candidate=10**12), "'candidate' can't be"),
    "an unknown status": (resealed(status="done"), "'status' can't be 'done'"),
    "half a character": (resealed(arm="\ud800"), "no text"),
    "curves that are cut off": (resealed(curve_values="AAAA"), "'curve_values' holds 3 bytes"),
    "curves that are no base64": (resealed(curve_values="A$=="), "'curve_values' is no base64"),
    "counts that are none": (resealed(curve={"valid.mae": 10**9}), "'curve' says otherwise"),
    "predictions that are cut off": (resealed(predictions="AAAA"), "'predictions' can't be"),
    "a cell that is there already": (resealed(key="a"), "cell a is in the ledger already"),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("number", [2, 4])
def test_one_damaged_line_is_put_aside_and_its_cell_is_trained_again(
    folder: Path, name: str, number: int
) -> None:
    damage, reason = DAMAGES[name]
    line = change(folder, number, damage)
    others = set(KEYS) - {KEYS[number]}
    assert set(read_ledger(folder)) == others
    assert {cell.key for cell in read_full_records(folder)} == others
    (fault,) = read_lines(folder / LEDGER).faults
    assert fault.line == number + 1
    with Ledger(folder) as ledger:
        (message,) = ledger.quarantined
        assert set(ledger.records) == others
        ledger.append([record(KEYS[number])])
    pattern = rf"^ledger\.jsonl:{number + 1}: .*{reason}.*; put aside in {QUARANTINE}$"
    assert re.search(pattern, message)
    aside = json.loads((folder / QUARANTINE).read_text())
    assert (aside["line"], aside["reason"]) == (number + 1, fault.reason)
    if "content" in aside:
        assert aside["content"].encode() == line
    assert {cell.key: cell for cell in read_full_records(folder)} == {
        key: record(key) for key in KEYS
    }
    assert read_lines(folder / LEDGER).faults == []


def test_a_line_longer_than_any_record_is_not_even_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_lines, "LONGEST", 2000)
    monkeypatch.setattr(ledger_lines, "KEPT_BYTES", 100)
    change(folder, 1, lambda line: b"x" * 7001)
    (fault,) = read_lines(folder / LEDGER).faults
    assert fault.reason == "longer than any record (7002 bytes)"
    with Ledger(folder) as ledger:
        assert set(ledger.records) == set(KEYS) - {"b"}
    aside = json.loads((folder / QUARANTINE).read_text())
    assert (aside["bytes"], len(aside["content"])) == (7002, 100)


@pytest.mark.parametrize("number", range(3))
def test_what_was_appended_with_a_damaged_line_still_counts(folder: Path, number: int) -> None:
    with Ledger(folder) as ledger:
        ledger.append([record("f"), record("g"), record("h")])
    change(folder, 5 + number, lambda line: line[:-3])
    kept = {*KEYS, "f", "g", "h"} - {"fgh"[number]}
    assert set(read_ledger(folder)) == kept
    for _ in range(2):
        with Ledger(folder) as ledger:
            assert set(ledger.records) == kept


def test_a_ledger_is_written_anew_whole_or_not_at_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(folder, 1, lambda line: line[:-3])
    before = (folder / LEDGER).read_bytes()

    def fail(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", fail)
        with pytest.raises(LedgerError, match="No space left"):
            Ledger(folder)
    assert (folder / LEDGER).read_bytes() == before
    with Ledger(folder) as ledger:  # the lock was released
        assert len(ledger.quarantined) == 1


NO_LEDGERS = {
    "binary": bytes(range(256)) * 40,
    "binary without lines": b"\x89PNG\r" + b"x" * 50,
    "text": b"dear diary\n" * 5,
    "one line of text": b"dear diary\n",
    "another JSON": b"[\n1,\n2\n]\n",
    "many records of something else": b'{"a": 1}\n' * 9,
    "mostly damaged": add_checksum(encode_record(record("a")), False) + b'{"key":\n' * 4,
}


@pytest.mark.parametrize("name", NO_LEDGERS)
def test_a_file_that_is_no_ledger_is_one_message_and_stays_as_it_is(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / LEDGER
    path.write_bytes(NO_LEDGERS[name])
    for use in (Ledger, read_ledger):
        with pytest.raises(LedgerError, match=r"ledger\.jsonl: .* is a record of a cell"):
            use(tmp_path)
    assert path.read_bytes() == NO_LEDGERS[name]
    assert not (tmp_path / QUARANTINE).exists()


def test_a_folder_in_the_place_of_the_ledger_is_one_message(tmp_path: Path) -> None:
    (tmp_path / LEDGER).mkdir()
    for use in (Ledger, read_ledger):
        with pytest.raises(LedgerError, match="no file; move it away"):
            use(tmp_path)


def test_an_empty_file_is_a_ledger_without_cells(tmp_path: Path) -> None:
    (tmp_path / LEDGER).touch()  # where a run was killed before its first cell
    assert read_ledger(tmp_path) == {}
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])


def triptych(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["ledger", *arguments])
    return result.exit_code, result.output


def test_check_says_what_a_ledger_holds(folder: Path) -> None:
    with Ledger(folder) as ledger:
        ledger.append([record("f", phase="confirm", status="failed")])
    code, said = triptych("check", str(folder))
    assert code == 0
    assert "6 cells, 0 measured pack sizes" in said
    assert "tune: 5 complete" in said
    assert "confirm: 1 failed" in said
    assert "nobody is writing it" in said
    assert "every line of it is sound" in said
    with (folder / LEDGER).open("ab") as file:
        file.write(b'{"key"')
    code, said = triptych("check", str(folder))
    assert code == 0
    assert "the last 6 bytes were not written to their end" in said


def test_check_names_damaged_lines_and_repair_puts_them_aside(folder: Path) -> None:
    change(folder, 1, lambda line: line[:-3])
    change(folder, 3, resealed(key="a"))
    before = (folder / LEDGER).read_bytes()
    code, said = triptych("check", str(folder))
    assert code == 1
    assert "1 damaged lines and 1 that repeat a cell" in said
    assert "ledger.jsonl:2: no JSON" in said
    assert "ledger.jsonl:4: cell a is in the ledger already" in said
    assert (folder / LEDGER).read_bytes() == before
    code, said = triptych("check", str(folder), "--repair")
    assert code == 0
    assert "ledger.jsonl:2" in said
    assert "2 lines were put aside earlier" in said
    assert set(read_ledger(folder)) == {"a", "c", "e"}
    assert triptych("check", str(folder), "--repair")[1].startswith("nothing to repair")


def test_repair_is_refused_while_a_run_is_going_on_and_check_is_not(folder: Path) -> None:
    with Ledger(folder):
        code, said = triptych("check", str(folder))
        assert code == 0
        assert "is writing it since" in said
        code, said = triptych("check", str(folder), "--repair")
        assert code == 2
        assert "is going on" in said


def test_repair_keeps_the_trace_of_a_killed_run(folder: Path) -> None:
    lock = json.loads((folder / LOCK).read_text())
    (folder / LOCK).write_text(json.dumps({**lock, "state": "open"}))
    assert triptych("check", str(folder), "--repair")[0] == 0
    assert [run.ended for run in read_runs(folder)] == ["killed"]


def test_a_folder_without_a_ledger_is_one_message(tmp_path: Path) -> None:
    for command in ("check", "export"):
        code, said = triptych(command, str(tmp_path))
        assert code == 2
        assert "holds no ledger" in said


def test_cells_are_exported_one_a_row(folder: Path, tmp_path: Path) -> None:
    with Ledger(folder) as ledger:
        ledger.append([record("f", metrics={"valid.corr": 0.5}, config={"x": "a,b"}, log="l\nm")])
    code, said = triptych("export", str(folder))
    assert code == 0
    rows = list(csv.DictReader(io.StringIO(said)))
    assert [row["key"] for row in rows] == [*KEYS, "f"]
    assert rows[0]["metric.valid.mae"] == repr(0.1 + 0.2)
    assert (rows[5]["metric.valid.mae"], rows[5]["metric.valid.corr"]) == ("", "0.5")
    assert rows[5]["param.x"] == "a,b"
    out = tmp_path / "cells.jsonl"
    assert triptych("export", str(folder), "--format", "jsonl", "--out", str(out))[0] == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert lines[0]["curve"] == {"valid.mae": [1.0, None, 0.5]}
    assert lines[5]["log"] == "l\nm"


def test_cells_are_exported_as_parquet(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="parquet needs pyarrow")
    with Ledger(folder) as ledger:
        ledger.append([record("f", config={"train.learning_rate": "auto"})])
    out = tmp_path / "cells.parquet"
    assert triptych("export", str(folder), "--format", "parquet", "--out", str(out))[0] == 0
    table = pd.read_parquet(out)
    assert list(table["key"]) == [*KEYS, "f"]
    assert list(table["param.train.learning_rate"]) == ["0.001"] * 5 + ["auto"]
    assert table["metric.valid.mae"][0] == 0.1 + 0.2
    code, said = triptych("export", str(folder), "--format", "parquet")
    assert code == 2
    assert "--out" in said


def test_an_export_is_written_whole_or_not_at_all(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cells.csv"
    out.write_text("before")
    monkeypatch.setattr(csv.DictWriter, "writerows", lambda *_: (_ for _ in ()).throw(OSError(28)))
    with pytest.raises(LedgerError, match=r"cells\.csv: cannot be written"):
        export_cells(folder, "csv", out, sys.stdout)
    assert out.read_text() == "before"
    assert not list(tmp_path.glob("*.part"))
    with pytest.raises(LedgerError, match="cannot be written"):
        export_cells(folder, "csv", tmp_path / "none" / "cells.csv", sys.stdout)
