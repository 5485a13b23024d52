"""Having messages applied and refused, and seeing what was kept of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from leaderless.errors import LeaderlessError
from leaderless.protocol.messages import PROTOCOL_VERSION, Hello, Vectors
from leaderless.protocol.vectors import vectors_digest
from leaderless.sync.apply import Applier
from registry.changes import Incarnation
from tests.replicas import START_MS, Replica, key_of, query_file

if TYPE_CHECKING:
    from leaderless.protocol.messages import LogBatch, StateBatch, Statements
    from tests.cluster import Node

_TABLES = ("device", "entry", "incarnation", "tombstone", "statement", "feed", "commit_log", "tag")


def hello(node: Node, **changed: Any) -> Hello:
    """Return the first message of a member that holds nothing."""
    said = Hello(
        PROTOCOL_VERSION,
        node.store.library,
        Incarnation(1, bytes([3]) * 8),
        {},
        bytes(32),
        vectors_digest(Vectors()),
        START_MS,
        "hostile",
    )
    return replace(said, **changed)


async def applier(replica: Replica) -> Applier:
    """Return what applies for a replica, with the members it knows of."""
    return Applier(replica.store, await replica.store.membership(key_of))


def held(replica: Replica) -> list[int]:
    """Return how many rows each table has."""
    return [
        query_file(replica.store.path, f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608
        for table in _TABLES
    ]


async def refused(
    receiver: Replica, batch: StateBatch | LogBatch | Statements, sender: bytes
) -> str:
    """Have a batch refused, and return the error's code; nothing of it may have been kept."""
    before = held(receiver)
    with pytest.raises(LeaderlessError) as caught:
        await (await applier(receiver)).apply(batch, sender)
    assert held(receiver) == before
    return caught.value.code
