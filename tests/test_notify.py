"""What the service manager is told."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from leaderless.notify import Notifier


def test_lines_reach_the_manager(tmp_path: Path) -> None:
    """READY goes to the socket that the manager named."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        Notifier({"NOTIFY_SOCKET": str(path)}).tell("READY=1", "STATUS=x")
        assert manager.recv(100) == b"READY=1\nSTATUS=x"


def test_without_a_manager_nothing_happens(tmp_path: Path) -> None:
    """No socket, and one that is gone, are no errors."""
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": "@leaderless-test-nobody"}).tell("READY=1")


def test_the_watchdog_is_for_this_process_alone() -> None:
    """Its time is in seconds; another process's is not ours."""
    assert Notifier({"WATCHDOG_USEC": "60000000"}).watchdog_s == 60
    assert Notifier({"WATCHDOG_USEC": "5", "WATCHDOG_PID": "1"}).watchdog_s is None
    own = {"WATCHDOG_USEC": "5", "WATCHDOG_PID": str(os.getpid())}
    assert Notifier(own).watchdog_s is not None
    assert Notifier({}).watchdog_s is None
