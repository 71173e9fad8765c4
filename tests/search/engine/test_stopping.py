"""Ctrl-C and SIGTERM."""

import os
import signal
import time

import pytest

from search.engine.stopping import GRACE_SECONDS, StopRequest


@pytest.mark.parametrize("number", list(GRACE_SECONDS))
def test_once_is_gentle_and_twice_is_at_once(number: signal.Signals) -> None:
    said: list[str] = []
    stop = StopRequest(said.append)
    with stop.on_signals():
        assert not stop and stop.until == float("inf")
        os.kill(os.getpid(), number)
        assert stop and "is waited for" in said[0]
        assert 0 < stop.until - time.monotonic() <= GRACE_SECONDS[number]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert len(said) == 1


def test_the_grace_can_be_given() -> None:
    stop = StopRequest(grace_seconds=2.0)
    stop.handle_signal(signal.SIGTERM)
    assert 0 < stop.until - time.monotonic() <= 2.0


def test_afterwards_signals_are_what_they_were() -> None:
    before = [signal.getsignal(number) for number in GRACE_SECONDS]
    with StopRequest().on_signals():
        pass
    assert [signal.getsignal(number) for number in GRACE_SECONDS] == before
