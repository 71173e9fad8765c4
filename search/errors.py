"""Which exceptions are messages to a user, and not faults of the program."""

from msa_core.config import ConfigError
from msa_core.data.dataset import DataError
from reports.results import ResultsError
from search.ledger import LedgerError
from spaces.errors import StudyError


class RunError(RuntimeError):
    """The engine could not start or go on."""


def is_for_the_user(error: Exception) -> bool:
    """Whether its text says it all: where, what, what is allowed."""
    return isinstance(
        error, StudyError | ConfigError | DataError | ResultsError | LedgerError | RunError
    )
