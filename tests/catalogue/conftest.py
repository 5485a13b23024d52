"""A device with a catalogue of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.replicas import Replica, make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    """Make a device that is alone in its library."""
    (made,) = make_replicas(tmp_path, 1)
    yield made
    assert query_file(made.store.path, "PRAGMA foreign_key_check") == []
    made.store.close()
