"""One daemon a home: the lock that the kernel keeps as long as its holder lives."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TextIO

from leaderless.errors import LeaderlessError
from leaderless.store.disk import from_system

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from leaderless.config import Paths

STOPPING_LOOK_S: Final = 0.1
STOPPING_LOOKS: Final = 100
"""So often a home is looked at that a daemon holds which does not answer: ten seconds."""


class DaemonRunningError(LeaderlessError):
    """Another daemon has this home."""

    code = "already_running"


@contextmanager
def alone(paths: Paths, wait: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """Hold the home against a second daemon; the kernel lets go when we die.

    One that holds it but does not answer is about to stop, or to start: it gets some time.
    """
    with _lock_file(paths) as lock:
        patience = STOPPING_LOOKS
        while not _locked(lock):
            if patience == 0 or paths.socket.exists():
                lock.seek(0)
                holder = lock.read(20).strip()
                raise DaemonRunningError(
                    f"a daemon is running already in {paths.state}"
                    + (f" (process {holder})" if holder else ""),
                    hint=f"leaderless status asks it; kill {holder} stops it" if holder else None,
                )
            patience -= 1
            wait(STOPPING_LOOK_S)
        with suppress(OSError):
            # Who it is is told as a courtesy: a full disk is no reason not to start.
            lock.truncate(0)
            os.write(lock.fileno(), str(os.getpid()).encode())
        yield


def _lock_file(paths: Paths) -> TextIO:
    try:
        return (paths.state / "lock").open("a+")
    except OSError as error:
        raise from_system(error, paths.database) from error


def _locked(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
