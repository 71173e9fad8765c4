"""The page in a real browser: every plot is drawn, from one file, without a network."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from reports.write import write_report

# Chromium would otherwise look for updates on its own.
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--virtual-time-budget=5000", "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@pytest.fixture
def page(synthetic: ModuleType, tmp_path: Path, program: Callable[[str], str]) -> str:
    report = write_report(synthetic.make_results(), synthetic.METRICS, tmp_path)
    shown = subprocess.run(
        [program("chromium"), *QUIET, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
         report.html.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )  # fmt: skip
    return shown.stdout


def test_both_plots_are_drawn(page: str) -> None:
    assert page.count('class="main-svg"') >= 2
    assert "worse arm" in page
