"""Redaction of passwords and tokens in what is written, shown or sent. Standard library only."""

import os
import re
from urllib.parse import quote

HIDDEN = "***"
MOST_TEXT = 4000  # characters that are kept of a reason or a log; MLflow takes 8000 in a tag
SHORTEST = 8  # characters of a value of the environment that is worth hiding
SECRET_NAMES = ("TOKEN", "PASSWORD", "SECRET", "KEY")  # how their variables end
_NAMED = r"(?:[a-z]+[-_])?(?:token|api[-_]?key|password|passwd|secret|secret[-_]key|access[-_]key)"
# Greedy up to the last @: a password may hold one, as it may hold a colon or a slash.
_USER_AND_PASSWORD = re.compile(r"(://[^\s/:@\"'<>]*):[^\s\"'<>]*@")
_ONLY_USER = re.compile(r"(https?://)[^\s/:@\"'<>]+@", re.IGNORECASE)
_QUERY = re.compile(rf"((?<![\w-]){_NAMED}=)[^\s&;,\"'<>]+", re.IGNORECASE)
_QUERY_PART = re.compile(rf"(?<=[?&]){_NAMED}=[^&#]*&?", re.IGNORECASE)
_HEADER = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def without_secrets(text: str) -> str:
    """Replace what must stay secret in a text by `***`.

    That is `user:password@` in an address, the value of `token=`, `api_key=` and the like, what
    follows `Bearer` and `Basic`, and wherever they occur the values of environment variables
    whose names end in TOKEN, PASSWORD, SECRET or KEY.
    """
    # Values first: a pattern could replace a part of one, which would then not be found any more.
    for value in _values_of_the_environment():
        text = text.replace(value, HIDDEN)
    text = _USER_AND_PASSWORD.sub(rf"\1:{HIDDEN}@", text)
    text = _ONLY_USER.sub(rf"\1{HIDDEN}@", text)
    text = _QUERY.sub(rf"\1{HIDDEN}", text)
    return _HEADER.sub(rf"\1 {HIDDEN}", text)


def without_password(uri: str) -> str:
    """Remove the password from an address, so that it can be kept and still leads there.

    Args:
        uri: Address such as `http://me:secret@host:5000`, which becomes `http://me@host:5000`.
    """
    bare = _QUERY_PART.sub("", _USER_AND_PASSWORD.sub(r"\1@", uri))
    return uri if bare == uri else bare.rstrip("?&")


def shorten_reason(text: str) -> str:
    """Shorten a reason to its beginning, as every report and every store has it."""
    return _storable_text(text)[:MOST_TEXT]


def shorten_log(text: str) -> str:
    """Shorten a log to its end, as every report and every store has it."""
    return _storable_text(text)[-MOST_TEXT:]


def _storable_text(text: str) -> str:
    """Make a text that every database takes, without secrets."""
    # PostgreSQL refuses NUL, and UTF-8 has no half of a surrogate pair.
    text = without_secrets(text).replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text.encode("utf-8", "replace").decode("utf-8")


def _values_of_the_environment() -> list[str]:
    """Return what to hide, the longest first: one value may hold another."""
    values = {
        value
        for name, value in os.environ.items()
        if name.upper().endswith(SECRET_NAMES) and len(value) >= SHORTEST
    }
    return sorted(values | {quote(value, safe="") for value in values}, key=len, reverse=True)
