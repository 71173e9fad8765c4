"""The exceptions that are messages to a user, and not faults of the program."""

from reports.results import ResultsError
from search.ledger.errors import LedgerError
from spaces.core import DataError
from spaces.errors import StudyError
from spaces.fields.declaration import ConfigError

RESUME_NOTE = "everything finished is kept, the same command goes on"
REFUSED_TOKEN = (
    "the cluster at {address} refused the token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH "
    "to a file with the cluster's token (or have it in ~/.ray/auth_token)"
)


class RunError(RuntimeError):
    """Error of an engine that could not start or continue."""


def is_for_the_user(error: Exception) -> bool:
    """Check whether an error's text is all that a user needs: where, what, what is allowed."""
    # One base per package, and no common one: `spaces` and `reports` know nothing of `search`.
    return isinstance(
        error, StudyError | ConfigError | DataError | ResultsError | LedgerError | RunError
    )
