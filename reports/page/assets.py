"""Styles, scripts and plotly.js that the page holds, and the policy that allows no others."""

import base64
import gzip
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from plotly.offline import get_plotlyjs

# Joined in this order: the last one starts what the others define.
SCRIPTS = ("decode.js", "tables.js", "figures.js", "cells.js", "cell_view.js", "start.js")
STYLES = ("page.css", "parts.css", "print.css")


def read_asset(name: str) -> str:
    """Read a style, a script or a template of the page."""
    folder = "templates" if name.endswith(".j2") else "static"
    return files("reports.page").joinpath(folder, name).read_text(encoding="utf-8")


def page_styles() -> str:
    """Join all styles of the page."""
    return "\n".join(read_asset(name) for name in STYLES)


def page_script() -> str:
    """Join the page's own scripts into one."""
    # One function around all of them, so that nothing is global.
    return "(() => {\n'use strict';\n" + "\n".join(read_asset(name) for name in SCRIPTS) + "\n})();"


@cache
def plotly_script() -> str:
    """Return the whole of plotly.js, which the page runs when the first figure is to be drawn."""
    # Line ends that HTML would normalise are \n from the start: the policy has the script's hash.
    return str(get_plotlyjs()).replace("\r\n", "\n").replace("\r", "\n")


def pack_text(text: str) -> str:
    """Return a text as base64 of gzip: a page of half the size, with nothing that HTML reads."""
    # No time in the header of gzip: the same text gives the same bytes.
    return base64.b64encode(gzip.compress(text.encode("utf-8"), 9, mtime=0)).decode("ascii")


@cache
def packed_plotly() -> str:
    """Return plotly.js packed, which is done once per process: it is 4.8 MB of code."""
    return pack_text(plotly_script())


def compact_json(value: Any) -> str:
    """Write JSON without spaces; NaN is refused, as no browser reads it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def security_policy(*scripts: str) -> str:
    """Return a content security policy: only these scripts run, and no request leaves the page.

    So a script that came in with the text of a study would not run even if it were not escaped.
    """
    hashes = " ".join(f"'sha256-{_hash_script(text)}'" for text in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash_script(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
