"""Real daemons for the longest tests, stopped when a test is over."""

from __future__ import annotations

import itertools
import os
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from scripts.device import Device

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LOCAL = (
    'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'
    "reconnect_min_s = 0.1\nreconnect_max_s = 0.5\n"
)
_NUMBERS = itertools.count(1)


@pytest.fixture
def make_device(tmp_path: Path) -> Iterator[Callable[..., Device]]:
    """Return a maker of devices; their daemons end with the test, their databases are whole."""
    devices: list[Device] = []

    def make(name: str, options: str = LOCAL, prefix: tuple[str, ...] = ()) -> Device:
        device = Device(tmp_path / name, name, options, prefix)
        devices.append(device)
        device.start()
        return device

    yield make
    for device in devices:
        device.stop()
    for device in devices:
        with sqlite3.connect(device.home / "state" / "library.db") as database:
            assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        database.close()


@pytest.fixture
def namespaces() -> Iterator[list[str]]:
    """Make two network namespaces on a bridge, each with one address."""
    # The kernel frees the names of a namespace late: each test has its own.
    tag = f"l{os.getpid() % 100_000}{next(_NUMBERS)}"
    names = [f"{tag}a", f"{tag}b"]
    bridge = f"{tag}br"
    _ip("link", "add", bridge, "type", "bridge")
    _ip("link", "set", bridge, "up")
    try:
        for at, name in enumerate(names, start=1):
            inside, outside = f"{tag}i{at}", f"{tag}o{at}"
            _ip("netns", "add", name)
            _ip("link", "add", inside, "type", "veth", "peer", "name", outside)
            _ip("link", "set", inside, "netns", name)
            _ip("link", "set", outside, "master", bridge, "up")
            for command in (
                ("link", "set", "lo", "up"),
                ("addr", "add", f"192.0.2.{at}/24", "dev", inside),
                ("link", "set", inside, "up"),
                ("route", "add", "default", "dev", inside),
            ):
                _ip("-n", name, *command)
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
