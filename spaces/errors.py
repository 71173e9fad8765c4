"""Errors of a study: their place, what is wrong, and what to do."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from spaces.fields.declaration import ConfigError

LONGEST_MESSAGE = 1500
P = ParamSpec("P")
R = TypeVar("R")


class StudyError(ValueError):
    """A mistake in a study file or in a `--set`; the message gives where, what and what to do."""


def error_at(where: str, message: str) -> StudyError:
    """Create an error with its place in front: `pairs.yaml:14: search: ...`."""
    return StudyError(_one_line(_shorten_text(f"{where}: {message}")))


def _one_line(text: str) -> str:
    # Names and values of the file stand in messages; a control character among them would break the
    # line, or the terminal.
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _shorten_text(text: str) -> str:
    # A message may show a value, and a file may have a value of ten thousand lines. The end stays
    # too: it names what to do.
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE - 300]} ... {text[-295:]}"


def check_at(where: str, part: str, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a check of the configuration, and put the place into its error.

    Args:
        where: Place of what is checked, e.g. `pairs.yaml:14`.
        part: Part of the study that is checked, e.g. `search`.
        check: Function that raises a `ConfigError`.
        *args: Arguments of the check.
        **kwargs: Arguments of the check by name.

    Raises:
        StudyError: The check failed.
    """
    try:
        return check(*args, **kwargs)
    except ConfigError as error:
        raise error_at(where, f"{part}: {error}") from None
