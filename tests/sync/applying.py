"""Having messages applied and refused, and seeing what was kept of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from leaderless.errors import LeaderlessError
from leaderless.sync.apply import Applier
from tests.replicas import Replica, key_of, query_file

if TYPE_CHECKING:
    from leaderless.protocol.messages import LogBatch, StateBatch, Statements

_TABLES = ("device", "entry", "incarnation", "tombstone", "statement", "feed", "commit_log", "tag")


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
