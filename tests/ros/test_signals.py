"""SIGINT and SIGTERM: noted everywhere, raised only inside what is interruptible."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from pose_node.ros.signals import StoppedError, StopSignals

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def signals() -> Iterator[StopSignals]:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    yield StopSignals()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_outside_a_signal_is_noted(signals, number):
    assert not signals.received
    signal.raise_signal(number)
    assert signals.received


def test_inside_a_signal_raises_once(signals):
    with pytest.raises(StoppedError), signals.interruptible():
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


def test_a_signal_of_before_raises_on_entry(signals):
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(StoppedError), signals.interruptible():
        pytest.fail("entered")


def test_no_handler_of_exceptions_catches_it():
    assert not issubclass(StoppedError, Exception)
