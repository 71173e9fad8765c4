"""The HTTP server of `triptych serve`: loopback only, GET and HEAD only, known names only."""

import json
import socket
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from pathlib import Path, PurePosixPath

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from search.errors import RunError
from search.serve.companion_servers import LOOPBACK, CompanionServer
from search.serve.refresh import Refresher

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
# The frame around the report, a slim bar, and the script that renews both.
OWN_FILES = {"": "serve.html", "index.html": "serve.html", "serve.js": "serve.js",
             "serve.css": "serve.css"}  # fmt: skip
# The frame around the report. The report has a policy of its own, as it is also a file; here only
# who may show it in a frame is added.
OUTER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = "frame-ancestors 'self'"
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # an SVG brings its styles along
HEADERS = {
    "Server": "triptych",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
OWN_SITES = ("same-origin", "none")  # `Sec-Fetch-Site` of our own pages, and of an address typed in


class ReportServer(uvicorn.Server):
    """The server of one study's report.

    Attributes:
        port: Port of loopback that is bound.
        address: Address of the page for a browser.
    """

    def __init__(
        self, refresher: Refresher, companions: Mapping[str, CompanionServer], port: int = 0
    ) -> None:
        """Bind the port; nothing is answered before `run`.

        Args:
            refresher: Source of the report.
            companions: Path -> companion server.
            port: Port of loopback; 0 = any that is free.

        Raises:
            OSError: the port is taken.
        """
        self._refresher = refresher
        self._companions = companions
        # Bound here and not by uvicorn, which would log the error and end this process.
        self._socket = socket.create_server((LOOPBACK, port))
        self.port = int(self._socket.getsockname()[1])
        self.address = f"http://{LOOPBACK}:{self.port}/"
        super().__init__(
            uvicorn.Config(
                self._serve_request,
                interface="asgi3",
                http="h11",  # which refuses a request with two `Host` headers
                ws="none",
                lifespan="off",
                # The page polls every two seconds, and browsers go away midway: both are no news.
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                headers=list(HEADERS.items()),
                timeout_graceful_shutdown=5,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `should_exit` is set or a signal comes."""
        super().run(sockets=[self._socket] if sockets is None else sockets)

    async def _serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        # In a thread: a companion server may take half a second, and others poll meanwhile.
        response = await run_in_threadpool(self._answer_request, Request(scope))
        await response(scope, receive, send)

    def _answer_request(self, request: Request) -> Response:
        name = request.scope["path"].removeprefix("/")
        page = self._refresher.page
        if request.method not in ("GET", "HEAD"):
            return _refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD", Allow="GET, HEAD")
        # Any page in a browser can send requests to loopback, also by a host name of its own that
        # leads here (DNS rebinding).
        own_hosts = (f"{LOOPBACK}:{self.port}", f"localhost:{self.port}")
        if request.headers.get("Host", "").lower() not in own_hosts:
            return _refuse(HTTPStatus.FORBIDDEN, f"ask for {self.address}")
        if request.headers.get("Sec-Fetch-Site", "none") not in OWN_SITES:
            return _refuse(HTTPStatus.FORBIDDEN, "not for other sites")
        if name in OWN_FILES:
            own = Path(__file__).with_name(OWN_FILES[name])
            return _respond(own.read_bytes(), KINDS[own.suffix], OUTER_POLICY)
        kind = KINDS.get(PurePosixPath(name).suffix, "application/octet-stream")
        if name == "state.json":
            return _respond(json.dumps(self._refresher.state), kind)
        if name in self._companions:
            return _answer_companion(self._companions[name])
        # Names of files that were written, not paths of a disk: nothing can lead out of them.
        if name in page.files:
            return _respond(page.files[name], kind, REPORT_POLICY if kind == HTML else FILE_POLICY)
        return _refuse(HTTPStatus.NOT_FOUND, "there is no such page")


def _answer_companion(companion: CompanionServer) -> Response:
    try:
        address = companion.poll_page()
    except RunError as error:
        return _respond_message(HTTPStatus.SERVICE_UNAVAILABLE, companion.name, str(error))
    if address is not None:
        return _respond("", HTML, status=HTTPStatus.FOUND, Location=address)
    # The browser asks again in a second.
    starting = f"{companion.name} is starting"
    return _respond_message(HTTPStatus.OK, companion.name, starting, Refresh="1")


def _refuse(status: HTTPStatus, sentence: str, **headers: str) -> Response:
    return _respond_message(status, f"{status.value} {status.phrase}", sentence, **headers)


def _respond_message(status: HTTPStatus, title: str, message: str, **headers: str) -> Response:
    """Respond with a page of one sentence."""
    page = (
        f'<!doctype html><html lang="en"><head><title>{escape(title)}</title>'
        '<link rel="stylesheet" href="/serve.css"></head>'
        f'<body><p id="empty">{escape(message)}</p></body></html>'
    )
    return _respond(page, HTML, OUTER_POLICY, status, **headers)


def _respond(
    content: str | bytes,
    kind: str,
    policy: str = "default-src 'none'",
    status: HTTPStatus = HTTPStatus.OK,
    **headers: str,
) -> Response:
    headers |= {"Content-Type": kind, "Content-Security-Policy": policy}
    return Response(content, status_code=status, headers=headers)
