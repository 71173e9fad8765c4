"""What can be wrong with a study, said once and clearly."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from msa_core.config import ConfigError

P = ParamSpec("P")
R = TypeVar("R")


class StudyError(ValueError):
    """A mistake in a study file or in a `--set`; the message says where, what and what to do."""


def at(where: str, message: str) -> StudyError:
    """An error with its place in front: `pairs.yaml:14: search: ...`."""
    return StudyError(f"{where}: {message}")


def located(where: str, part: str, check: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call a check of the configuration and give its error a place."""
    try:
        return check(*args, **kwargs)
    except ConfigError as error:
        raise at(where, f"{part}: {error}") from None
