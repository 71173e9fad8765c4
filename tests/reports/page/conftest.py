import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reports.evidence.comparison import compare_arms
from reports.page.render_html import render_html
from reports.results import Results
from reports.tables import build_table
from tests.cases.results import full_study

# Chromium would otherwise look for updates on its own.
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip


@pytest.fixture(scope="session")
def full() -> ModuleType:
    """A study that has something for every section of the page."""
    return full_study


@pytest.fixture(scope="session")
def render(synthetic: ModuleType, full: ModuleType) -> Callable[[Results], str]:
    """Results -> page, with evidence that fills every section."""

    def render(results: Results) -> str:
        comparison = compare_arms(results, synthetic.METRICS, seed=0, draws=200)
        evidence = full.full_evidence(results)
        return render_html(results, comparison, evidence, build_table(comparison))

    return render


@pytest.fixture(scope="session")
def page(
    synthetic: ModuleType,
    full: ModuleType,
    render: Callable[[Results], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The page of the full study, as a file."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render(full.full_results(synthetic.score)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A running browser; skips without one, and fails in CI, which installs it.

    Of a module, not of the session: while it runs, this thread has an event loop, and no test
    could start one of its own.
    """
    program = shutil.which("chromium")
    if program is None:
        missing = "chromium is not installed"
        if os.environ.get("TRIPTYCH_REQUIRE_PROGRAMS"):
            pytest.fail(f"{missing}, and this run was to have it")
        pytest.skip(missing)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


class Opened:
    """A page in the browser, with everything that it complained of or asked for."""

    def __init__(self, browser: Any, path: Path, fragment: str = "", **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(20_000)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self._hear(message.type, message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + fragment)
        self.page.wait_for_selector("html[data-ready]")

    def _hear(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)

    def draw_all(self) -> None:
        """Bring every plot into view, as a reader does who scrolls to the end."""
        for holder in self.page.query_selector_all("[data-plot]"):
            holder.scroll_into_view_if_needed()
            self.page.wait_for_function("e => e.querySelector('.main-svg')", arg=holder)


@pytest.fixture
def open_page(chromium: Any, page: Path) -> Iterator[Callable[..., Opened]]:
    """Opens the full page, or another file: `open_page(fragment, path=..., viewport=...)`."""
    contexts = []

    def open_it(fragment: str = "", *, path: Path = page, **options: Any) -> Opened:
        opened = Opened(chromium, path, fragment, **options)
        contexts.append(opened.context)
        return opened

    yield open_it
    for context in contexts:
        context.close()
