"""How a run is stopped from outside: Ctrl-C and SIGTERM, once gently and twice at once."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

GRACE_SECONDS = {signal.SIGINT: 30.0, signal.SIGTERM: 15.0}  # for packs that are nearly done
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
AGAIN = {
    signal.SIGINT: "once more stops at once",
    signal.SIGTERM: "a second one stops at once",
}


class Stop:
    """Whether somebody asked the run to stop."""

    def __init__(
        self, say: Callable[[str], None] = lambda message: None, grace_seconds: float | None = None
    ) -> None:
        """Nobody has.

        Args:
            say: tells a person that it was heard.
            grace_seconds: for packs that are nearly done; None = as `GRACE_SECONDS`.
        """
        self._say = say
        self._grace_seconds = grace_seconds
        self.reason = ""  # what asked, empty if nothing did
        self.until = float("inf")  # `time.monotonic()` after which nothing is waited for

    def __bool__(self) -> bool:
        return bool(self.reason)

    def ask(self, number: int, frame: FrameType | None = None) -> None:
        """A signal came.

        Raises:
            KeyboardInterrupt: it was not the first.
        """
        if self.reason:
            raise KeyboardInterrupt
        known = signal.Signals(number)
        self.reason = NAMES[known]
        given = self._grace_seconds
        seconds = GRACE_SECONDS[known] if given is None else given
        self.until = time.monotonic() + seconds
        self._say(
            f"{self.reason}: no more work is handed out; what is nearly done is waited for "
            f"({seconds:.0f} s at most), {AGAIN[known]}"
        )

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to Ctrl-C and SIGTERM, as far as this thread may."""
        before = {number: signal.getsignal(number) for number in NAMES}
        self.listen()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def listen(self) -> None:
        """Listen again: Ray puts a handler of its own in place when it starts."""
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                signal.signal(number, self.ask)
