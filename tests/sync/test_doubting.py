"""Noting that the shared records here are to be replaced."""

from __future__ import annotations

from leaderless.store import givers
from leaderless.store.holdings import read_holdings
from leaderless.sync.doubting import doubt
from tests.limits import limited
from tests.replicas import Replica
from tests.store.passing import within


async def _doubted(replica: Replica) -> list[str]:
    """Return what is told."""
    told: list[str] = []
    await doubt(replica.store, lambda kind, _: told.append(kind))
    return told


async def test_records_that_were_given_are_noted_once(replicas: list[Replica]) -> None:
    """Those that nobody gave are not."""
    replica, giver, _ = replicas
    assert await _doubted(replica) == []
    assert not within(replica, read_holdings).outvoted
    within(replica, lambda conn: givers.note(conn, [giver.identity.device]))
    assert await _doubted(replica) == ["records_doubted"]
    assert within(replica, read_holdings).outvoted
    assert await _doubted(replica) == []


async def test_a_disk_that_takes_nothing_is_told_of(replicas: list[Replica]) -> None:
    """Nothing is noted then, and nothing fails."""
    replica, giver, _ = replicas
    within(replica, lambda conn: givers.note(conn, [giver.identity.device]))
    with limited(4_096):
        assert await _doubted(replica) == ["not_kept"]
    assert not within(replica, read_holdings).outvoted
