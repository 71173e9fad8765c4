"""A study on a head and two workers: one is cut off, one is killed, and nothing is lost."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cases.servers.hosts import BIN, Hosts
from tests.cases.shadows import shadow_packages
from tests.cases.studies.whole_runs import cells_of, events_of, lines_of, run, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
# Packs of a single cell of some seconds each, so that every worker is always in the middle of one.
STUDY = """\
study: three
data:
  planted: {train: 1200, valid: 200, test: 200, steps: 4, width: 8}
base:
  train.epochs: 60
  train.patience: 60
search:
  train.learning_rate: {log_uniform: [1e-3, 1e-1]}
sampler: random
arms:
  - leave_one_out:
      text: {model.text.use: false}
budget: {candidates: 4, tune_seeds: 2, confirm_seeds: 4}
"""
CELLS = 2 * (4 * 2 + 4)
RUN = [BIN / "triptych", "run", "study.yaml", "--pack-size", "1", "--plain"]


def test_a_study_survives_a_worker_that_is_cut_off_and_one_that_is_killed(
    make_hosts: Callable[..., Hosts], tmp_path: Path
) -> None:
    (shadow_packages(tmp_path) / "study.yaml").write_text(STUDY, encoding="utf-8")
    hosts = make_hosts("head", "first", "second")
    results = tmp_path / "runs" / "three"
    said = tmp_path / "said"
    with said.open("w") as file:
        driver = hosts.start("head", [*RUN, "--address", hosts.cluster], cwd=tmp_path, stdout=file)

    def at_least(cells: int) -> Callable[[], bool]:
        return lambda: driver.poll() is not None or len(lines_of(results)) >= cells

    def told(what: str, node: str) -> bool:
        gone = [event["node"] for event in events_of(results, what)]
        return driver.poll() is not None or hosts.address(node) in gone

    wait_for(at_least(3), 300)
    assert driver.poll() is None, said.read_text()
    hosts.cut_off("first")
    wait_for(lambda: told("node lost", "first"), 120)
    assert driver.poll() is None, said.read_text()
    assert hosts.address("second") not in {e["node"] for e in events_of(results, "node lost")}
    wait_for(at_least(len(lines_of(results)) + 2), 120)
    hosts.kill("second")
    wait_for(lambda: told("node lost", "second"), 120)
    assert driver.wait(timeout=600) == 0, said.read_text()

    # All of it was trained, each cell once, and the events say why it took longer.
    keys = [line["key"] for line in lines_of(results)]
    assert len(keys) == len(set(keys)) == CELLS
    assert {cell["status"] for cell in cells_of(results)} == {"complete"}
    assert events_of(results, "ray ready")[0]["nodes"] == 3
    assert events_of(results, "ray ready")[0]["workers"] == 3
    lost = [event["node"] for event in events_of(results, "node lost")]
    assert lost == [hosts.address("first"), hosts.address("second")]
    again = events_of(results, "pack again")
    assert {event["kind"] for event in again} == {"lost node"}
    # A worker that was only starting may not be known to have been there.
    assert {event["node"] for event in again} <= {*lost, ""}
    assert len(again) >= 2
    assert events_of(results, "run ended")[-1]["ended"] == "complete"

    # The numbers are those of a run of one machine alone.
    (tmp_path / "alone").mkdir()
    done = run(*RUN[1:], "--workdir", "alone", "--workers", 2, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert cells_of(results) == cells_of(tmp_path / "alone" / "runs" / "three")


def test_nobody_gets_in_without_the_token(
    make_hosts: Callable[..., Hosts], tmp_path: Path, small_study_text: str
) -> None:
    (tmp_path / "study.yaml").write_text(small_study_text, encoding="utf-8")
    hosts = make_hosts("head")
    triptych = [BIN / "triptych"]
    strangers: list[dict[str, str | None]] = [
        {"RAY_AUTH_TOKEN_PATH": None, "RAY_AUTH_MODE": "disabled"},
        {"RAY_AUTH_TOKEN_PATH": None, "RAY_AUTH_TOKEN": "ab" * 32},
    ]
    for stranger in strangers:
        ran = hosts.run(
            "head",
            [*triptych, "run", "study.yaml", "--address", hosts.cluster],
            stranger,
            cwd=tmp_path,
        )
        assert ran.returncode == 2, ran.stdout
        assert "refused the token" in ran.stdout
        handed_in = hosts.run(
            "head",
            [*triptych, "submit", "study.yaml", "--address", hosts.jobs],
            stranger,
            cwd=tmp_path,
        )
        assert handed_in.returncode == 2
        assert "refused the token" in handed_in.stdout
        joined = hosts.run(
            "head",
            [BIN / "ray", "start", f"--address={hosts.cluster}", "--num-cpus=1"],
            stranger,
        )
        assert joined.returncode != 0
    secret = hosts.token.read_text()
    assert not any(secret.encode() in path.read_bytes() for path in tmp_path.rglob("*.*"))
    seen = hosts.run("head", [BIN / "python", "-c", COUNT, hosts.cluster])
    assert seen.stdout.strip().endswith("nodes: 1"), seen.stdout


COUNT = (
    "import sys, ray; ray.init(address=sys.argv[1], logging_level='ERROR'); "
    "print('nodes:', len(ray.nodes()))"
)
