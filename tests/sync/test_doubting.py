"""Noting that the shared records here are to be replaced."""

from __future__ import annotations

import trio

from leaderless.store import givers
from leaderless.store.holdings import read_holdings
from leaderless.sync.doubting import Doubting
from tests.replicas import Replica
from tests.store.passing import within


async def _asked(replica: Replica) -> list[str]:
    """Return what is told when it is asked twice."""
    told: list[str] = []
    doubting = Doubting(replica.store, lambda kind, _: told.append(kind))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(doubting.keep)
        for _ in range(2):
            doubting.ask()
            await trio.sleep(1.0)
        nursery.cancel_scope.cancel()
    return told


async def test_records_that_were_given_are_noted_once(
    replicas: list[Replica], clock: trio.abc.Clock
) -> None:
    """Those that nobody gave are not."""
    replica, giver, _ = replicas
    assert await _asked(replica) == []
    assert not within(replica, read_holdings).outvoted
    within(replica, lambda conn: givers.note(conn, [giver.identity.device]))
    assert await _asked(replica) == ["records_doubted"]
    assert within(replica, read_holdings).outvoted
