"""What the tests of the indexer get."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.indexer.ground import Ground, open_ground


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    """Give a test an empty folder with a store."""
    with open_ground(tmp_path) as ground:
        yield ground


@pytest.fixture
def place() -> Iterator[Path]:
    """Give a test a folder in which a user without privileges may do anything.

    Not below tmp_path: pytest closes that to others whenever a session of it begins.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        yield place
