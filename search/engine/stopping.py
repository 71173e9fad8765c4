"""Stopping a run from outside, by Ctrl-C or SIGTERM: the first gently, the second at once."""

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


class StopRequest:
    """The request to stop a run; true once there was one."""

    def __init__(
        self, say: Callable[[str], None] = lambda message: None, grace_seconds: float | None = None
    ) -> None:
        """Start without a request.

        Args:
            say: Function that prints a line when a request comes.
            grace_seconds: Seconds that nearly finished packs get; None = as `GRACE_SECONDS`.
        """
        self._say = say
        self._grace_seconds = grace_seconds
        self.reason = ""  # name of the signal; empty while there was none
        self.until = float("inf")  # `time.monotonic()` after which nothing is waited for

    def __bool__(self) -> bool:
        return bool(self.reason)

    def handle_signal(self, number: int, frame: FrameType | None = None) -> None:
        """Take a signal as a request to stop.

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
        """Handle Ctrl-C and SIGTERM inside, if this is the main thread."""
        before = {number: signal.getsignal(number) for number in NAMES}
        self.install_handlers()
        try:
            yield
        finally:
            if threading.current_thread() is threading.main_thread():
                for number, handler in before.items():
                    signal.signal(number, handler)

    def install_handlers(self) -> None:
        """Install the handlers; once more after Ray has started, which installs its own."""
        # Python lets no other thread set handlers.
        if threading.current_thread() is threading.main_thread():
            for number in NAMES:
                signal.signal(number, self.handle_signal)
