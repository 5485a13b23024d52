"""Work that steps aside: what priority it has, when it rests, and how it ends."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from typing import TYPE_CHECKING

import pytest

from leaderless.indexer.background import (
    LOOK_S,
    REST_S,
    Courtesy,
    StoppedError,
    Turns,
    in_background,
    turns_of_thread,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_IOPRIO_GET = {"x86_64": 252, "aarch64": 31, "riscv64": 31}


def nothing() -> None:
    """Let the work go on."""


class Machine:
    """A clock, what a thread has had of the processor, and the rests that it takes."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.turns = Turns(0, 0)
        self.rests: list[float] = []
        self.courtesy = Courtesy(lambda: self.turns, lambda: self.now_s, self.rests.append)

    def work(self, seconds: float, ran_ns: int, waited_ns: int) -> None:
        """Let time go by in which the thread ran and waited, then ask it to be courteous."""
        self.now_s += seconds
        self.turns = Turns(self.turns.ran_ns + ran_ns, self.turns.waited_ns + waited_ns)
        self.courtesy()


def priorities() -> tuple[int, int]:
    """Return the nice value and the I/O class of the calling thread."""
    thread = threading.get_native_id()
    asked = ctypes.CDLL(None).syscall(_IOPRIO_GET[platform.machine()], 1, thread)
    return os.getpriority(os.PRIO_PROCESS, thread), asked >> 13


def test_a_thread_that_waits_for_longer_than_it_runs_rests() -> None:
    """Others want the processor: they get it."""
    machine = Machine()
    machine.work(LOOK_S, ran_ns=10, waited_ns=11)
    assert machine.rests == [REST_S]


def test_a_thread_that_runs_when_it_wants_to_does_not_rest() -> None:
    """A machine with nothing better to do is used."""
    machine = Machine()
    for _ in range(5):
        machine.work(LOOK_S, ran_ns=10, waited_ns=10)
    assert machine.rests == []


def test_what_was_waited_for_before_a_rest_is_no_reason_for_another() -> None:
    """Once it is let on again, a thread goes on."""
    machine = Machine()
    machine.work(LOOK_S, ran_ns=0, waited_ns=100)
    machine.work(LOOK_S, ran_ns=10, waited_ns=1)
    assert machine.rests == [REST_S]


def test_who_waits_for_whom_is_not_asked_all_the_time() -> None:
    """Between two looks nothing is decided."""
    machine = Machine()
    machine.work(LOOK_S / 2, ran_ns=0, waited_ns=100)
    assert machine.rests == []


def test_work_has_low_priority_and_nobody_else_has() -> None:
    """The threads are nice and read when the disk is idle; the one that waits for them is as ever."""
    found: list[tuple[int, int]] = []
    before = priorities()
    in_background(lambda _: found.append(priorities()), 2, nothing)
    assert found == [(min(before[0] + 10, 19), 3)] * 2
    assert priorities() == before


def test_a_thread_knows_what_it_had_of_the_processor() -> None:
    """The kernel counts the turns of each thread, some only when the turn is over."""
    before = turns_of_thread()
    assert any(
        sum(range(100_000)) and turns_of_thread().ran_ns > before.ran_ns for _ in range(1_000)
    )


def test_what_the_work_raises_is_raised() -> None:
    """A failure in a thread is one of whoever waits for it."""

    def fail(_: Callable[[], None]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_background(fail, 2, nothing)


def test_who_wants_the_work_no_more_ends_it() -> None:
    """What is asked meanwhile raises: every thread ends at its next breath."""
    ended: list[str] = []

    def work(breathe: Callable[[], None]) -> None:
        try:
            while True:
                breathe()
        except StoppedError:
            ended.append("here")
            raise

    def enough() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        in_background(work, 2, enough)
    assert ended == ["here", "here"]


def test_a_thread_that_cannot_be_had_is_told_of() -> None:
    """What the system says of it is raised, not what follows from that."""
    usual = threading.stack_size(1 << 46)
    try:
        with pytest.raises(OSError, match="start new thread"):
            in_background(lambda _: None, 2, nothing)
    finally:
        threading.stack_size(usual)


def test_what_keeps_a_thread_from_its_work_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody takes work for done that was never begun."""

    def refused(*_: int) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(os, "setpriority", refused)
    with pytest.raises(ZeroDivisionError):
        in_background(lambda _: None, 2, nothing)
