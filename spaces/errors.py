"""What can be wrong with a study, said once and clearly."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from msa_core.config.schema import ConfigError

LONGEST_MESSAGE = 1500
P = ParamSpec("P")
R = TypeVar("R")


class StudyError(ValueError):
    """A mistake in a study file or in a `--set`; the message says where, what and what to do."""


def at(where: str, message: str) -> StudyError:
    """An error with its place in front: `pairs.yaml:14: search: ...`."""
    return StudyError(_one_line(_shortened(f"{where}: {message}")))


def _one_line(text: str) -> str:
    """A text with whatever would break the line, or the terminal, written as an escape."""
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)


def _shortened(text: str) -> str:
    """A message may show a value, and a file may have a value of ten thousand lines."""
    if len(text) <= LONGEST_MESSAGE:
        return text
    return f"{text[: LONGEST_MESSAGE - 300]} ... {text[-295:]}"


def located(where: str, part: str, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a check of the configuration and give its error a place."""
    try:
        return check(*args, **kwargs)
    except ConfigError as error:
        raise at(where, f"{part}: {error}") from None
