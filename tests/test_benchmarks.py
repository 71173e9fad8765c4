"""The benchmarks run; what they measure is for a quiet machine (`make bench`)."""

import subprocess
import sys

from tests.cases.paths import REPOSITORY

BENCHMARKS = REPOSITORY / "tests" / "benchmarks"


def test_packs_against_the_plain_loop_small() -> None:
    small = ["--widths", "8", "--sizes", "1", "3", "--epochs", "1", "--rounds", "1"]
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "packs.py", *small],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    peak, heading, *rows = done.stdout.splitlines()
    assert "GFLOP/s" in peak
    assert heading.split() == ["model", "loop", "pack", "1", "pack", "3", "picked"]
    assert [row[:16].strip() for row in rows] == ["mean_mlp d=8", "lstm d=32", "lstm d=64"]
    assert "in turn" in rows[-1]


def test_the_peers_say_how_they_are_used() -> None:
    for script in ("plain_ray_tune.py", "end_to_end.py"):
        done = subprocess.run(
            [sys.executable, BENCHMARKS / script, "--help"],
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        assert "--confirm-seeds" in done.stdout


def test_the_report_of_a_study_small() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.report", "--arms", "5", "--candidates", "4"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        cwd=REPOSITORY,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("70 cells of 5 arms")
    assert "of the targets:" in done.stdout
