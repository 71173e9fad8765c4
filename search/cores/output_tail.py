"""The end of what a process prints: a pipe, of which only the last bytes are kept."""

import os
import threading

MOST_BYTES = 64 * 1024


class OutputTail:
    """A pipe whose reader keeps the last bytes, however much is written."""

    def __init__(self) -> None:
        """Open the pipe, and read it in a thread."""
        self._read_end, self.write_end = os.pipe()
        self._kept = b""
        self._reader = threading.Thread(target=self._read_on, daemon=True)
        self._reader.start()

    def close_write_end(self) -> None:
        """Close this process's own end, once another one has it."""
        os.close(self.write_end)

    def text(self, wait_seconds: float = 0.0) -> str:
        """Return the end of the output as text.

        Args:
            wait_seconds: Longest wait for the last writer to close its end, in seconds.
        """
        self._reader.join(wait_seconds)
        return self._kept.decode("utf-8", errors="replace")

    def _read_on(self) -> None:
        with os.fdopen(self._read_end, "rb", buffering=0) as stream:
            while part := stream.read(MOST_BYTES):
                self._kept = (self._kept + part)[-MOST_BYTES:]
