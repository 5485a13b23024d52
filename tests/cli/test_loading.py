"""What a process loads, counted in real ones: most of what a start costs is this."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderless.cli.app import VERBS
from scripts.device import Device

OPTIONS = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'
OF_THE_DAEMON = {
    "alembic",
    "asyncio",
    "blake3",
    "cryptography",
    "entities",
    "msgpack",
    "registry",
    "sqlalchemy",
    "structlog",
    "trio",
    "zeroconf",
    "zstandard",
}
OF_THE_NETWORK = {"email", "http", "ssl"}
SELDOM = {"alembic", "mako", "pathspec", "spake2", "zeroconf"}


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Have one device for all of these tests; it has been started before, and is off."""
    made = Device(tmp_path_factory.mktemp("home"), "anna", OPTIONS)
    made.start()
    made.stop()
    return made


@pytest.fixture
def running(device: Device) -> Iterator[Device]:
    """Run it."""
    device.start()
    yield device
    device.stop()


def _counted(device: Device, *arguments: str) -> list[str]:
    """Return a command line of a device that says on standard error what it loads."""
    interpreter, *rest = device.command(*arguments)
    return [interpreter, "-X", "importtime", *rest]


def _loaded(said: bytes) -> set[str]:
    """Return the packages that a process has said it loads."""
    lines = [line for line in said.decode().splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments", [["status"], ["peers"], ["find", "x"], ["tag", "list"], ["history"]]
)
def test_who_asks_loads_nothing_of_the_daemon(running: Device, arguments: list[str]) -> None:
    """A question needs no event loop, no database and no models; its socket is on this machine."""
    done = subprocess.run(_counted(running, *arguments), capture_output=True, check=False)
    loaded = _loaded(done.stderr)
    assert "click" in loaded
    assert loaded & (OF_THE_DAEMON | OF_THE_NETWORK) == set()


def test_no_verb_has_to_be_waited_for() -> None:
    """What any of them loads before it asks is click, h11 and little of the standard library."""
    modules = sorted({f"leaderless.cli.{module}" for module, _, _ in VERBS.values()})
    command = [sys.executable, "-X", "importtime", "-c", f"import {', '.join(modules)}"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert _loaded(done.stderr) & (OF_THE_DAEMON | OF_THE_NETWORK) == set()


def test_a_daemon_is_ready_before_it_loads_what_it_seldom_needs(
    device: Device, tmp_path: Path
) -> None:
    """Upgrades, codes, globs and mDNS bring along what they need when there is something to do."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        daemon = subprocess.Popen(
            _counted(device, "serve"), stderr=subprocess.PIPE, env=environment
        )
        while b"READY=1" not in manager.recv(4_096):
            pass
        daemon.send_signal(signal.SIGTERM)
        _, said = daemon.communicate()
    loaded = _loaded(said)
    assert "sqlalchemy" in loaded
    assert loaded & SELDOM == set()
