"""Ledgers changed at random: refused or repaired with a message, and no other cell is lost."""

import copy
import json
import math
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from msa_core.data.dataset import Dataset
from reports.encoding import encode_floats
from search.errors import is_for_the_user
from search.ledger.errors import LedgerError
from search.ledger.ledger import Ledger, read_full_records, read_ledger
from search.ledger.lines import LEDGER, QUARANTINE, read_lines
from search.ledger.record import add_checksum
from search.report.ledger_export import check_ledger
from search.results.folder import ledger_results, write_manifest
from search.results.plan_facts import manifest_of
from search.schedule.schedule import Schedule
from spaces.plan.plan import Plan
from tests.cases.studies.made_up import STUDY, make_plan, work

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**6, 10**12, 10**30, 10**400, 0.5, -0.0, 1e-320, 1e300,
    math.inf, -math.inf, math.nan, "", "x", "tune", "confirm", "failed", "complete", "pruned",
    "\ud800", "\0", "a\nb", "x" * 5000, "AAAA", "AACAPw==", "A", [], {}, [[]], [1], [None],
    [1.0, None], {"": 0}, {"valid.mae": None}, {"valid.mae": 1}, {"valid.mae": 10**18},
    {"valid.mae": "x"}, {"valid.mae": 0.1}, {"x": {}}, {"1": 0.1}, {"a" * 3000: 1.0},
)  # fmt: skip
NAMES = (
    "key", "arm", "phase", "status", "candidate", "seed", "params", "config", "metrics", "curve",
    "curve_values", "predictions", "epochs", "attempts", "pack_key", "size", "crc", "more", "", "x",
)  # fmt: skip
WORDS = (
    b"\0", b"\n", b"\r\n", b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"\xff",
    b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b"null", b"NaN", b"-", b"1e999", b"9" * 5000,
    b"[" * 100_000, b'{"a":' * 50_000, b'"more":true,', b'{"key":"x"}\n', b'{"pack_key":1}\n',
    b" " * 70_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(STUDY)
    return make_plan(path, "budget.candidates=3")


@pytest.fixture(scope="module")
def finished(plan: Plan, small_data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose study is finished."""
    folder = tmp_path_factory.mktemp("finished")
    write_manifest(folder, manifest_of(plan, small_data, "uri"))
    predictions = encode_floats(small_data.test.labels)
    records = work(Schedule(plan, []))
    with Ledger(folder) as ledger:
        for start in range(0, len(records), 3):
            part = records[start : start + 3]
            for record in part:
                if record.phase == "confirm":
                    object.__setattr__(record, "predictions", predictions)
            ledger.append(part)
    assert len(ledger_results(folder).cells) == len(records)
    return folder


# Ways to damage a ledger's bytes.


def flip(draw: random.Random, raw: bytes) -> bytes:
    place = draw.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << draw.randrange(8)]) + raw[place + 1 :]


def cut(draw: random.Random, raw: bytes) -> bytes:
    place = draw.randrange(len(raw))
    return raw[:place] + raw[place + draw.choice([1, 10, 1000]) :]


def end_early(draw: random.Random, raw: bytes) -> bytes:
    return raw[: draw.randrange(len(raw))]


def insert(draw: random.Random, raw: bytes) -> bytes:
    place = draw.randrange(len(raw))
    return raw[:place] + draw.choice([draw.randbytes(20), *WORDS]) + raw[place:]


def overwrite(draw: random.Random, raw: bytes) -> bytes:
    """A block that the disk lost."""
    place, size = draw.randrange(len(raw)), draw.choice([10, 512, 4096])
    return raw[:place] + draw.choice([bytes(size), draw.randbytes(size)]) + raw[place + size :]


def shuffle_lines(draw: random.Random, raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"".join(lines)


def repeat_line(draw: random.Random, raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    lines.insert(draw.randrange(len(lines) + 1), draw.choice(lines))
    return b"".join(lines)


def insert_line(draw: random.Random, raw: bytes) -> bytes:
    lines = raw.splitlines(keepends=True)
    lines.insert(draw.randrange(len(lines) + 1), draw.choice(WORDS) + b"\n")
    return b"".join(lines)


def edit(draw: random.Random, raw: bytes) -> bytes:
    """Change values of a line, and make its checksum fit, leave it out, or leave it wrong."""
    lines = raw.splitlines(keepends=True)
    place = draw.randrange(len(lines))
    try:
        content = json.loads(lines[place])
    except (ValueError, RecursionError):
        return raw
    if not isinstance(content, dict):
        return raw
    params = copy.deepcopy(content.get("params"))
    for _ in range(draw.choice([1, 1, 2, 5])):
        name = draw.choice([*content, *NAMES])
        kind = draw.choice(["delete", "replace", "replace", "inside"])
        value = copy.deepcopy(draw.choice(VALUES))
        if kind == "delete":
            content.pop(name, None)
        elif kind == "inside" and isinstance(content.get(name), dict):
            content[name][draw.choice([*content[name], "x"])] = value
        else:
            content[name] = value
    # Whether a candidate is one of its arm's is not the ledger's to know: that, the checksum says.
    same = content.get("params") == params
    how = draw.choice(["sealed", "sealed", "bare", "wrong"]) if same else "wrong"
    if how != "wrong":
        content.pop("crc", None)
    text = json.dumps(content, separators=(",", ":")).encode()
    lines[place] = add_checksum(text, draw.random() < 0.1) if how == "sealed" else text + b"\n"
    return b"".join(lines)


DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    flip, cut, end_early, insert, overwrite, shuffle_lines, repeat_line, insert_line,
    edit, edit, edit, edit,
)  # fmt: skip


def tail_of_append(lines: list[bytes]) -> int:
    """Whole lines at the end of a file whose append may never have finished."""
    count = 0
    while count < len(lines) and b'"more":true' in lines[len(lines) - 1 - count]:
        count += 1
    return count


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32), damages=st.lists(st.sampled_from(DAMAGES), min_size=1, max_size=3)
)
def test_a_changed_ledger_is_refused_or_repaired_and_nothing_later_fails(
    finished: Path, plan: Plan, tmp_path: Path, seed: int, damages: list[Any]
) -> None:
    draw = random.Random(seed)
    folder = tmp_path / "study"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(finished, folder)
    path = folder / LEDGER
    sound = set(path.read_bytes().splitlines())
    raw = path.read_bytes()
    for damage in damages:
        raw = damage(draw, raw) or b"\n"
    path.write_bytes(raw)

    lines = raw.split(b"\n")[:-1]
    untouched = [line for line in lines[: len(lines) - tail_of_append(lines)] if line in sound]
    try:
        seen = read_ledger(folder)
    except LedgerError as error:
        event("refused")
        assert str(path) in str(error)
        with pytest.raises(LedgerError):
            Ledger(folder)
        assert path.read_bytes() == raw
        assert len(untouched) < max(3, len(lines) / 2)
        return

    faults = read_lines(folder / LEDGER).faults
    event("repaired" if faults else "harmless")
    lost = {json.loads(line)["key"] for line in untouched} - set(seen)
    assert not lost
    assert {cell.key for cell in read_full_records(folder)} == set(seen)
    said, is_sound = check_ledger(folder)
    assert is_sound == (not faults) and said
    everything_that_uses_it(folder, plan)
    with Ledger(folder) as ledger:
        assert ledger.records == seen
        assert len(ledger.quarantined) == len(faults)
        schedule = Schedule(plan, ledger.records.values())
        for record in [one for one in work(schedule) if one.key not in ledger.records]:
            ledger.append([record])
    aside = folder / QUARANTINE
    assert len(aside.read_text().splitlines() if aside.exists() else []) == len(faults)
    assert read_lines(folder / LEDGER).faults == []
    assert set(read_ledger(folder)) >= set(seen)


def everything_that_uses_it(folder: Path, plan: Plan) -> None:
    """What a run, a report and a status make of the cells: results, or a message to the user."""
    try:
        ledger_results(folder)
    except Exception as error:
        if not is_for_the_user(error):
            raise
