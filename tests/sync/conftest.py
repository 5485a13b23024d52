"""Devices that apply what they are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio.testing

from tests.replicas import Replica, add_tree, make_replicas, query_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[list[Replica]]:
    """Make three members: an owner with a tree, a relay, a receiver."""
    made = make_replicas(tmp_path, 3)
    add_tree(made[0], 5)
    yield made
    for replica in made:
        assert query_file(replica.store.path, "PRAGMA foreign_key_check") == []
        replica.store.close()


@pytest.fixture
def clock(autojump_clock: trio.testing.MockClock) -> trio.testing.MockClock:
    """Let time jump as soon as nothing happens: the stores take none of it."""
    return autojump_clock
