"""A report of a large study: 10,010 cells of 143 arms, on a test set of the size of CMU-MOSI's.

usage: python -m tests.benchmarks.report [--arms 143] [--candidates 60] [--seeds 10]

Each part in seconds of wall time and of the processor, as a share of the whole; the largest memory
of the process; the size of the page and of all files; and, where Chromium is there, how long the
page takes to load. A row of targets follows.
"""

import argparse
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from reports.evidence.comparison import compare_arms
from reports.evidence.gather import gather_evidence
from reports.page.render_html import render_html
from reports.paper.files import paper_files
from reports.tables import build_table
from reports.write import write_report
from tests.cases.results.large_study import METRICS, large_results

Made = TypeVar("Made")
MOST_SECONDS, MOST_GIGABYTES, MOST_MEGABYTES, MOST_OPENING = 20.0, 1.5, 12.0, 2.0


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arms", type=int, default=143)
    parser.add_argument("--candidates", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    results = large_results(arms=options.arms, candidates=options.candidates, seeds=options.seeds)
    print(f"{len(results.cells):,} cells of {options.arms} arms")
    with tempfile.TemporaryDirectory() as folder:
        whole, report = _timed("whole report", lambda: write_report(results, METRICS, Path(folder)))
        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
        page = report.html.stat().st_size / 1e6
        files = sum(path.stat().st_size for path in report.files.values()) / 1e6
        opening = _opening(report.html)
    _, comparison = _timed("comparison", lambda: compare_arms(results, METRICS, seed=0), whole)
    _, evidence = _timed(
        "evidence", lambda: gather_evidence(results, comparison, METRICS, seed=0), whole
    )
    table = build_table(comparison)
    _timed("paper", lambda: paper_files(results, comparison, evidence, table), whole)
    _timed("page", lambda: render_html(results, comparison, evidence, table), whole)
    print(f"largest memory {gigabytes:.2f} GB; page {page:.1f} MB, all files {files:.1f} MB")
    print(
        f"of the targets: {whole / MOST_SECONDS:.2f} of {MOST_SECONDS:g} s, "
        f"{gigabytes / MOST_GIGABYTES:.2f} of {MOST_GIGABYTES:g} GB, "
        f"{page / MOST_MEGABYTES:.2f} of {MOST_MEGABYTES:g} MB"
        + (f", {opening / MOST_OPENING:.2f} of {MOST_OPENING:g} s to open" if opening else "")
    )


def _timed(name: str, work: Callable[[], Made], whole: float | None = None) -> tuple[float, Made]:
    wall, used = time.perf_counter(), time.process_time()
    made = work()
    wall, used = time.perf_counter() - wall, time.process_time() - used
    share = f", {wall / whole:.2f} of it" if whole else ""
    print(f"{name:14} {wall:6.1f} s ({used:.1f} s of the processor{share})")
    return wall, made


def _opening(page: Path) -> float | None:
    """Seconds until the page has loaded; None without Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        return None
    # In a frame, whose time is taken from within: so no start-up of the browser counts.
    probe = page.with_name("probe.html")
    probe.write_text(
        "<iframe id=f></iframe><script>const f=document.getElementById('f');"
        "const t=performance.now();f.onload=()=>{document.title='T'+(performance.now()-t)};"
        "f.src='report.html'</script>"
    )
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
             f"--user-data-dir={profile}", "--timeout=30000", "--dump-dom", probe.as_uri()],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    found = done.stdout.partition("<title>T")[2].partition("<")[0]
    return float(found) / 1000 if found else None


if __name__ == "__main__":
    main()
