"""Running devices that the tests of the command line ask."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from scripts.device import Device
from tests.cli.asking import Said, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OPTIONS = 'listen_host = "127.0.0.1"\nlisten_port = 0\nmdns = false\n'


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """Run one daemon for all tests that do not mind what others leave there."""
    made = Device(tmp_path_factory.mktemp("home"), "anna", OPTIONS)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def ask(daemon: Device) -> Callable[..., Said]:
    """Return what asks the running daemon in this process."""

    def asking(*arguments: str, terminal: bool = False) -> Said:
        return run("--home", str(daemon.home), *arguments, terminal=terminal)

    return asking


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder of files, two of them alike, some with names that are no plain text."""
    made = tmp_path_factory.mktemp("photos")
    for name, text in (("a.jpg", "same"), ("b.jpg", "same"), ("c.jpg", "other")):
        (made / name).write_text(text)
    (made / os.fsdecode(b"caf\xe9")).write_text("bytes")
    (made / "red\x1b[31m").write_text("escape")
    return made


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Device]:
    """Run one daemon that has hashed the folder, for all tests of a module."""
    made = Device(tmp_path_factory.mktemp("home"), "anna", OPTIONS)
    made.start()
    made.run("location", "add", str(folder), "--name", "photos", "--mode", "content", "--wait")
    yield made
    made.stop()
