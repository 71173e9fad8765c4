"""What the page carries inside: styles, scripts, plotly.js; and the policy that proves it."""

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

SCRIPTS = ("decode.js", "tables.js", "figures.js", "cells.js", "cell_view.js", "start.js")
STYLES = ("page.css", "parts.css", "print.css")


def read(name: str) -> str:
    """Read a style, a script or a template of the page."""
    folder = "templates" if name.endswith(".j2") else "static"
    return files("reports.page").joinpath(folder, name).read_text(encoding="utf-8")


def styles() -> str:
    """All styles."""
    return "\n".join(read(name) for name in STYLES)


def script() -> str:
    """The page's own script: one scope, so that nothing is global."""
    return "(() => {\n'use strict';\n" + "\n".join(read(name) for name in SCRIPTS) + "\n})();"


@cache
def plotly_script() -> str:
    """plotly.js, whole. The page runs it when a figure is to be drawn."""
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")


def packed(text: str) -> str:
    """Text as base64 of gzip: half a page's size, and nothing in it that HTML could read.

    The time is left out, so that the same text gives the same bytes.
    """
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 9, mtime=0)).decode("ascii")


@cache
def packed_plotly() -> str:
    """plotly.js, packed once a process."""
    return packed(plotly_script())


def compact_json(value: Any) -> str:
    """JSON without spaces; NaN is refused, as no browser reads it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def policy(*scripts: str) -> str:
    """A content security policy: these scripts run and no other, and no request leaves the page.

    So a script that came in with the text of a study would not run even if it were not escaped.
    """
    hashes = " ".join(f"'sha256-{_digest(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
