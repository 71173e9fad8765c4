"""Cells that raise, are not finite, hang or need too much memory: each by its kind, none harmed."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cases.studies.bad_module import NAME, STUDY, TEXT
from tests.cases.studies.whole_runs import cells_of, events_of, lines_of, run

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
# Bytes beside what this machine needs already: for Ray, two workers, what eats, and another test.
HEADROOM = 5e9
KINDS = {
    "fine": "",
    "fine too": "",
    "raises": "exception",
    "undefined": "not finite",
    "hangs": "timeout",
    "eats": "out of memory",
}


def memory_limit() -> Mapping[str, str]:
    """Where Ray's memory monitor is to end a worker, as a share of this machine's memory."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    known = {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines if "kB" in line}
    used = known["MemTotal"] - known["MemAvailable"]
    share = (used + HEADROOM) / known["MemTotal"]
    if share > 0.95:
        pytest.skip("too little memory is free to give some away")
    return {"RAY_memory_usage_threshold": f"{share:.4f}", "RAY_memory_monitor_refresh_ms": "100"}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a study with one good half and one that fails in every way."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / NAME).write_text(TEXT, encoding="utf-8")
    (folder / "study.yaml").write_text(STUDY, encoding="utf-8")
    done = run(
        "run", "study.yaml", "--workers", 2, "--epoch-minutes", 0.25, "--give-up-after", 0,
        folder=folder, environment=memory_limit(), seconds=600,
    )  # fmt: skip
    (folder / "said").write_text(done.stdout + done.stderr, encoding="utf-8")
    assert done.returncode == 1, done.stdout + done.stderr
    return folder


def test_each_is_recorded_by_its_kind_with_its_last_lines(ended: Path) -> None:
    lines = lines_of(ended / "runs" / "bad")
    assert len(lines) == 2 * len(KINDS)
    for line in lines:
        assert line["kind"] == KINDS[line["arm"]], (line["arm"], line["reason"])
        assert (line["status"] == "failed") == bool(line["kind"])
    by_arm = {line["arm"]: line for line in lines}
    assert "ValueError: this module never worked" in by_arm["raises"]["reason"]
    assert "about to raise" in by_arm["raises"]["log"]
    assert "raise ValueError" in by_arm["raises"]["log"]
    assert "about to hang" in by_arm["hangs"]["log"]
    eaten = [line["log"] for line in lines if line["arm"] == "eats"]
    assert all("Memory on the node" in log for log in eaten)
    # Ray may end both at once, one of them before it said anything; the last one was alone.
    assert any("about to need memory" in log for log in eaten)
    assert all(len(line["log"].splitlines()) <= 30 for line in lines)


def test_what_ran_out_of_memory_was_tried_again_and_what_raises_was_not(ended: Path) -> None:
    again = events_of(ended / "runs" / "bad", "pack again")
    assert {event["arm"] for event in again if event["kind"] == "out of memory"} >= {"eats"}
    # One that hangs beside it may have been ended for the memory of the other.
    assert not [event for event in again if event["arm"] in ("raises", "undefined")]
    attempts = {line["arm"]: line["attempts"] for line in lines_of(ended / "runs" / "bad")}
    assert attempts["eats"] > 1 and attempts["raises"] == attempts["undefined"] == 1


def test_the_others_are_unharmed(ended: Path, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(TEXT, encoding="utf-8")
    drop = ("raises", "undefined", "hangs", "eats")
    text = "\n".join(
        line for line in STUDY.splitlines() if not line.strip().startswith(tuple(drop))
    )
    (tmp_path / "study.yaml").write_text(text, encoding="utf-8")
    assert run("run", "study.yaml", "--workers", 2, folder=tmp_path).returncode == 0
    alone = cells_of(tmp_path / "runs" / "bad")
    beside = [cell for cell in cells_of(ended / "runs" / "bad") if cell["arm"] not in drop]
    common = set(alone[0]) & set(beside[0])
    assert "metric.test.mae" in common
    assert [{name: cell[name] for name in common} for cell in alone] == [
        {name: cell[name] for name in common} for cell in beside
    ]


def test_status_and_the_report_show_them(ended: Path) -> None:
    shown = run("status", "bad", folder=ended).stdout
    page = (ended / "runs" / "bad" / "report" / "report.html").read_text(encoding="utf-8")
    for kind in filter(None, KINDS.values()):
        assert kind in shown
        assert kind in page
    assert "this module never worked" in shown and "this module never worked" in page


def test_a_study_in_which_everything_fails_alike_stops_early_and_says_it(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(TEXT, encoding="utf-8")
    study = STUDY.replace("confirm_seeds: 2", "confirm_seeds: 60").replace(
        "  train.epochs: 3", "  train.epochs: 3\n  model.fusion.bad.does: 2"
    )
    arms = study.index("      raises")
    study = study[:arms] + study[study.index("budget:") :]
    (tmp_path / "study.yaml").write_text(study, encoding="utf-8")
    done = run("run", "study.yaml", "--workers", 2, "--pack-size", 4, folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "cells failed for the same reason (exception: ValueError: this module" in done.stdout
    assert 10 <= len(lines_of(tmp_path / "runs" / "bad")) < 30
    (ended,) = map(json.loads, (tmp_path / "runs" / "bad" / "runs.jsonl").read_text().splitlines())
    assert ended["ended"] == "failing"
