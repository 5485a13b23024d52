"""Reads of a store beside each other."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from sqlalchemy import Connection

from leaderless.errors import UsageError
from tests.replicas import Replica


async def test_reads_run_beside_each_other_and_answer_in_their_order(replica: Replica) -> None:
    """Each with a connection of its own; what one raises on purpose is raised as it is."""
    turn = threading.Barrier(2, timeout=30)

    def look(connection: Connection, value: int) -> int:
        turn.wait()
        return int(connection.exec_driver_sql("SELECT ?", (value,)).scalar_one())

    found = await replica.store.read_each(partial(look, value=value) for value in (2, 1))
    assert found == [2, 1]

    def refuse(_: Connection) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError):
        await replica.store.read_each([refuse, refuse])

    def fail(_: Connection) -> None:
        raise ValueError("a bug")

    with pytest.raises(BaseExceptionGroup):
        await replica.store.read_each([refuse, fail])
