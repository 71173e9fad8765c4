"""What is printed for a person, line by line."""

from rich.console import Console

AUTO, PLAIN, JSON = "auto", "plain", "json"


def say(console: Console, message: str) -> None:
    """One line as it is: no markup in it, no wrapping."""
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def console_of(mode: str) -> Console:
    """Where a person reads: in `json` mode standard error, for standard output is a program's."""
    return Console(stderr=mode == JSON)
