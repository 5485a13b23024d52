"""A running device that all tests of the command line ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripts.device import Device
from tests.cli.asking import Said, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
