"""A block of code that takes too long is interrupted, and nothing of the alarm is left."""

import signal
import threading
import time
from contextlib import suppress

import pytest

from msa_core.training.time_limit import limit_time
from spaces.failures import EpochTimeout


@pytest.fixture(autouse=True)
def no_alarm_before_or_after():
    before = signal.getsignal(signal.SIGALRM)
    timer = signal.getitimer(signal.ITIMER_REAL)  # pytest-timeout's own
    yield
    assert signal.getsignal(signal.SIGALRM) is before
    assert bool(signal.getitimer(signal.ITIMER_REAL)[0]) == bool(timer[0])


def endless():
    while True:
        pass


@pytest.mark.parametrize("hang", [endless, lambda: time.sleep(600), threading.Lock])
def test_a_hang_is_interrupted(hang):
    if hang is threading.Lock:
        lock = threading.Lock()
        lock.acquire()
        hang = lock.acquire
    with pytest.raises(EpochTimeout, match=r"longer than 0\.05 s"), limit_time(0.05):
        hang()


@pytest.mark.parametrize("seconds", [None, 600.0])
def test_a_block_that_is_in_time_is_left_alone(seconds):
    with limit_time(seconds):
        done = True
    assert done
    with pytest.raises(KeyError), limit_time(seconds):
        raise KeyError("its own")


def test_an_alarm_from_before_goes_on():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    timer = signal.setitimer(signal.ITIMER_REAL, 500.0, 7.0)
    try:
        with suppress(EpochTimeout), limit_time(0.01):
            endless()
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left < 500.0
        assert interval == 7.0
        signal.raise_signal(signal.SIGALRM)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def test_a_limit_in_a_limit_counts_by_itself():
    with pytest.raises(EpochTimeout, match=r"longer than 0\.1 s"), limit_time(0.1):
        with suppress(EpochTimeout), limit_time(0.01):
            endless()
        endless()
    with (
        pytest.raises(EpochTimeout, match=r"longer than 0\.01 s"),
        limit_time(600.0),
        limit_time(0.01),
    ):
        endless()


def test_a_thread_that_can_set_no_alarm_has_no_limit():
    said = []

    def work():
        with limit_time(0.001):
            time.sleep(0.05)
            said.append("done")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert said == ["done"]
