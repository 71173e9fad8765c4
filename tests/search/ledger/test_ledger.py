"""The ledger: append-only, durable, one writer, each cell once, light in memory."""

import errno
import json
import os
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.ledger.errors import LedgerError
from search.ledger.ledger import Ledger, NoSpace, read_full_records, read_ledger, read_pack_sizes
from search.ledger.lines import LEDGER
from search.ledger.record import add_checksum, encode_record, parse_record
from spaces.abilities import PackSize
from tests.cases.ledger_cases import record

SIZE = PackSize(
    pack_key="p", device="cpu", size=4, seconds={"1": 0.1, "4": 0.2}, memory={}, share=0
)


def test_what_is_appended_is_read_back_whole_and_to_the_last_digit(tmp_path: Path) -> None:
    cells = [record("a", predictions="AACAPw=="), record("b", status="failed", reason="why")]
    with Ledger(tmp_path) as ledger:
        ledger.append(cells)
    assert list(read_full_records(tmp_path)) == cells
    assert list(read_full_records(tmp_path, ["b", "not there"])) == cells[1:]


def test_in_memory_are_the_records_without_what_is_large(tmp_path: Path) -> None:
    curve = {"train.loss": [1.0, 2.0], "valid.mae": [0.5, None]}
    cells = [
        record("a", curve=curve, predictions="AACAPw=="),
        record("b", curve=curve, status="pruned"),
    ]
    light = {
        "a": record("a", curve={}),
        "b": record("b", curve={"valid.mae": [0.5, None]}, status="pruned"),
    }
    with Ledger(tmp_path) as ledger:
        assert ledger.append(cells) == [*light.values()]
        assert ledger.records == light
    assert read_ledger(tmp_path) == light
    with Ledger(tmp_path) as ledger:
        assert ledger.records == light


def test_the_curves_that_a_sampler_sees_are_the_same_before_and_after_a_restart(
    tmp_path: Path,
) -> None:
    cell = record("a", status="pruned", curve={"valid.mae": [0.1, 1 / 3, 1e39, None]})
    with Ledger(tmp_path) as ledger:
        (now,) = ledger.append([cell])
    assert read_ledger(tmp_path)["a"].curve == now.curve
    assert now.curve["valid.mae"][:2] != [0.1, 1 / 3]  # as float32
    assert now.curve["valid.mae"][2:] == [None, None]


@given(
    curve=st.dictionaries(
        st.text(max_size=8),
        st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False)),
        max_size=4,
    ),
    metrics=st.dictionaries(
        st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False), max_size=4
    ),
    config=st.dictionaries(
        st.text(max_size=8),
        st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=5) | st.just(0.1),
        max_size=4,
    ),
    log=st.text(max_size=30),
)
def test_a_line_gives_the_record_back(curve: Any, metrics: Any, config: Any, log: str) -> None:
    cell = record("k", curve=curve, metrics=metrics, config=config, log=log.replace("\0", ""))
    line = add_checksum(encode_record(cell), more=True)
    assert parse_record(line[:-1], light=False) == (cell, True)
    assert line.count(b"\n") == 1


def test_what_no_store_takes_is_left_out_of_a_log() -> None:
    cell = record("k", log="a\0b\udc80c", reason="\ud800")
    found, _ = parse_record(encode_record(cell), light=False)
    assert found == record("k", log="ab?c", reason="?")


def test_equal_values_of_other_types_stay_what_they_are(tmp_path: Path) -> None:
    values: tuple[Any, ...] = (1, 1.0, True)
    with Ledger(tmp_path) as ledger:
        ledger.append([record(f"{n}", config={"x": value}) for n, value in enumerate(values)])
    found = [cell.config["x"] for cell in read_ledger(tmp_path).values()]
    assert [type(value) for value in found] == [int, float, bool]


def test_each_line_is_an_object_that_ends_with_its_checksum(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a"), record("b")], SIZE)
    lines = (tmp_path / LEDGER).read_text().splitlines()
    assert [list(json.loads(line))[-1] for line in lines] == ["crc"] * 3
    assert list(pd.read_json(tmp_path / LEDGER, lines=True)["key"][1:]) == ["a", "b"]


def test_lines_without_a_checksum_of_older_versions_are_read(tmp_path: Path) -> None:
    line = json.loads(encode_record(record("a", status="pruned", curve={})))
    line["curve"] = {"valid.mae": [0.1, None]}
    for name in ("kind", "log", "attempts"):
        del line[name]
    (tmp_path / LEDGER).write_text(json.dumps(line) + "\n")
    cell = record("a", status="pruned", curve={"valid.mae": [0.1, None]})
    assert list(read_full_records(tmp_path)) == [cell]
    assert read_ledger(tmp_path) == {"a": cell}


def test_pack_sizes_are_read_back(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        assert ledger.append([], SIZE) == []
        assert ledger.append([]) == []
    assert read_pack_sizes(tmp_path) == [SIZE]


def test_a_finished_cell_is_not_written_twice(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
        for again in ([record("b"), record("a")], [record("b"), record("b")]):
            with pytest.raises(LedgerError, match="in the ledger already"):
                ledger.append(again)
    assert set(read_ledger(tmp_path)) == {"a"}


def test_a_failed_cell_trained_again_stands_with_its_last_record(tmp_path: Path) -> None:
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a", status="failed")])
        ledger.append([record("a")])
        assert ledger.records["a"].status == "complete"
    assert read_ledger(tmp_path)["a"].status == "complete"
    assert [cell.status for cell in read_full_records(tmp_path)] == ["complete"]


@pytest.mark.parametrize(
    "changes",
    [
        {"metrics": {"valid.mae": float("nan")}},
        {"status": "done"},
        {"params": {"x": None}},
        {"candidate": -1},
        {"arm": 3},
    ],
)
def test_what_no_reader_would_take_is_refused_and_nothing_is_written(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    with Ledger(tmp_path) as ledger, pytest.raises(ValueError, match=r"JSON|can't be"):
        ledger.append([record("a"), record("b", **changes)])
    assert read_ledger(tmp_path) == {}


def test_a_crash_at_any_byte_of_an_append_loses_nothing_and_leaves_no_half_pack(
    tmp_path: Path,
) -> None:
    path = tmp_path / LEDGER
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a"), record("b")])
        before = path.stat().st_size
        ledger.append([record("c"), record("d")], SIZE)
    whole = path.read_bytes()
    for end in range(before, len(whole) + 1):
        path.write_bytes(whole[:end])
        kept = {"a", "b"} if end < len(whole) else {"a", "b", "c", "d"}
        assert set(read_ledger(tmp_path)) == kept
        assert len(read_pack_sizes(tmp_path)) == (end == len(whole))
        if end % 50 == 0 or end >= len(whole) - 2:
            with Ledger(tmp_path) as ledger:
                assert ledger.quarantined == []
                ledger.append([record("e")])
            assert set(read_ledger(tmp_path)) == kept | {"e"}


def test_what_a_loss_of_power_leaves_at_the_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    path.write_bytes(bytes(5000))  # the size of a file may reach the disk before its content
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
    with path.open("ab") as file:
        file.write(bytes(5000))
    with Ledger(tmp_path) as ledger:
        assert set(ledger.records) == {"a"}
    assert path.read_bytes().count(0) == 0


@pytest.mark.parametrize("when", ["write", "fsync"])
@pytest.mark.parametrize("can_undo", [True, False])
def test_a_full_disk_is_said_and_nothing_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str, can_undo: bool
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    real = os.write

    def write(file: int, content: bytes) -> int:
        if len(content) < 100:
            raise full
        return real(file, content[: len(content) // 2])

    def fail(*_: Any) -> None:
        raise full

    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
        with monkeypatch.context() as patch:
            patch.setattr(os, when, write if when == "write" else fail)
            if not can_undo:
                patch.setattr(os, "ftruncate", fail)
            for _ in range(2):
                with pytest.raises(NoSpace, match="No space left"):
                    ledger.append([record("b"), record("c")])
        assert set(ledger.records) == {"a"}
        assert set(read_ledger(tmp_path)) >= {"a"}
        ledger.append([record("b"), record("c")])
    assert [cell.key for cell in read_full_records(tmp_path)] == ["a", "b", "c"]


def test_an_interrupted_append_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with Ledger(tmp_path) as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", interrupt)
            with pytest.raises(KeyboardInterrupt):
                ledger.append([record("a")])
        assert read_ledger(tmp_path) == {}
        ledger.append([record("a")])
    assert set(read_ledger(tmp_path)) == {"a"}


@pytest.mark.parametrize("change", ["removed", "replaced", "longer", "shorter"])
def test_a_ledger_changed_by_another_program_is_left_as_it_is(tmp_path: Path, change: str) -> None:
    path = tmp_path / LEDGER
    with Ledger(tmp_path) as ledger:
        ledger.append([record("a")])
        content = path.read_bytes()
        if change in ("removed", "replaced"):
            path.unlink()
        if change != "removed":
            path.write_bytes({"longer": content * 2, "shorter": b""}.get(change, content))
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(LedgerError, match="another program changed it"):
            ledger.append([record("b")])
        assert (path.read_bytes() if path.exists() else None) == before


def test_a_reader_never_sees_half_of_an_append(tmp_path: Path) -> None:
    wrong: list[Any] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen = read_ledger(tmp_path)
            if len(seen) % 3 or any(len(cell.metrics) != 1 for cell in seen.values()):
                wrong.append(len(seen))

    reader = threading.Thread(target=read)
    with Ledger(tmp_path) as ledger:
        reader.start()
        for number in range(150):
            ledger.append([record(f"{number}-{part}", log="x" * 3000) for part in range(3)])
        over.set()
        reader.join()
    assert wrong == []


@pytest.mark.slow
def test_a_large_ledger_costs_no_more_a_record_than_a_small_one(tmp_path: Path) -> None:
    memory, seconds = {}, {}
    for count in (2_000, 20_000):
        folder = tmp_path / str(count)
        begin = time.process_time()
        with Ledger(folder) as ledger:
            for start in range(0, count, 20):
                ledger.append([record(f"{start + part}") for part in range(20)])
        assert len(read_ledger(folder)) == count
        seconds[count] = (time.process_time() - begin) / count
        tracemalloc.start()
        with Ledger(folder) as ledger:
            memory[count] = tracemalloc.get_traced_memory()[0] / len(ledger.records)
        tracemalloc.stop()
    assert seconds[20_000] < 2 * seconds[2_000]
    assert memory[20_000] < 1.3 * memory[2_000]
    assert memory[20_000] < 6000  # bytes: 100,000 cells in well below 1 GB


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_folder_that_cannot_be_made_is_one_message(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger(tmp_path / "file" / "folder" if kind == "folder" else tmp_path / "file")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(sizes=st.lists(st.integers(1, 4), max_size=5))
def test_any_appends_are_read_back_in_their_order(sizes: list[int], tmp_path: Path) -> None:
    path = tmp_path / LEDGER
    path.unlink(missing_ok=True)
    keys = []
    with Ledger(tmp_path) as ledger:
        for number, size in enumerate(sizes):
            new = [f"{number}-{part}" for part in range(size)]
            ledger.append([record(key) for key in new], SIZE if size % 2 else None)
            keys += new
    assert list(read_ledger(tmp_path)) == keys
