"""The HTTP server of `triptych serve`: loopback only, GET and HEAD only, known names only."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from search.serve.frame import message_page, outer_page, own_file
from search.serve.refresh import Refresher
from search.serve.side_servers import LOOPBACK, READY, STARTING

HTML = "text/html; charset=utf-8"
KINDS = {
    ".html": HTML,
    ".csv": "text/csv; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".tex": "text/plain; charset=utf-8",
    ".bib": "text/plain; charset=utf-8",
    ".json": "application/json",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".png": "image/png",
}
OWN = ("serve.js", "serve.css")
# The frame around the report. The report has a policy of its own, as it is also a file; here only
# who may show it in a frame is added.
OUTER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "frame-ancestors 'self'"
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # an SVG brings its styles along
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
OF_US = ("same-origin", "none")  # `Sec-Fetch-Site` of our own pages, and of an address typed in


class PageBeside(Protocol):
    """A page of another program."""

    name: str

    def ask(self) -> tuple[str, str]:
        """How it is, and its address or what is wrong."""


class ReportServer(ThreadingHTTPServer):
    """Serves one study's report."""

    daemon_threads = True

    def __init__(
        self, refresher: Refresher, beside: Mapping[str, PageBeside], port: int = 0
    ) -> None:
        """Bind the port; nothing is answered before `serve_forever`.

        Args:
            refresher: has the report.
            beside: path -> page of another program.
            port: of loopback; 0 = any that is free.

        Raises:
            OSError: the port is taken.
        """
        self.refresher = refresher
        self.beside = beside
        super().__init__((LOOPBACK, port), Handler)

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """What a browser is told."""
        return f"http://{LOOPBACK}:{self.port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a browser that went away in the middle is no news."""


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: ReportServer
    server_version = "triptych"
    sys_version = ""
    timeout = 30  # seconds; of a connection that says nothing

    def do_GET(self) -> None:
        """Answer with a page or a file."""
        if self._is_refused():
            return
        parts = urlsplit(self.path)
        name = unquote(parts.path).removeprefix("/")
        page = self.server.refresher.page
        if name in ("", "index.html"):
            study = str(self.server.refresher.state["study"])
            self._answer(outer_page(study).encode(), HTML, OUTER_POLICY)
        elif name == "state.json":
            self._answer(json.dumps(self.server.refresher.state).encode(), KINDS[".json"])
        elif name in OWN:
            self._answer(own_file(name), KINDS[PurePosixPath(name).suffix])
        elif name in self.server.beside:
            self._lead_to(self.server.beside[name])
        elif name in page.files:  # names of files that were written, not paths of a disk
            kind = KINDS.get(PurePosixPath(name).suffix, "application/octet-stream")
            policy = REPORT_POLICY if kind == HTML else FILE_POLICY
            self._answer(page.files[name], kind, policy)
        else:
            self._say(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_HEAD(self) -> None:
        """The same without its content."""
        self.do_GET()

    def _refuse_method(self) -> None:
        self._say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", {"Allow": "GET, HEAD"})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse_method

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a look every two seconds is no news."""

    def _is_refused(self) -> bool:
        """Whether another site's page asks, by a name that leads here or from within its own."""
        hosts = self.headers.get_all("Host", [])
        port = self.server.port
        ours = {f"{LOOPBACK}:{port}", f"localhost:{port}"}
        if len(hosts) != 1 or hosts[0].strip().lower() not in ours:
            self._say(HTTPStatus.FORBIDDEN, f"ask for {self.server.address}")
            return True
        if self.headers.get("Sec-Fetch-Site", "none") not in OF_US:
            self._say(HTTPStatus.FORBIDDEN, "not for other sites")
            return True
        return False

    def _lead_to(self, neighbour: PageBeside) -> None:
        how, said = neighbour.ask()
        if how == READY:
            self._answer(b"", HTML, status=HTTPStatus.FOUND, more={"Location": said})
        elif how == STARTING:
            page = message_page(neighbour.name, said, again=True)
            self._answer(page.encode(), HTML, OUTER_POLICY)
        else:
            page = message_page(neighbour.name, said)
            self._answer(page.encode(), HTML, OUTER_POLICY, HTTPStatus.SERVICE_UNAVAILABLE)

    def _say(
        self, status: HTTPStatus, sentence: str, more: Mapping[str, str] | None = None
    ) -> None:
        page = message_page(f"{status.value} {status.phrase}", sentence)
        self._answer(page.encode(), HTML, OUTER_POLICY, status, more)

    def _answer(
        self,
        content: bytes,
        kind: str,
        policy: str = "default-src 'none'",
        status: HTTPStatus = HTTPStatus.OK,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        headers = {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "Content-Security-Policy": policy,
            **HEADERS,
            **(more or {}),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
