"""Errors in the user's code, shown as the user's: file, line, their traceback, and none of ours."""

import traceback
from collections.abc import Iterable
from pathlib import Path

OURS = str(Path(__file__).parent)


class CodeMistake(Exception):
    """A mistake in the user's code; the message is one line and has place and remedy.

    Attributes:
        line: Line of the file; 0 if none is to blame.
    """

    def __init__(self, message: str, line: int = 0) -> None:
        """Create a mistake at a line."""
        super().__init__(message)
        self.line = line


def user_traceback(error: BaseException) -> str:
    """Return the traceback of an error without the frames of this folder."""
    found = traceback.TracebackException.from_exception(error)
    _drop_our_frames(found)
    return "".join(found.format())


def describe_error(error: BaseException, folder: Path) -> str:
    """Return an error in one line: the last line of the user's that led to it, and what it was.

    Args:
        error: Error that the user's code raised.
        folder: Folder of the user's code.
    """
    what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or '').name}:{error.lineno}: SyntaxError: {error.msg}"
    if isinstance(error, ImportError) and "attempted relative import" in str(error):
        what += "; the file is in no package: write 'import module' for a module beside it"
    if isinstance(error, EOFError) and "reading a line" in str(error):
        what = "input() was called, and there is nobody to answer; make it a field"
    place = _user_place(error, folder)
    return " ".join(f"{place}{what}".split())


def _user_place(error: BaseException, folder: Path) -> str:
    """Return `file:line: ` of the innermost frame in a folder; empty if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    if not inside:
        return ""
    return f"{Path(inside[-1].filename).relative_to(folder).as_posix()}:{inside[-1].lineno}: "


def _drop_our_frames(found: traceback.TracebackException) -> None:
    for one in _chain_of(found):
        kept = [frame for frame in one.stack if not frame.filename.startswith(OURS)]
        one.stack = traceback.StackSummary.from_list(kept)


def _chain_of(found: traceback.TracebackException) -> Iterable[traceback.TracebackException]:
    waiting: list[traceback.TracebackException | None] = [found]
    while waiting:
        one = waiting.pop()
        if one is not None:
            yield one
            waiting += [one.__cause__, one.__context__]
