"""An event that a signal handler may set."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from label_detection_core.drain.signal_safe import SignalSafeEvent
from sandbox.environment import PROJECT, cleaned

#: The handler interrupts `wait` at thousands of moments. An event with a lock would deadlock at one of them.
_STORM = """
import random, signal, sys, threading, time
from label_detection_core.drain.signal_safe import SignalSafeEvent
make = SignalSafeEvent if sys.argv[1] == "ours" else threading.Event
signal.signal(signal.SIGALRM, lambda *_: event.set())
end, events = time.monotonic() + 3, 0
while time.monotonic() < end or events < 2000:
    events += 1
    event = make()
    signal.setitimer(signal.ITIMER_REAL, random.uniform(0.00001, 0.0001))
    while not event.wait(0.000001):
        pass
"""


def storm(which: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _STORM, which], cwd=PROJECT, env=cleaned())


@pytest.mark.slow
def test_a_handler_may_set_it_whatever_the_thread_is_doing() -> None:
    assert storm("ours").wait(120) == 0


@pytest.mark.slow
def test_an_ordinary_event_deadlocks() -> None:
    process = storm("threading's")
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(10)
    finally:
        process.kill()
        process.wait()


def test_all_waiting_threads_are_woken_and_later_waits_return_immediately() -> None:
    event = SignalSafeEvent()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(event.wait(30))) for _ in range(5)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    event.set()
    for thread in threads:
        thread.join()
    assert event.wait(30)
    assert event.is_set()
    assert time.monotonic() - began < 10
    assert found == [True] * 5


def test_the_event_may_be_set_repeatedly() -> None:
    event = SignalSafeEvent()
    for _ in range(100_000):
        event.set()
    assert event.wait(0)


def test_the_event_closes_its_file_descriptors() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        SignalSafeEvent().set()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_an_unset_event_waits_for_its_time_out() -> None:
    event = SignalSafeEvent()
    began = time.monotonic()
    assert not event.wait(0.2)
    assert time.monotonic() - began >= 0.2
    assert not event.is_set()
