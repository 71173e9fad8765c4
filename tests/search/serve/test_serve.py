"""`triptych serve`: a real server on loopback, what it answers and what it refuses."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from msa_core.data.dataset import Dataset
from search.errors import RunError
from search.ledger.ledger import Ledger, read_full_records
from search.ledger.lines import LEDGER
from search.provenance import current_versions
from search.results.folder import keep_study
from search.serve.companion_servers import CompanionServer
from search.serve.refresh import REST_FACTOR, Refresher
from search.serve.server import ReportServer
from spaces.plan.plan import plan_study
from spaces.study_file.load import load_study
from tests.cases.studies.in_process import run_here
from tests.cases.studies.whole_runs import TRIPTYCH, wait_for

Answer = tuple[int, Message, bytes]


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, small_study_text: str, small_data: Dataset
) -> Path:
    """The results folder of the small study, trained in this process."""
    workdir = tmp_path_factory.mktemp("finished")
    (workdir / "study.yaml").write_text(small_study_text, encoding="utf-8")
    study = load_study(workdir / "study.yaml")
    folder = workdir / "runs" / study.name
    run_here(plan_study(study, current_versions(study.core, small_data)), small_data, folder)
    keep_study(folder, study)
    return folder


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "runs" / finished.name))


def cut(folder: Path, cells: int) -> list[str]:
    """Leave a folder with so many cells; the lines of the others."""
    whole = list(read_full_records(folder))
    (folder / LEDGER).unlink()
    with Ledger(folder) as ledger:
        ledger.append(whole[:cells])
        (folder / LEDGER).touch()
        kept = (folder / LEDGER).read_bytes()
        ledger.append(whole[cells:])
        rest = (folder / LEDGER).read_bytes()[len(kept) :]
    (folder / LEDGER).write_bytes(kept)
    return [rest.decode()]


class Served:
    """A server of a folder, in threads of this process."""

    def __init__(self, folder: Path, **companions: CompanionServer) -> None:
        self.refresher = Refresher(folder, poll_seconds=0.02, least_seconds=0.02)
        self.server = ReportServer(self.refresher, companions)
        self.thread = threading.Thread(target=self.server.run)
        self.refresher.start()
        self.thread.start()

    def close(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.refresher.stop()

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answer:
        """One request, its path sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def state(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.ask("/state.json")[2])
        return found

    def wait(self, version: int) -> None:
        wait_for(lambda: self.state()["version"] == version, 60, f"version {version}")


@pytest.fixture(scope="module")
def served(finished: Path) -> Iterator[Served]:
    """A server of the finished study, for whoever only asks."""
    one = Served(finished)
    one.wait(1)
    yield one
    one.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    opened: list[Served] = []

    def begin(folder: Path, **companions: CompanionServer) -> Served:
        opened.append(Served(folder, **companions))
        return opened[-1]

    yield begin
    for one in opened:
        one.close()


def test_the_report_is_served_in_a_frame_and_nothing_is_written(
    finished: Path, serve: Callable[..., Served]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    served = serve(finished)
    served.wait(1)
    status, headers, page = served.ask("/")
    assert status == 200 and b"/serve.js" in page and b"<h1" in page
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    status, headers, report = served.ask("/report.html?version=1")
    assert status == 200 and b"Does text matter?" in report
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, headers, csv = served.ask("/cells.csv")
    assert headers["Content-Type"].startswith("text/csv") and csv.startswith(b"key,arm,phase")
    state = served.state()
    assert (state["done"], state["total"], state["sentence"]) == (20, 20, "finished")
    assert state["sealed"] is False and state["problem"] == ""
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_the_report_is_renewed_when_the_ledger_grows_and_sealed_until_the_end(
    copied: Path, serve: Callable[..., Served]
) -> None:
    (rest,) = cut(copied, 17)
    served = serve(copied)
    served.wait(1)
    first = served.state()
    assert first["sealed"] is True and first["done"] == 17 and "finished" not in first["sentence"]
    assert b"metric.test.mae" not in served.ask("/cells.csv")[2].split(b"\n")[0]
    with (copied / LEDGER).open("a", encoding="utf-8") as ledger:
        ledger.write(rest)
    served.wait(2)
    last = served.state()
    assert last["sealed"] is False and last["done"] == 20
    assert b"metric.test.mae" in served.ask("/cells.csv")[2].split(b"\n")[0]
    time.sleep(0.2)
    assert served.state()["version"] == 2  # nothing new, nothing made
    assert not (copied / "report").exists()


def test_a_study_with_nothing_yet_says_so_and_fills_itself(
    finished: Path, tmp_path: Path, serve: Callable[..., Served]
) -> None:
    folder = tmp_path / "runs" / "small"
    served = serve(folder)
    state = served.state()
    assert state["version"] == 0 and "nothing has been run yet" in str(state["sentence"])
    assert served.ask("/")[0] == 200 and served.ask("/report.html")[0] == 404
    shutil.copytree(finished, folder)
    served.wait(1)
    assert served.ask("/report.html")[0] == 200


def test_a_study_without_a_finished_cell_has_a_report_too(
    copied: Path, serve: Callable[..., Served]
) -> None:
    cut(copied, 0)
    served = serve(copied)
    served.wait(1)
    assert (served.state()["done"], served.state()["problem"]) == (0, "")
    assert served.state()["sealed"] is True


def test_a_damaged_folder_leaves_the_last_report_and_says_what_is_wrong(
    copied: Path, serve: Callable[..., Served]
) -> None:
    served = serve(copied)
    served.wait(1)
    (copied / "plan.json").write_text("{")
    wait_for(lambda: served.state()["problem"], 30, "the problem")
    assert "is damaged" in str(served.state()["problem"])
    assert served.state()["version"] == 1 and served.ask("/report.html")[0] == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1"]
)
def test_another_host_name_is_refused(served: Served, host: str) -> None:
    name = host.format(port=served.server.port)
    assert [served.ask(path, Host=name)[0] for path in ("/", "/state.json", "/mlflow")] == [403] * 3
    assert served.ask("/", Host=f"localhost:{served.server.port}")[0] == 200


def test_pages_of_other_sites_are_refused(served: Served) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200)):
        assert served.ask("/state.json", Sec_Fetch_Site=site)[0] == status


@pytest.mark.parametrize(
    "path",
    [
        "/../plan.json", "/plan.json", "/%2e%2e/plan.json", "/..%2f..%2fstudy.yaml", "//etc/passwd",
        "/etc/passwd", "/report.html/../../plan.json", "/report.html%00.csv", "/ledger.jsonl",
        "/serve.py", "/./serve.js", "/..\\plan.json", "/C:/windows", "/%",
    ],
)  # fmt: skip
def test_nothing_but_known_names_is_served(served: Served, path: str) -> None:
    assert served.ask(path)[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_get_and_head_are_answered(served: Served, method: str) -> None:
    status, headers, _ = served.ask("/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_head_has_no_content(served: Served) -> None:
    status, headers, content = served.ask("/", "HEAD")
    assert (status, content) == (200, b"") and int(headers["Content-Length"]) > 0


def test_a_report_rests_for_longer_the_longer_it_takes(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = [0.0]
    made: list[float] = []

    def make(self: Refresher) -> None:
        made.append(moments[0])
        moments[0] += 10.0  # that it takes

    monkeypatch.setattr(Refresher, "_make_report", make)
    refresher = Refresher(copied, least_seconds=3.0, clock=lambda: moments[0])
    for _ in range(200):
        with (copied / "openings.jsonl").open("a") as file:
            file.write("\n")
        refresher.poll_folder()
        moments[0] += 1.0
    assert made[:3] == [0.0, 10 + REST_FACTOR * 10, 2 * (10 + REST_FACTOR * 10)]


def test_a_page_beside_is_started_once_and_ended_with_what_it_started(
    finished: Path, serve: Callable[..., Served], tmp_path: Path
) -> None:
    code = (
        "import http.server, os, subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'a').write(f'{{os.getpid()}} {{child.pid}}\\n')\n"
        "address = ('127.0.0.1', int(sys.argv[1]))\n"
        "http.server.HTTPServer(address, http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    )
    page = CompanionServer("MLflow", lambda: lambda port: [sys.executable, "-c", code, str(port)])
    served = serve(finished, mlflow=page)
    try:
        assert not (tmp_path / "pids").exists()  # nobody has asked
        status, headers, _ = served.ask("/mlflow")
        assert (status, headers["Refresh"]) == (200, "1")
        wait_for(lambda: served.ask("/mlflow")[0] == 302, 60, "its page")
        where = urlsplit(served.ask("/mlflow")[1]["Location"])
        assert where.hostname == "127.0.0.1" and where.port not in (None, served.server.port)
    finally:
        page.close()
    (line,) = (tmp_path / "pids").read_text().splitlines()
    wait_for(lambda: not any(is_alive(int(number)) for number in line.split()), 20, "their end")
    with pytest.raises(RunError, match="is ending"):
        page.poll_page()


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_page_that_can_not_be_started_says_so(
    finished: Path, serve: Callable[..., Served]
) -> None:
    ends = CompanionServer(
        "MLflow", lambda: lambda port: [sys.executable, "-c", "raise SystemExit(3)"]
    )
    absent = CompanionServer("Optuna", lambda: lambda port: ["/nowhere/at/all"])
    served = serve(finished, mlflow=ends, optuna=absent)
    wait_for(lambda: served.ask("/mlflow")[0] == 503, 20, "its end")
    status, _, page = served.ask("/optuna")
    assert status == 503 and b"can&#x27;t be started" in page


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_its_address_and_ends_cleanly(
    finished: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [str(TRIPTYCH), "serve", str(finished), "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    ) as run:  # fmt: skip
        try:
            assert run.stdout is not None
            line = run.stdout.readline()
            address = urlsplit(next(word for word in line.split() if word.startswith("http://")))
            assert address.hostname == "127.0.0.1" and address.port
            connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=20)
            connection.request("GET", "/")
            assert connection.getresponse().status == 200
            connection.close()
            run.send_signal(number)
            _, errors = run.communicate(timeout=60)
            assert (run.returncode, errors) == (0, "")
        finally:
            run.kill()


def test_a_port_that_is_taken_is_wrong_input(finished: Path, serve: Callable[..., Served]) -> None:
    port = serve(finished).server.port
    result = subprocess.run(
        [str(TRIPTYCH), "serve", str(finished), "--no-browser", "--port", str(port)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 2 and f"port {port} of this machine can't be used" in result.stderr


def test_an_open_page_renews_itself_and_keeps_its_place(
    copied: Path, serve: Callable[..., Served], program: Callable[[str], str]
) -> None:
    chromium = program("chromium")
    playwright = pytest.importorskip("playwright.sync_api")
    (rest,) = cut(copied, 17)
    served = serve(copied)
    served.wait(1)
    said: list[str] = []
    asked: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 900, "height": 500})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(served.server.address)
        shown = "iframe:not(.waiting)"
        page.wait_for_selector(shown, timeout=30_000)
        assert page.locator("#count").inner_text() == "17 of 20 cells"
        assert page.locator("#sealed").is_visible()
        page.frames[1].evaluate("scrollTo({top: 700, behavior: 'instant'})")
        place = page.frames[1].evaluate("scrollY")
        assert place > 0
        with (copied / LEDGER).open("a", encoding="utf-8") as ledger:
            ledger.write(rest)
        page.wait_for_selector(f"{shown}[src*='version=2']", timeout=30_000)
        wait_for(lambda: page.locator("iframe").count() == 1, 30, "the end of the old frame")
        assert page.locator("#sealed").is_hidden()
        assert page.frames[-1].evaluate("scrollY") == place
        assert page.locator("#sentence").inner_text() == "finished"
        served.server.should_exit = True
        served.thread.join()
        ended = page.get_by_text("the server has ended")
        ended.wait_for(timeout=30_000)
        browser.close()
    assert all(url.startswith((served.server.address, "data:", "blob:", "about:")) for url in asked)
    assert [text for text in said if "ERR_CONNECTION_REFUSED" not in text] == []
