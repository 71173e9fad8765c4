"""The console of commands: how and where lines are printed."""

from rich.console import Console

AUTO, PLAIN, JSON = "auto", "plain", "json"


def print_line(console: Console, message: str) -> None:
    """Print a line as it is."""
    # Names of arms and files may hold brackets, which rich would take for markup, and the lines of
    # a log must not be broken at 80 characters.
    console.print(message, markup=False, highlight=False, soft_wrap=True)


def console_of(mode: str) -> Console:
    """Return the console for text: in `json` mode standard error."""
    # Then standard output is read by a program, which must find nothing but JSON in it.
    return Console(stderr=mode == JSON)
