"""Work that steps aside for everything else: threads of low priority that rest while others wait.

The kernel gives the disk to a thread of the idle class when nobody else wants it, and a tenth of the
processor to a nice one. Not less: a thread that holds the interpreter while it is not let on holds up
the whole daemon. Where others want the processor all the same it takes long rests.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_NICER: Final = 10
"""Than the daemon; each step of nice takes a fifth of what is left."""
_IDLE_CLASS: Final = 3 << 13
_OF_THREAD: Final = 1
# glibc has no function for it: ioprio_set(2).
_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
LOOK_S: Final = 0.25
"""Between two looks at who waits for whom."""
REST_S: Final = 1.0
"""Four times as long as the work between two rests: a machine that is busy lends a fifth of a core."""


class Turns(NamedTuple):
    """What a thread has had of the processor, and how long it waited to get it."""

    ran_ns: int
    waited_ns: int


class StoppedError(Exception):
    """Whoever wanted the work wants it no more."""


def turns_of_thread() -> Turns:
    """Return the turns of the calling thread; none where the kernel does not count them."""
    told = Path(f"/proc/self/task/{threading.get_native_id()}/schedstat")
    try:
        ran, waited, _ = told.read_text().split()
    except OSError:
        return Turns(0, 0)
    return Turns(int(ran), int(waited))


class Courtesy:
    """Has one thread rest while others want the processor; `look` is asked for its turns."""

    def __init__(
        self,
        look: Callable[[], Turns],
        now: Callable[[], float],
        rest: Callable[[float], object],
    ) -> None:
        self._look = look
        self._now = now
        self._rest = rest
        self._last = look()
        self._due = now() + LOOK_S

    def __call__(self) -> None:
        """Rest if the thread has waited for longer than it ran since it was last asked that."""
        if self._now() < self._due:
            return
        turns = self._look()
        if turns.waited_ns - self._last.waited_ns > turns.ran_ns - self._last.ran_ns:
            self._rest(REST_S)
        self._last = self._look()
        self._due = self._now() + LOOK_S


def step_aside() -> None:
    """Give the calling thread low priority for good, as far as the system allows it."""
    thread = threading.get_native_id()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, 0) + _NICER)
    call = _IOPRIO_SET.get(platform.machine())
    if call is not None:
        ctypes.CDLL(None).syscall(call, _OF_THREAD, thread, _IDLE_CLASS)


def in_background(
    work: Callable[[Callable[[], None]], None], threads: int, check: Callable[[], None]
) -> None:
    """Have so many threads do `work`, and wait for them.

    Each gets a function to be called often: it rests in it, and StoppedError comes out of it once
    `check`, which is asked here meanwhile, has raised. What they raise themselves is raised here, and
    OSError where the system has no more threads.
    """
    stop = threading.Event()
    failed: list[BaseException] = []

    def live() -> None:
        try:
            step_aside()
            work(partial(_breathe, Courtesy(turns_of_thread, time.monotonic, stop.wait), stop))
        except StoppedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            failed.append(error)

    living: list[threading.Thread] = []
    try:
        for _ in range(threads):
            thread = threading.Thread(target=live, name="background")
            _start(thread)
            living.append(thread)
        for thread in living:
            while thread.is_alive():
                thread.join(LOOK_S)
                check()
    finally:
        stop.set()
        for thread in living:
            thread.join()
    if failed:
        raise failed[0]


def _breathe(courtesy: Callable[[], None], stop: threading.Event) -> None:
    courtesy()
    if stop.is_set():
        raise StoppedError


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
