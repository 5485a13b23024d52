"""Commits of closed feeds that others wait for, where it was not known how far the feed counts.

Who builds on a commit may come before it. In which branch that stands is told by its hash alone, so
no branch counts for it yet. Once it is the turn of who builds on it, what is not here is asked for,
and what is here counts, whenever it came and whatever it was kept for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from leaderless.protocol import commits
from leaderless.store.closing import count, of_closed
from leaderless.store.feeds import feed_with
from leaderless.store.revocations import revoked
from registry.changes import LIFE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sqlalchemy import Connection

    from leaderless.store.revocations import Revoked
    from registry.changes import Dependency


def lacking(connection: Connection) -> dict[bytes, Dependency]:
    """Return, by their hashes, commits of closed feeds that others wait for and that are not here.

    Such a commit may stand in a branch of which nothing is known yet: how far that counts shows when
    it is here, so until then no feed of the same life is closed.
    """
    found = _awaited(connection, revoked(connection))
    return {needed.hash: needed for needed in found if feed_with(connection, needed) is None}


def lacking_of(connection: Connection, feed: bytes) -> dict[bytes, Dependency]:
    """Return what is `lacking` of the life that a feed is of: what comes of it may lead there."""
    life = feed[:LIFE_BYTES]
    found = lacking(connection)
    return {known: needed for known, needed in found.items() if needed.feed[:LIFE_BYTES] == life}


def count_what_is_here(connection: Connection) -> bool:
    """Let count what others wait for and is here; return whether that is more than before."""
    raised = False
    for needed in list(_awaited(connection, revoked(connection))):
        held = feed_with(connection, needed)
        if held is not None and held.counts is not None and held.counts < needed.seq:
            count(connection, needed)
            raised = True
    return raised


def _awaited(connection: Connection, gone: Mapping[bytes, Revoked]) -> Iterator[Dependency]:
    """Return what is in closed feeds of all that those commits build on whose turn it is."""
    if not gone:
        return
    waiting = connection.exec_driver_sql(
        "SELECT c.header FROM feed f JOIN commit_log c ON c.feed = f.id AND c.seq = f.applied + 1"
        " WHERE f.received > f.applied AND (f.counts IS NULL OR f.counts > f.applied)"
    ).scalars()
    for packed in waiting.all():
        yield from of_closed(gone, commits.decode_header(packed))
