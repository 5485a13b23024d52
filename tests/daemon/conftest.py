"""Devices whose rooms are opened."""

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


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Replica]]:
    """Make two devices of one library."""
    made = make_replicas(tmp_path, 2)
    yield made
    for each in made:
        assert query_file(each.store.path, "PRAGMA foreign_key_check") == []
        each.store.close()


@pytest.fixture
def strangers(tmp_path: Path) -> Iterator[list[Replica]]:
    """Make two devices that are each alone in a library of its own."""
    made: list[Replica] = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        made += make_replicas(tmp_path / name, 1)
    yield made
    for each in made:
        assert query_file(each.store.path, "PRAGMA foreign_key_check") == []
        each.store.close()
