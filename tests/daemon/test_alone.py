"""One home has one daemon, and the next one waits for the one that stops."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from leaderless.config import Paths
from leaderless.daemon.alone import STOPPING_LOOKS, DaemonRunningError, alone


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return a home whose folders are there."""
    found = Paths(tmp_path / "config", tmp_path / "state", tmp_path / "run")
    for folder in (found.state, found.runtime):
        folder.mkdir()
    return found


def _no_wait(_: float) -> None:
    pytest.fail("it waited")


def test_a_daemon_that_answers_is_not_waited_for(paths: Paths) -> None:
    """It has no reason to end."""
    paths.socket.touch()
    with alone(paths), pytest.raises(DaemonRunningError), alone(paths, _no_wait):
        pass


def test_the_daemon_that_has_the_home_is_named(paths: Paths) -> None:
    """The message has its process, the remedy what to do about it."""
    paths.socket.touch()
    with alone(paths), pytest.raises(DaemonRunningError) as caught, alone(paths, _no_wait):
        pass
    assert f"process {os.getpid()}" in caught.value.message
    assert f"kill {os.getpid()}" in (caught.value.hint or "")


def test_a_home_is_taken_over_from_a_daemon_that_stops(paths: Paths) -> None:
    """Its socket is gone first, its hold of the home last."""
    with ExitStack() as stopping:
        stopping.enter_context(alone(paths))

        def wait(_: float) -> None:
            stopping.close()

        with alone(paths, wait):
            assert (paths.state / "lock").read_text() == str(os.getpid())


def test_a_daemon_that_does_not_come_to_its_end_is_given_up(paths: Paths) -> None:
    """After as many looks as are in ten seconds."""
    looks: list[float] = []
    with alone(paths), pytest.raises(DaemonRunningError), alone(paths, looks.append):
        pass
    assert (len(looks), round(sum(looks))) == (STOPPING_LOOKS, 10)


def test_a_home_that_nobody_has_named_is_refused_all_the_same(paths: Paths) -> None:
    """Whoever holds it may not have said yet who it is."""
    paths.socket.touch()
    with (paths.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(DaemonRunningError) as caught, alone(paths, _no_wait):
            pass
    assert (caught.value.hint, "process" in caught.value.message) == (None, False)
