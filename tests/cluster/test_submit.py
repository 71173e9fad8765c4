"""A study as a job of a cluster that has nothing but the environment."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cases.servers.hosts import BIN, Hosts
from tests.cases.shadows import shadow_packages
from tests.cases.studies.whole_runs import cells_of, events_of, run, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]


def test_a_study_runs_there_without_this_machine(
    make_hosts: Callable[..., Hosts], tmp_path: Path, small_study_text: str
) -> None:
    (shadow_packages(tmp_path) / "study.yaml").write_text(small_study_text, encoding="utf-8")
    hosts = make_hosts("head", cores=2)
    there = tmp_path / "there"

    def triptych(*arguments: object) -> tuple[int, str]:
        done = hosts.run("head", [BIN / "triptych", *arguments], cwd=tmp_path, timeout=300)
        return done.returncode, done.stdout

    at = ("--address", hosts.jobs, "--workdir", there)
    code, said = triptych(
        "submit", "study.yaml", *at, "--set", "budget.candidates=2", "--workers", 1
    )
    assert code == 0, said
    assert "runs at" in said.splitlines()[0]
    assert "triptych-small-1" in said
    assert "16 cells trained" in said
    assert "INFO" not in said

    # What was trained there counts here: the same keys, the same numbers.
    done = run("run", "study.yaml", "--set", "budget.candidates=2", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cells_of(there / "runs" / "small") == cells_of(tmp_path / "runs" / "small")

    code, said = triptych("status", "small", *at)
    assert (code, "small" in said, "not running" in said) == (0, True, True), said
    code, said = triptych("status", "unknown", *at)
    assert code == 2
    assert "unknown" in said

    # Wrong input is refused there with the exit code of `triptych run`, as it would be here.
    code, said = triptych("submit", "study.yaml", *at, "--set", "budget.candidates=none")
    assert (code, "triptych-small-2" in said) == (2, False), said

    # More of it: only what is missing. And while it runs it is not taken twice.
    longer = ("--set", "base.train.epochs=5000", "--set", "base.train.patience=5000", "--rerun")
    before = datetime.now(UTC).isoformat()
    code, said = triptych("submit", "study.yaml", *at, *longer, "--no-follow")
    assert code == 0, said
    assert f"triptych status small --address {hosts.jobs}" in said
    code, said = triptych("submit", "study.yaml", *at)
    assert code == 2
    assert "already running" in said and "triptych-small-2" in said
    code, said = triptych("status", *at)
    assert (code, "job triptych-small-2: running" in said) == (0, True), said

    # A job that is asked to end saves what it has, as after Ctrl-C.
    wait_for(lambda: events_of(there / "runs" / "small", "pack started")[-1]["time"] > before, 120)
    stop = [BIN / "ray", "job", "stop", "triptych-small-2", "--address", hosts.jobs]
    assert hosts.run("head", stop).returncode == 0
    assert events_of(there / "runs" / "small", "run ended")[-1]["ended"] == "interrupted"
