"""What a fork shows of its author: that it was restored, or that it writes on though it knows better.

A device that is put back to a backup and writes before it meets anybody uses numbers a second time.
Once it hears of that it writes nothing more in that life, and goes on in a new one
(store/restoring.py); a clone does the same, or stops. Who writes on in the old life though it knew of
both branches does neither. How branches are kept is store/branches.py's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from leaderless.store.revocations import without_membership
from registry.changes import LIFE_BYTES, feed_incarnation

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from leaderless.protocol.messages import OwnedPosition
    from leaderless.store.feeds import Feed


class Fork(NamedTuple):
    """Two commits of a member at one number of a feed, in the newest life of it that is known."""

    device: bytes
    at: int
    noted_ms: int
    """Since when both are here; 0 if one of them is still to come."""
    knew: bool
    """Whether it wrote on in that life though it knew of both."""


def open_forks(
    connection: Connection, forked: Iterable[Feed], owned: Mapping[bytes, OwnedPosition]
) -> list[Fork]:
    """Return the forks whose author has not gone on in another life yet, nor was revoked.

    `forked` are the feeds that have branches, `owned` the newest lives that are known.
    """
    gone = without_membership(connection)
    found = []
    for feed in forked:
        device, life = feed.feed[:16], feed.feed[:LIFE_BYTES]
        newest = owned.get(device)
        has_gone_on = newest is not None and newest.incarnation > feed_incarnation(feed.feed)
        if feed.forked is not None and device not in gone and not has_gone_on:
            noted_ms = _noted_ms(connection, feed.key, feed.forked)
            found.append(Fork(device, feed.forked, noted_ms, _knew(connection, life)))
    return found


def _noted_ms(connection: Connection, trunk: int, at: int) -> int:
    """Return when the second commit at a number came, 0 if it is not here."""
    count, last = connection.exec_driver_sql(
        "SELECT count(*), max(c.received_at) FROM feed f JOIN commit_log c ON c.feed = f.id"
        " WHERE f.trunk = ? AND c.seq = ?",
        (trunk, at),
    ).one()
    return int(last) if count > 1 else 0


def _knew(connection: Connection, life: bytes) -> bool:
    """Return whether a commit behind a fork in a life depends on a branch of that very life.

    A header names its own feed once, and what is before it in that by its hash alone.
    """
    found = connection.exec_driver_sql(
        "SELECT 1 FROM feed f JOIN commit_log c ON c.feed = f.id WHERE f.trunk IS NOT NULL"
        " AND substr(f.feed, 1, ?2) = ?1"
        " AND instr(substr(c.header, instr(c.header, ?1) + ?2), ?1) > 0 LIMIT 1",
        (life, LIFE_BYTES),
    ).first()
    return found is not None
