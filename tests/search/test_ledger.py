"""The ledger: append-only, durable, one writer, each cell once."""

from pathlib import Path
from typing import Any

import pytest

from search.ledger import LEDGER, CellRecord, Ledger, LedgerError, is_locked, read_ledger


def record(key: str, **changes: Any) -> CellRecord:
    values: dict[str, Any] = {
        "key": key,
        "arm": "full",
        "arm_key": "a",
        "phase": "tune",
        "candidate": 0,
        "seed": 1,
        "params": {"train.learning_rate": 0.001},
        "config": {"train.learning_rate": 0.001},
        "status": "complete",
        "epochs": 3,
        "best_epoch": 2,
        "metrics": {"valid.mae": 0.1 + 0.2},
        "curve": {"valid.mae": [1.0, None, 0.5]},
    }
    return CellRecord(**{**values, **changes})


def test_what_is_appended_is_read_back_to_the_last_digit(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a"), record("b", status="failed", reason="why")])
    assert read_ledger(tmp_path) == {
        "a": record("a"),
        "b": record("b", status="failed", reason="why"),
    }


def test_a_finished_cell_is_not_written_twice(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
        with pytest.raises(LedgerError, match="in the ledger already"):
            ledger.append([record("b"), record("a")])
    assert set(read_ledger(tmp_path)) == {"a"}


def test_a_failed_cell_trained_again_stands_with_its_last_record(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a", status="failed")])
        ledger.append([record("a")])
    assert read_ledger(tmp_path)["a"].status == "complete"


def test_a_value_that_is_no_number_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger, pytest.raises(ValueError, match="JSON"):
        ledger.append([record("a"), record("b", metrics={"valid.mae": float("nan")})])
    assert read_ledger(tmp_path) == {}


@pytest.mark.parametrize("keep", [1, 40, -1])
def test_a_torn_last_line_is_passed_over_and_then_cut_off(tmp_path: Path, keep: int) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
    path = tmp_path / LEDGER
    line = path.read_bytes()
    path.write_bytes(line + line.replace(b'"a"', b'"b"')[:keep])
    assert set(read_ledger(tmp_path)) == {"a"}
    with Ledger(tmp_path) as ledger:
        ledger.append([record("c")])
    assert set(read_ledger(tmp_path)) == {"a", "c"}


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
    path = tmp_path / LEDGER
    path.write_bytes(b'{"key": 1}\n' + path.read_bytes())
    with pytest.raises(LedgerError, match=r"ledger\.jsonl:1: not a record"):
        read_ledger(tmp_path)


def test_a_second_driver_is_refused_and_says_who_the_first_is(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with Ledger(tmp_path):
        assert is_locked(tmp_path)
        with pytest.raises(LedgerError, match=r"is going on \(process \d+ on .+\); wait for it"):
            Ledger(tmp_path)
    assert not is_locked(tmp_path)
    with Ledger(tmp_path):
        pass


def test_a_ledger_is_readable_while_it_is_written(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
        assert set(read_ledger(tmp_path)) == {"a"}


def test_a_folder_that_cannot_be_made_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path / "file" / "folder")
