"""Replicas for the tests of the catalogue; every one has its foreign keys checked at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.replicas import Replica, make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _opened(folder: Path, count: int) -> Iterator[list[Replica]]:
    made = make_replicas(folder, count)
    yield made
    for replica in made:
        assert query_file(replica.store.path, "PRAGMA foreign_key_check") == []
        replica.store.close()


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    """Open three devices of one library, each with its device row."""
    yield from _opened(tmp_path, 3)


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Replica]:
    """Open the only device of a library, with its device row."""
    for made in _opened(tmp_path, 1):
        yield made[0]
